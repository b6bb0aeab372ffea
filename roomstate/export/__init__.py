"""What a manager tells of itself, in the words of those who watch programs. Nothing is imported here: each module that
needs a package of its own is behind an extra.
"""
