"""Scores of any range as 0 to MAX_NODE_SCORE. Source: `plugins/helper/normalize_score.go`."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.scheduler.framework import MAX_NODE_SCORE


def normalized(scores: Sequence[int], *, reverse: bool = False) -> list[int]:
    """In proportion to the highest; with `reverse`, the lowest raw score gets the most."""
    highest = max(scores)
    if highest == 0:
        return [MAX_NODE_SCORE] * len(scores) if reverse else list(scores)
    if reverse:
        return [MAX_NODE_SCORE - MAX_NODE_SCORE * score // highest for score in scores]
    return [MAX_NODE_SCORE * score // highest for score in scores]
