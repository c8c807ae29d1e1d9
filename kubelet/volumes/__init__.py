"""What volumes put into containers. `contents.py`: those whose files come from the API."""
