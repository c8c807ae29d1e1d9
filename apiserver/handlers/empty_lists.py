"""Empty lists that a client sent, which Go tells from none until they are stored.

Where Go writes `null` for none, `[]` is kept until it is stored, because whoever sends it owns the field: decoding makes it null, which is
what is stored and read back (`registry/encoding.py`). And lists that defaults would fill in (`Kind.fills_lists`) stay empty. Only a body
with `[]` in it needs a look. Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kube.schema.types import ListType, MapType, StructType, Type


def keep_empty(of: Type, decoded: Any, sent: Any, filled: Collection[str] = ()) -> None:
    """Put `[]` back into a decoded value, in place, wherever the value it was decoded from has an empty list and the decoded one has null,
    or nothing, if it is one of `filled`."""
    if isinstance(of, StructType) and isinstance(decoded, dict) and isinstance(sent, dict):
        for name in filled:
            if sent.get(name) == [] and name not in decoded and name in of.fields:
                decoded[name] = []
        for name, value in decoded.items():
            field = of.fields.get(name)
            if field is None or name not in sent:
                continue
            if value is None and sent[name] == [] and isinstance(field.type, ListType):
                decoded[name] = []
            else:
                keep_empty(field.type, value, sent[name], filled)
    elif isinstance(of, ListType) and isinstance(decoded, list) and isinstance(sent, list) and len(decoded) == len(sent):
        for one, other in zip(decoded, sent, strict=True):
            keep_empty(of.item, one, other, filled)
    elif isinstance(of, MapType) and isinstance(decoded, dict) and isinstance(sent, dict):
        for name, value in decoded.items():
            keep_empty(of.value, value, sent.get(name), filled)
