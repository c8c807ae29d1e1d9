"""Comparing and assembling status: nothing is written that says what the server already has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kube.objects import Object

_NOTHING = (None, "", 0, False)


def meaningful(value: Any) -> Any:
    """The value without what means nothing on the wire (null, "", 0, false, empty lists and objects), all the way down."""
    if isinstance(value, Mapping):
        kept = {key: meaningful(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in _NOTHING and each != {} and each != []}
    if isinstance(value, list | tuple):
        return [meaningful(each) for each in value]
    return value


def same_status(new: Mapping[str, Any] | None, old: Mapping[str, Any] | None) -> bool:
    """Whether both say the same, where a missing field and its zero are the same thing."""
    return new == old or meaningful(new or {}) == meaningful(old or {})


def omit_zeros(status: Mapping[str, Any], *, keep: tuple[str, ...] = ()) -> Object:
    """The status without top-level zeros and empties, as upstream's `omitempty` writes it; `keep` names the fields always written."""
    return {key: value for key, value in status.items() if key in keep or (value not in _NOTHING and value != {} and value != [])}
