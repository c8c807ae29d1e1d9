"""Which seeds a scenario runs with. WHERRY_SEEDS is how many (`500`), or from where to where (`500:1000`); pytest prints a failing one."""

from __future__ import annotations

import os


def seeds(default: int) -> range:
    """The seeds of this run; the first `default` where WHERRY_SEEDS says nothing."""
    asked = os.environ.get("WHERRY_SEEDS", str(default))
    first, colon, end = asked.partition(":")
    return range(int(first), int(end)) if colon else range(int(asked))
