"""Generated and hostile input: few examples in the ordinary suite, many with WHERRY_FUZZ_EXAMPLES (see `budget.py`)."""
