"""From a least to a most: what something costs, or how large it is. Never above what a uint64 holds."""

from __future__ import annotations

import math
from typing import Final

MOST: Final = 2**64 - 1


class Range:
    __slots__ = ("least", "most")

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = min(least, MOST), min(most, MOST)

    def __add__(self, other: Range) -> Range:
        return Range(self.least + other.least, self.most + other.most)

    def __mul__(self, other: Range) -> Range:
        return Range(self.least * other.least, self.most * other.most)

    def __or__(self, other: Range) -> Range:
        """One that holds both."""
        return Range(min(self.least, other.least), max(self.most, other.most))

    def __repr__(self) -> str:
        return f"Range({self.least}, {self.most})"


def fixed(amount: int) -> Range:
    return Range(amount, amount)


def scaled(of: Range, by: float) -> Range:
    """Rounded up."""
    return Range(_scaled(of.least, by), _scaled(of.most, by))


def _scaled(amount: int, by: float) -> int:
    return min(MOST, math.ceil(float(amount) * by))


FREE: Final = fixed(0)
UNKNOWN: Final = Range(0, MOST)
