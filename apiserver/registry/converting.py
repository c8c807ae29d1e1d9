"""What the store is to a version of a custom resource whose versions a webhook converts: reading and writing may wait for that webhook.

`apiserver/kinds/custom/converted.py` is one. Such a kind is read key by key, as upstream reads etcd, so that what cannot be converted is
in nobody's way but that of lists and watches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from apiserver.store.base import Deliver, Store, Subscription
from kube.objects import Object


@dataclass(frozen=True, slots=True)
class Prepared:
    """An object that can be stored: as it will be read back, and the bytes that are stored. It is the hint of `create` and `update`."""

    obj: Object
    stored: bytes


class ConvertingStore(Store, Protocol):
    """See the module. What cannot be converted raises ApiError, with upstream's words."""

    async def prepare(self, obj: Object) -> Prepared:
        """Convert an object to the version that is stored, and back: in place, `obj` becomes what will be read back."""
        ...

    async def is_stored_as(self, key: str, revision: int, prepared: Prepared) -> bool:
        """Whether what is stored at that revision, the present one, is what would be stored now."""
        ...

    async def in_version(self, obj: Object, api_version: str) -> Object:
        """A copy of an object in another version of its kind."""
        ...

    def follow(self, prefix: str, *, after: int, deliver: Deliver) -> Subscription:
        """`subscribe`, for the one subscriber that `revision` waits for. Events do not tell what was before, nor those of deletions what
        is gone."""
        ...
