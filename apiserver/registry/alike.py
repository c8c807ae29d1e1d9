"""Objects that are alike but for their metadata: what decoding, defaulting and ownership make of all the rest is worked out once.

A ReplicaSet creates a thousand pods with one spec. `Alike` remembers, by the bytes of everything but the metadata, the decoded and
defaulted rest and the fields that its creator comes to own. Only bodies without anything out of the ordinary are remembered (no unknown
fields, nothing to warn of), so what is recalled needs no second look. Validation has its own memory, since admission comes in between
(`kube/memo.py`). A kind takes part by `Kind.alike`: its `default` must neither read nor change the metadata.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from kube.memo import KEY_BYTES_MAX, Memo, bytes_of
from kube.objects import Object
from kube.patch.fieldset import FieldSet
from kube.schema.decode import decode_clean
from kube.schema.types import StructType

_HEAD: Final = ("kind", "apiVersion", "metadata")
_SPEC: Final = b',"spec":{'
"""Where the rest begins in most bodies. No string can contain this: its quotes would be escaped."""


@dataclass(slots=True)
class Known:
    """What is known of one rest: its final form as JSON, and (once somebody has asked) the fields that whoever creates it owns."""

    rest: bytes
    fields: FieldSet | None = None


@dataclass(slots=True)
class Likeness:
    """One body's place in the memory. `known` is None until the body has been decoded and `learn`ed."""

    of: Alike
    key: bytes
    known: Known | None

    def recall(self, sent: Object) -> Object | None:
        """The decoded and defaulted object of a body, fresh; None when it is not known or its metadata is out of the ordinary."""
        if self.known is None:
            return None
        decoded = decode_clean(self.of.metadata_only, {"metadata": sent.get("metadata") or {}})
        if decoded is None:
            return None
        obj: Object = decoded.value
        obj.update(orjson.loads(self.known.rest))
        return obj

    def learn(self, obj: Object) -> None:
        """Remember a decoded and defaulted object; nothing was out of the ordinary with it."""
        rest = bytes_of({key: value for key, value in obj.items() if key not in _HEAD})
        if rest is not None:
            self.known = Known(rest)
            self.of.memo.put(self.key, self.known)


class Alike:
    """The memory of one served type."""

    def __init__(self, of: StructType) -> None:
        metadata = {"metadata": of.fields["metadata"]}
        self.metadata_only = StructType(of.name, of.go_name, lambda: metadata)
        self.memo: Memo[Known] = Memo()
        self._tails: Memo[Likeness] = Memo()

    def known_tail(self, body: bytes) -> tuple[bytes, Likeness] | None:
        """A body whose text from its spec on is known: the text before, as an object of its own, and its place. The caller parses that
        much, and finds out whether it is one (it is none where the spec is not at the top)."""
        at = body.find(_SPEC)
        likeness = self._tails.get(body[at:]) if at > 0 else None
        return (body[:at] + b"}", likeness) if likeness is not None else None

    def learn_tail(self, body: bytes, sent: Object, likeness: Likeness) -> None:
        """Remember a body's text from its spec on, where kind, apiVersion and metadata are all before it. The body has been `learn`ed."""
        at = body.find(_SPEC)
        if at < 0 or len(body) - at > KEY_BYTES_MAX or likeness.known is None:
            return
        try:
            head: Any = orjson.loads(body[:at] + b"}")
        except orjson.JSONDecodeError:
            return
        if isinstance(head, dict) and head.keys() == {name for name in _HEAD if name in sent}:
            self._tails.put(body[at:], likeness)

    def likeness(self, sent: Object) -> Likeness | None:
        """The place of a body; None for one too long to be remembered."""
        key = bytes_of({key: value for key, value in sent.items() if key not in _HEAD})
        return Likeness(self, key, self.memo.get(key)) if key is not None else None
