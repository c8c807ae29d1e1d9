"""What like objects have in common, held once: the pods of a ReplicaSet differ in a name, a node and a few times.

For caches, whose objects nobody changes. What is shared is found by comparing an object with the one before it of the same owner, or else
with the one before it of the kind: member by member, item by item, down to the single text.
"""

from __future__ import annotations

from typing import Any, Final

from kube.objects import Object

OWNERS_MAX: Final = 256


class Sharing:
    """One for each cache. It remembers the last object of each of so many owners; who came first is forgotten first."""

    def __init__(self) -> None:
        self._last: dict[str, Object] = {}
        self._latest: Object = {}

    def share(self, obj: Object) -> None:
        """Put in the place of the object's parts the equal ones of an object before it, in place."""
        owners = (obj.get("metadata") or {}).get("ownerReferences")
        owner = owners[0].get("uid", "") if owners else ""
        known = self._last
        like = known.get(owner)
        if like is None:
            like = self._latest
            if len(known) >= OWNERS_MAX:
                del known[next(iter(known))]
        _share_members(obj, like)
        known[owner] = self._latest = obj


def _share_members(new: dict[str, Any], like: dict[str, Any]) -> None:
    for key, value in new.items():
        found: Any = like.get(key)
        if type(found) is not type(value):
            continue
        if found == value:
            new[key] = found
        elif type(value) is dict:
            _share_members(value, found)
        elif type(value) is list:
            _share_items(value, found)


def _share_items(new: list[Any], like: list[Any]) -> None:
    for position, (value, found) in enumerate(zip(new, like, strict=False)):
        if type(found) is not type(value):
            continue
        if found == value:
            new[position] = found
        elif type(value) is dict:
            _share_members(value, found)
        elif type(value) is list:
            _share_items(value, found)
