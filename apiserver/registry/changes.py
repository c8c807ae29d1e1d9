"""What a write changes about an object, seen from outside its kind: generation, owners, and whether anything changed at all. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apiserver.registry.kind import Context
from kube.objects import Object
from kube.schema.types import ListType, MapType, StructType, Type


def count_generation(new: Object, old: Object) -> None:
    """One more when anything but metadata and status differs; otherwise what it was."""
    generation = old["metadata"].get("generation", 0)
    ignored = ("metadata", "status", "kind", "apiVersion")
    keys: Iterable[str] = (new.keys() | old.keys()).difference(ignored)
    changed = any(new.get(key) != old.get(key) for key in keys)
    if changed:
        generation += 1
    if generation:
        new["metadata"]["generation"] = generation


def same(new: Object, old: Object) -> bool:
    """Equal but for the resourceVersion."""
    was, now = old["metadata"], new["metadata"]
    if {**now, "resourceVersion": None} != {**was, "resourceVersion": None}:
        return False
    return all(new.get(key) == old.get(key) for key in (new.keys() | old.keys()) - {"metadata"})


def null_empty_lists(of: Type, value: Any) -> None:
    """Turn empty lists into null, in place, where Go writes null for none: so upstream reads back what it has stored."""
    if isinstance(of, StructType) and isinstance(value, dict):
        for name, each in value.items():
            field = of.fields.get(name)
            if field is not None and each is not None:
                if each == [] and field.always and isinstance(field.type, ListType):
                    value[name] = None
                else:
                    null_empty_lists(field.type, each)
    elif isinstance(of, ListType | MapType) and isinstance(value, list | dict):
        inner = of.item if isinstance(of, ListType) else of.value
        for each in value if isinstance(value, list) else value.values():
            null_empty_lists(inner, each)


def dedup_owners(meta: Object, ctx: Context, *, again: bool = False) -> None:
    """Equal owner references are one; that there were several is said in a warning. `again`: admission has made it so."""
    owners = meta.get("ownerReferences")
    if not owners or len(owners) < 2:
        return
    unique: list[Object] = []
    for owner in owners:
        if owner not in unique:
            unique.append(owner)
    if len(unique) == len(owners):
        return
    repeated = [owner["uid"] for index, owner in enumerate(owners) if owner in owners[:index]]
    ctx.warnings.append(
        f".metadata.ownerReferences contains duplicate entries{' after mutating admission happens' if again else ''}; API server dedups "
        "owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "
        + ", ".join(dict.fromkeys(repeated))
    )
    meta["ownerReferences"] = unique
