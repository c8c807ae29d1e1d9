"""Objects of a kind, and what validation says of them. Nothing here is a test."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from apiserver.registry.kind import Context, Kind, User
from kube.objects import Object

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def made(kind: Kind, *, name: str = "web", **fields: Any) -> Object:
    obj: Object = {"metadata": {"name": name, "namespace": "default", "uid": "u-1"}, **copy.deepcopy(fields)}
    kind.default(obj)
    kind.prepare(obj, None, Context(User("admin"), NOW, "create"))
    return obj


def said(kind: Kind, new: Object, old: Object | None = None) -> list[str]:
    return [str(each) for each in kind.validate(new, old, Context(User("admin"), NOW, "create" if old is None else "update"))]


CRD: Object = {
    "group": "example.com",
    "scope": "Namespaced",
    "names": {"plural": "gears", "kind": "Gear"},
    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}],
}
