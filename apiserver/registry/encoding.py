"""One encoding per object: the bytes the store keeps are the bytes that clients get, but for the resourceVersion spliced in.

A stored value is upstream's JSON: `{"kind":"Pod","apiVersion":"v1","metadata":{...},...}`, without resourceVersion (that is the key's
revision). Because kind, apiVersion and metadata come first and are of one length per kind, GET, LIST and watch events are joins of bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from kube.errors import BadRequest
from kube.objects import Object
from kube.resources import Resource


class Encoding:
    """The byte form of one resource (of the version that is stored)."""

    __slots__ = ("api_version", "cut", "head", "item_head", "kind", "start")

    def __init__(self, resource: Resource) -> None:
        self.kind, self.api_version = resource.kind, resource.api_version
        start = f'{{"kind":"{resource.kind}","apiVersion":"{resource.api_version}",'
        self.start = start.encode()
        self.head = (start + '"metadata":{"resourceVersion":"').encode()
        self.item_head = b'{"metadata":{"resourceVersion":"'
        self.cut = len(start) + len('"metadata":{')

    def encode(self, obj: Object, texts: Mapping[str, bytes] = {}) -> bytes:
        """The stored form of an object, without its resourceVersion. `obj` is not changed. Members in `texts` are written as they stand
        there. Raises BadRequest when it is nested too deep."""
        meta = obj["metadata"]
        if "resourceVersion" in meta:
            meta = {key: value for key, value in meta.items() if key != "resourceVersion"}
        ordered: dict[str, Any] = {"kind": self.kind, "apiVersion": self.api_version, "metadata": meta}
        for key, value in obj.items():
            if key not in ordered:
                ordered[key] = value
        for key, written in texts.items():
            ordered[key] = orjson.Fragment(written)
        try:
            text = orjson.dumps(ordered)
        except TypeError:
            raise BadRequest("exceeded max depth") from None
        return bytes(memoryview(text))  # a copy of the exact size: orjson's own buffer may be twice as long

    def served(self, value: bytes, revision: int) -> bytes:
        """A stored value as GET and watch answer it."""
        return b"".join((self.head, b"%d" % revision, b'",', value[self.cut :]))

    def item(self, value: bytes, revision: int) -> bytes:
        """A stored value as an item of a list: without kind and apiVersion, as upstream."""
        return b"".join((self.item_head, b"%d" % revision, b'",', value[self.cut :]))

    def item_bytes(self, value: bytes, revision: int) -> int:
        """How long `item` is."""
        return len(self.item_head) + len(b"%d" % revision) + 2 + len(value) - self.cut

    def served_bytes(self, value: bytes, revision: int) -> int:
        """How long `served` is."""
        return len(self.head) + len(b"%d" % revision) + 2 + len(value) - self.cut

    def decode(self, value: bytes, revision: int) -> Object:
        """A stored value as a fresh object with its resourceVersion."""
        obj: Object = orjson.loads(value)
        obj["metadata"]["resourceVersion"] = str(revision)
        return obj
