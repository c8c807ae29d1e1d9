"""Sets of completion indexes, as an Indexed Job's status writes them: `1,3-5,7`. Pure.

A set is a tuple of inclusive intervals in increasing order that neither overlap nor touch.
Source: the documentation of `status.completedIndexes`, and upstream `pkg/controller/job/indexed_job_utils.go`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from kube.objects import annotations_of

INDEX = "batch.kubernetes.io/job-completion-index"

Indexes = tuple[tuple[int, int], ...]


def index_of(pod: Mapping[str, Any], completions: int | None = None) -> int | None:
    """The pod's completion index; None where it has none, or one out of range."""
    text = annotations_of(pod).get(INDEX, "")
    if not text.isdecimal():
        return None
    index = int(text)
    return index if completions is None or index < completions else None


def parse(text: str | None, completions: int) -> Indexes:
    """The indexes below `completions` that the text names. Intervals that make no sense are left out, as upstream does."""
    intervals = []
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            intervals.append((int(first), min(int(last or first), completions - 1)))
    return _merged(each for each in intervals if each[0] <= each[1])


def text(indexes: Indexes) -> str:
    """As in the status: three or more in a row are joined by a dash, two by a comma."""
    return ",".join(_interval(first, last) for first, last in indexes)


def _interval(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first},{last}" if last == first + 1 else f"{first}-{last}"


def total(indexes: Indexes) -> int:
    return sum(last - first + 1 for first, last in indexes)


def has(indexes: Indexes, index: int) -> bool:
    place = bisect_right(indexes, (index, index))
    return (place < len(indexes) and indexes[place][0] == index) or (place > 0 and indexes[place - 1][1] >= index)


def union(indexes: Indexes, *others: Indexes) -> Indexes:
    return _merged(each for part in (indexes, *others) for each in part)


def with_indexes(indexes: Indexes, more: Iterable[int]) -> Indexes:
    return union(indexes, tuple((index, index) for index in set(more)))


def overlap(one: Indexes, other: Indexes) -> int:
    """How many indexes are in both."""
    return total(one) + total(other) - total(union(one, other))


def first_missing(taken: Indexes, count: int, completions: int) -> list[int]:
    """The lowest `count` indexes below `completions` that are not taken."""
    found: list[int] = []
    candidate = 0
    for first, last in (*taken, (completions, completions)):
        found += range(candidate, min(first, completions, candidate + count - len(found)))
        candidate = max(candidate, last + 1)
        if len(found) >= count:
            break
    return found[:count]


def _merged(intervals: Iterable[tuple[int, int]]) -> Indexes:
    out: list[tuple[int, int]] = []
    for first, last in sorted(intervals):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], last))
        else:
            out.append((first, last))
    return tuple(out)
