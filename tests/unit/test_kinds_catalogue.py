"""All kinds together: each is what the rest of the server takes it for."""

from __future__ import annotations

import copy
from collections import Counter
from datetime import UTC, datetime

import pytest

from apiserver.kinds import all_kinds
from apiserver.registry.kind import Context, Kind, User
from apiserver.validation.names import name_errors
from kube.objects import Object
from kube.schema.decode import decode
from kube.schema.definitions import load

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
KINDS = all_kinds()
STORED = [kind for kind in KINDS if kind.create is None]
DEFINITIONS = load()


def ids(kind: Kind) -> str:
    return kind.resource.qualified


def least(kind: Kind) -> Object:
    """An object that says as little as possible, as it would be stored."""
    meta: Object = {"name": "a", "creationTimestamp": "2026-05-01T11:59:00Z", "uid": "u-1"}
    if kind.resource.namespaced:
        meta["namespace"] = "default"
    body = {"kind": kind.resource.kind, "apiVersion": kind.resource.api_version, "metadata": meta, "spec": {}}
    obj: Object = decode(DEFINITIONS.type(kind.definition), body).value
    kind.default(obj)
    kind.prepare(obj, None, Context(User("admin"), NOW, "create"))
    return obj


def test_no_two_kinds_share_a_name_or_a_place_in_the_store() -> None:
    served = [kind.resource for kind in KINDS] + [each.resource for kind in KINDS for each in kind.conversions]
    assert max(Counter((each.group, each.version, each.plural) for each in served).values()) == 1
    assert max(Counter(kind.storage_prefix for kind in STORED).values()) == 1


def test_no_two_kinds_share_a_short_name() -> None:
    words = Counter(word for kind in KINDS for word in (kind.resource.plural, *kind.short_names))
    assert {word for word, count in words.items() if count > 1} <= {"events", "bindings"}


@pytest.mark.parametrize("kind", KINDS, ids=ids)
def test_every_definition_is_known(kind: Kind) -> None:
    names = [kind.definition, *(each.definition for each in kind.conversions), *(each.definition for each in kind.subresources)]
    for name in filter(None, names):
        assert DEFINITIONS.type(name).fields


CELLS_MORE = {"ipaddresses": 1}
"""Upstream prints an address's age without a column for it."""


@pytest.mark.parametrize("kind", [kind for kind in STORED if kind.row is not None], ids=ids)
def test_every_row_fills_every_column(kind: Kind) -> None:
    assert kind.row is not None
    assert len(kind.row(least(kind), NOW)) == len(kind.columns) + CELLS_MORE.get(kind.resource.plural, 0)


@pytest.mark.parametrize("kind", STORED, ids=ids)
def test_defaulting_twice_is_defaulting_once(kind: Kind) -> None:
    obj = least(kind)
    kind.default(obj)
    once = copy.deepcopy(obj)
    kind.default(obj)
    assert obj == once


@pytest.mark.parametrize("kind", STORED, ids=ids)
def test_the_least_object_is_judged_and_not_choked_on(kind: Kind) -> None:
    obj = least(kind)
    found = kind.validate(obj, None, Context(User("admin"), NOW, "create"))
    assert all(each.field and each.message for each in found)
    again = kind.validate(copy.deepcopy(obj), obj, Context(User("admin"), NOW, "update"))
    assert all(each.field and each.message for each in again)


@pytest.mark.parametrize("kind", STORED, ids=ids)
def test_every_selectable_field_reads_as_text(kind: Kind) -> None:
    obj = least(kind)
    assert all(isinstance(read(obj), str) for read in kind.selectable.values())


@pytest.mark.parametrize("kind", STORED, ids=ids)
def test_every_name_rule_exists(kind: Kind) -> None:
    assert name_errors(kind.name_rule, "a") == []


@pytest.mark.parametrize("kind", [kind for kind in STORED if any(each.name == "status" for each in kind.subresources)], ids=ids)
def test_status_writes_leave_the_spec_alone(kind: Kind) -> None:
    part = next(each for each in kind.subresources if each.name == "status")
    assert part.prepare is not None
    old = least(kind)
    new = copy.deepcopy(old)
    new["spec"] = {"changed": True}
    part.prepare(new, old, Context(User("admin"), NOW, "update", subresource="status"))
    assert new.get("spec") == old.get("spec")
