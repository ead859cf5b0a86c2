"""Lifted geometry as files that other programs open. One module a format; see `written.py`."""
