"""Whatever a client sends, a kind judges it and does not choke on it: random objects of every kind, through every hook."""

from __future__ import annotations

import copy
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.kinds import all_kinds
from apiserver.registry.kind import Context, Kind, User
from kube.objects import Object
from kube.schema.decode import DecodeError, decode
from kube.schema.definitions import load
from kube.schema.types import ListType, MapType, Scalar, StructType, Type

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
DEFINITIONS = load()
OBJECTS = 8
WORDS = (
    *("", "a", "A b", "x/y", "a.b.c", "..", "-", "*", "é\u200b", "None", "In", "Exists", "Exact", "Deny", "Local", "Bound", "Approved"),
    *("10.0.0.1", "10.0.0.0/8", "fd00::/64", "https://a/b", "%zz", "AAAA", "1Gi", "cpu", "IPv4", "IPv6", "object", "array", "map"),
    *("ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "RequireDualStack", "Limited", "Queue", "JSONPatch", "Webhook", "Container"),
)
KEYS = ("a", "cpu", "storage", "a b", "x/y", "..", "tls.crt", "")
VALUES: dict[str, tuple[Any, ...]] = {
    "any": ({}, 5, "x", True, {"type": "object", "properties": {"a": {"type": "string"}}}),
    "bool": (True, False),
    "float": (1.5, 0),
    "quantity": ("0", "-1", "1Gi", "100m", "9E"),
    "time": ("2026-01-01T00:00:00Z",),
    "micro_time": ("2026-01-01T00:00:00.000000Z",),
    "duration": ("1h",),
    "bytes": ("", "AAAA", "LS0t"),
    "int_or_string": (0, 80, -1, "http", "50%"),
}


def scalar(of: Scalar, rng: random.Random) -> Any:
    name = of.name.lower()
    if name in ("int32", "int64"):
        return rng.choice((0, 1, -1, 80, 600, 65536))
    return rng.choice(VALUES.get(name, WORDS))


def anything(of: Type, rng: random.Random, depth: int = 0) -> Any:
    if isinstance(of, StructType):
        chance = 0.5 if depth < 4 else 0.25 if depth < 8 else 0.0
        return {name: anything(field.type, rng, depth + 1) for name, field in of.fields.items() if rng.random() < chance}
    if isinstance(of, ListType):
        return [anything(of.item, rng, depth + 1) for _ in range(rng.choice((0, 1, 1, 2)))]
    if isinstance(of, MapType):
        return {rng.choice(KEYS): anything(of.value, rng, depth + 1) for _ in range(rng.choice((0, 1, 2)))}
    return scalar(of.scalar, rng)


def arrived(kind: Kind, rng: random.Random) -> Object | None:
    """A random object, decoded and defaulted; None when it cannot even be read."""
    meta: Object = {"name": "web", "uid": "u-1", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": rng.choice(WORDS)}}
    if kind.resource.namespaced:
        meta["namespace"] = "default"
    of = DEFINITIONS.type(kind.definition)
    body = anything(of, rng) | {"kind": kind.resource.kind, "apiVersion": kind.resource.api_version, "metadata": meta}
    try:
        obj: Object = decode(of, body).value
    except DecodeError:
        return None
    kind.default(obj)
    return obj


@pytest.mark.parametrize("kind", [kind for kind in all_kinds() if kind.create is None], ids=lambda kind: kind.resource.qualified)
def test_no_object_breaks_a_kind(kind: Kind) -> None:
    rng = random.Random(kind.definition)
    found = [each for each in (arrived(kind, rng) for _ in range(OBJECTS)) if each is not None]
    assert found
    parts = [(part.prepare, part.validate or kind.validate) for part in kind.subresources if part.prepare is not None]
    for obj, old in zip(found, (None, *found), strict=False):
        for prepare, validate in [(kind.prepare, kind.validate), *(parts if old is not None else ())]:
            new, context = copy.deepcopy(obj), Context(User("admin"), NOW, "create" if old is None else "update")
            prepare(new, copy.deepcopy(old), context)
            assert all(str(each) for each in validate(new, copy.deepcopy(old), context))
            if kind.row is not None:
                assert kind.row(new, NOW)
