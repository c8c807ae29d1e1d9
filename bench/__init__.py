"""`make bench`: how fast and how small it is, on this machine, now. Measures; asserts nothing. See `__main__.py`."""
