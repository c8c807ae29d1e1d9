"""Empty lists that a client sent where Go writes `null` for none: kept until they are stored, because whoever sends `[]` owns the field.

Decoding makes them null, which is what is stored and read back (`registry/encoding.py`). Only a body with `[]` in it needs a look. Pure.
"""

from __future__ import annotations

from typing import Any

from kube.schema.types import ListType, MapType, StructType, Type


def keep_empty(of: Type, decoded: Any, sent: Any) -> None:
    """Put `[]` back into a decoded value, in place, wherever it has null and the value it was decoded from has an empty list."""
    if isinstance(of, StructType) and isinstance(decoded, dict) and isinstance(sent, dict):
        for name, value in decoded.items():
            field = of.fields.get(name)
            if field is None or name not in sent:
                continue
            if value is None and sent[name] == [] and isinstance(field.type, ListType):
                decoded[name] = []
            else:
                keep_empty(field.type, value, sent[name])
    elif isinstance(of, ListType) and isinstance(decoded, list) and isinstance(sent, list) and len(decoded) == len(sent):
        for one, other in zip(decoded, sent, strict=True):
            keep_empty(of.item, one, other)
    elif isinstance(of, MapType) and isinstance(decoded, dict) and isinstance(sent, dict):
        for name, value in decoded.items():
            keep_empty(of.value, value, sent.get(name))
