"""Sets of completion indexes as Jobs write them: `0,2-4`. Source: kubernetes `pkg/apis/batch/validation`."""

from __future__ import annotations

import re

from kube.errors import quoted

_number_re = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
Interval = tuple[int, int]


class IndexesError(ValueError):
    """Not a set of indexes; the text is upstream's."""


def parse_indexes(text: str, completions: int) -> list[Interval]:
    """The intervals, ends included, growing, each index below `completions`. Raises IndexesError."""
    intervals: list[Interval] = []
    for part in text.split(",") if text else ():
        first, last = _interval(part, completions)
        if intervals and intervals[-1][1] >= first:
            raise IndexesError(f"non-increasing order, previous: {intervals[-1][1]}, current: {first}")
        intervals.append((first, last))
    return intervals


def _interval(text: str, completions: int) -> Interval:
    ends = text.split("-")
    if len(ends) > 2:
        rule = "violates the requirement that an index interval can have at most two parts separated by '-'"
        raise IndexesError(f"the fragment {quoted(text)} {rule}")
    numbers = [_index(end, completions) for end in ends]
    if len(numbers) == 2 and numbers[0] >= numbers[1]:
        raise IndexesError(f"non-increasing order, previous: {numbers[0]}, current: {numbers[1]}")
    return numbers[0], numbers[-1]


def _index(text: str, completions: int) -> int:
    if not _number_re.fullmatch(text):
        raise IndexesError(f"cannot convert string to integer for index: {quoted(text)}")
    if int(text) >= completions:
        raise IndexesError(f"too large index: {quoted(text)}")
    return int(text)


def first_overlap(one: str, other: str, completions: int) -> int | None:
    """The first index in both sets; what cannot be read does not count."""
    mine, theirs = _readable(one, completions), _readable(other, completions)
    while mine and theirs:
        if mine[0][0] <= theirs[0][1] and theirs[0][0] <= mine[0][1]:
            return max(mine[0][0], theirs[0][0])
        (mine if mine[0][0] <= theirs[0][0] else theirs).pop(0)
    return None


def _readable(text: str, completions: int) -> list[Interval]:
    found: list[Interval] = []
    for part in text.split(",") if text else ():
        try:
            found.append(_interval(part, completions))
        except IndexesError:
            continue
    return found
