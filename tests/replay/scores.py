"""Which recordings to replay, and what the tool that replays them said. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_SCORE = re.compile(r"([\w-]+): (\d+)/(\d+)")
_TOTAL = "total"


class Score(NamedTuple):
    """How many of an area's exchanges match."""

    good: int
    checked: int

    def __str__(self) -> str:
        return f"{self.good}/{self.checked}"


def chosen(files: Sequence[Path], areas: Sequence[str]) -> list[Path]:
    """The files of the areas, each named in full or by its beginning; all files where no area is named."""
    if not areas:
        return list(files)
    return [each for each in files if any(each.stem == area or each.stem.startswith(f"{area}-") for area in areas)]


def scores(text: str) -> tuple[dict[str, Score], str]:
    """The score of each area, and whatever else was printed."""
    found: dict[str, Score] = {}
    rest: list[str] = []
    for line in text.splitlines():
        match = _SCORE.fullmatch(line)
        if match is not None:
            found[match[1]] = Score(int(match[2]), int(match[3]))
        elif not line.startswith(f"{_TOTAL}:"):
            rest.append(line)
    return found, "\n".join(rest)


def differing(found: Mapping[str, Mapping[str, Score]]) -> list[str]:
    """One line for each area in which the stores score differently."""
    return [line for area, line in _lines(found) if len({each.get(area) for each in found.values()}) > 1]


def table(found: Mapping[str, Mapping[str, Score]]) -> str:
    """Every area with the score of each store, and the totals."""
    totals = {store: Score(sum(s.good for s in each.values()), sum(s.checked for s in each.values())) for store, each in found.items()}
    lines = [line for _, line in _lines(found)]
    return "\n".join([*lines, f"{_TOTAL}: " + ", ".join(f"{store} {score}" for store, score in totals.items())])


def _lines(found: Mapping[str, Mapping[str, Score]]) -> Iterator[tuple[str, str]]:
    for area in sorted({area for each in found.values() for area in each}):
        yield area, f"{area}: " + ", ".join(f"{store} {each.get(area) or 'nothing'}" for store, each in found.items())
