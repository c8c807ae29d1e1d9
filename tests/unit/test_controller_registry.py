"""Which controllers there are, which are selected, and reading one's own writes."""

from __future__ import annotations

from typing import Any, cast

import pytest

from controllers.manager.own_writes import OwnWrites
from controllers.manager.registry import CONTROLLERS, Options, UnknownController, select
from controllers.manager.status import meaningful, omit_zeros, same_status
from kube.client.informer import Informer
from kube.objects import Object, key_of


def test_every_controller_can_be_made_and_has_a_name() -> None:
    names = [each(Options()).name for each in CONTROLLERS.values()]
    assert all(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("spec", "has", "lacks"),
    [
        pytest.param(["*"], ["deployment-controller", "job-controller"], [], id="a star is all of them"),
        pytest.param(["*", "-job-controller"], ["deployment-controller"], ["job-controller"], id="a minus takes one away"),
        pytest.param(["job-controller"], ["job-controller"], ["deployment-controller"], id="a name alone is only that one"),
        pytest.param(["-job", "*"], ["deployment-controller"], ["job-controller"], id="old names work, in any order"),
        pytest.param(["job", "-job", "*"], ["job-controller"], [], id="the first word about one counts"),
        pytest.param([], [], ["job-controller"], id="nothing is nothing"),
    ],
)
def test_what_is_selected(spec: list[str], has: list[str], lacks: list[str]) -> None:
    selected = select(spec)
    assert set(has) <= set(selected)
    assert not set(lacks) & set(selected)


def test_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownController, match='"nonsense" is not in the list of known controllers'):
        select(["*", "-nonsense"])


class FakeInformer:
    """A cache that is told what to show."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.handlers: list[Any] = []
        self.put_in: list[Object] = []

    def add_handler(self, handler: Any) -> None:
        self.handlers.append(handler)

    def get(self, key: str) -> Object | None:
        return self.objects.get(key)

    def put(self, obj: Object) -> None:
        self.put_in.append(obj)

    def show(self, obj: Object) -> None:
        self.objects[key_of(obj)] = obj

    def lose(self, obj: Object) -> None:
        self.objects.pop(key_of(obj))
        for handler in self.handlers:
            handler(obj, None)


def pod(uid: str, **metadata: Any) -> Object:
    return {"metadata": {"name": "p", "namespace": "ns", "uid": uid, **metadata}}


def test_what_was_deleted_on_the_spot_is_not_counted_while_the_cache_still_shows_it() -> None:
    informer = FakeInformer()
    writes = OwnWrites(cast(Informer, informer))
    informer.show(pod("a"))
    writes.note_deleted(pod("a"), {"kind": "Status"})
    assert writes.without_gone([pod("a"), pod("b")]) == [pod("b")]
    informer.lose(pod("a"))
    assert writes.without_gone([pod("a")]) == [pod("a")]


def test_what_the_cache_has_lost_already_is_not_remembered() -> None:
    informer = FakeInformer()
    writes = OwnWrites(cast(Informer, informer))
    writes.note_deleted(pod("a"), None)
    informer.show(pod("other"))
    writes.note_deleted(pod("a"), None)
    assert writes.without_gone([pod("a")]) == [pod("a")]


def test_what_is_being_deleted_is_put_into_the_cache() -> None:
    informer = FakeInformer()
    leaving = pod("a", deletionTimestamp="x")
    OwnWrites(cast(Informer, informer)).note_deleted(pod("a"), leaving)
    assert informer.put_in == [leaving]


def test_a_status_is_the_same_when_only_zeros_differ() -> None:
    assert same_status({"replicas": 0, "conditions": []}, {})
    assert same_status({"a": {"b": None}}, None)
    assert not same_status({"replicas": 1}, {"replicas": 2})
    assert meaningful({"a": [{"b": 0, "c": 1}]}) == {"a": [{"c": 1}]}
    assert omit_zeros({"a": 0, "b": 1, "c": 0}, keep=("c",)) == {"b": 1, "c": 0}


def test_the_order_of_names_makes_no_difference() -> None:
    assert select(reversed(list(CONTROLLERS))) == list(CONTROLLERS)
