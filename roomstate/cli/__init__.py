"""``python -m roomstate``: play chat logs through a manager and say what became of every message."""
