"""Wherry for people: the `wherry` command and the Python API. Read `main.py` for the command, `plan.py` for what a cluster consists of."""
