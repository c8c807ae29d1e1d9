"""What like objects have in common, held once: the pods of a ReplicaSet differ in a name, a node and a few times.

For caches, whose objects nobody changes. What is shared is found by comparing an object with the one before it of the same owner.
"""

from __future__ import annotations

from typing import Any, Final

from kube.objects import Object

OWNERS_MAX: Final = 256
_PARTS: Final = ("spec", "status")
_OF_METADATA: Final = ("labels", "annotations", "ownerReferences")


class Sharing:
    """One for each cache. It remembers the last object of each of so many owners; who came first is forgotten first."""

    def __init__(self) -> None:
        self._last: dict[str, dict[str, Any]] = {}

    def share(self, obj: Object) -> None:
        """Put in the place of the object's members the equal ones of the object before it, in place."""
        metadata = obj.get("metadata") or {}
        owners = metadata.get("ownerReferences")
        last = self._last_of(owners[0].get("uid", "") if owners else "")
        for name in _OF_METADATA:
            if name in metadata:
                _share(metadata, name, last)
        for part in _PARTS:
            members = obj.get(part)
            if isinstance(members, dict):
                for name, value in members.items():
                    if isinstance(value, dict | list):
                        _share(members, name, last)

    def _last_of(self, owner: str) -> dict[str, Any]:
        found = self._last.get(owner)
        if found is None:
            if len(self._last) >= OWNERS_MAX:
                del self._last[next(iter(self._last))]
            found = self._last[owner] = {}
        return found


def _share(members: dict[str, Any], name: str, last: dict[str, Any]) -> None:
    value = members[name]
    if last.get(name) == value:
        members[name] = last[name]
    else:
        last[name] = value
