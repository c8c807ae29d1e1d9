"""How many examples generated tests try, and what counts as an answer.

Few examples in the ordinary suite, always the same; WHERRY_FUZZ_EXAMPLES=n for n of each, drawn anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from hypothesis import HealthCheck, settings

from kube.errors import ApiError

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


def answered(call: Callable[[], Any]) -> Any:
    """The result, or None for an error of the API: one that blames the client, or one of the few that upstream answers with 500 and
    without a reason. Whatever else is raised is a defect."""
    error: ApiError | None = None
    try:
        return call()
    except ApiError as caught:
        error = caught
    assert 400 <= error.http_code < 500 or (error.http_code, error.http_reason) == (500, ""), repr(error)
    error.message.encode()
    return None
