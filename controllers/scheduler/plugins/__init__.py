"""The plugins of the scheduler, one a file, under upstream's names. `../framework.py` says what a plugin is."""
