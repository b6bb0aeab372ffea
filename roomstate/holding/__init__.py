"""How the manager holds rooms: why, at which tier, how far they are durable, and what it still waits for.

The modules here are parts of `RoomStateManager`, which composes them; nothing of theirs is public but `RoomView` and
the notification rules.
"""
