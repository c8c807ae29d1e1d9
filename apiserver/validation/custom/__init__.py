"""Custom resources against their structural schemas: pruning, defaulting and validating, each compiled once into closures. Pure.

Read `schema.py` first, then `pruning.py`, `defaulting.py`, `checks.py` (the fast yes or no) and `problems.py` (what exactly is wrong).
"""
