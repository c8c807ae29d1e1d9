"""How many examples generated tests try: few in the ordinary suite, always the same; WHERRY_FUZZ_EXAMPLES=n for n of each, drawn anew."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

MANY: Final = int(os.environ.get("WHERRY_FUZZ_EXAMPLES") or 0)


def examples(few: int) -> settings:
    """The settings of a generated test. Work is bounded, never the clock."""
    return settings(
        max_examples=MANY or few,
        derandomize=not MANY,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
