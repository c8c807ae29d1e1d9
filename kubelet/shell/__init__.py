"""A very small POSIX shell for simulated containers: enough for the scripts that tutorials put in pods. Read `interpreter.py` first."""
