"""What volumes put into containers. `contents.py`: those whose files come from the API; `claims.py`: those that are claimed;
`attached.py`: those of them that have to be attached."""
