"""What the nodes say by slot, a list for each label key: so that comparing thousands of nodes is a look into a list, and no call a node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final

from controllers.scheduler.node_info import NodeInfo

KEYS_MAX: Final = 64

Pick = Callable[[Sequence[Any]], Sequence[Any]]
"""Of a list by slot, the items of certain slots."""


def picker(slots: Sequence[int]) -> Pick:
    """The Pick of these slots, at least one, in their order."""
    if len(slots) == 1:
        only = slots[0]
        return lambda by_slot: (by_slot[only],)
    return itemgetter(*slots)


class Columns:
    """The values of label keys, for those keys that somebody has asked about; the ones asked about first go first."""

    def __init__(self) -> None:
        self._of: dict[str, list[str | None]] = {}

    def of(self, key: str, nodes: Sequence[NodeInfo | None]) -> list[str | None]:
        """By slot, the node's value of this label; None where it has none. It stays up to date, and is not to be changed."""
        found = self._of.get(key)
        if found is None:
            if len(self._of) >= KEYS_MAX:
                del self._of[next(iter(self._of))]
            found = self._of[key] = [None if node is None else node.labels.get(key) for node in nodes]
        return found

    def update(self, slot: int, node: NodeInfo | None) -> None:
        """The node in `slot` is new (at the end, or where another was), has changed, or is gone."""
        for key, values in self._of.items():
            if slot == len(values):
                values.append(None)
            values[slot] = None if node is None else node.labels.get(key)
