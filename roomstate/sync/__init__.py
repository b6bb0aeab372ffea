"""Several copies of a room, kept in step."""
