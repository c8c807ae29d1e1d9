"""Who is told of which change, when watchers are woken, and what they share."""

from __future__ import annotations

import asyncio

import pytest

from apiserver.registry import watchers as watchers_module
from apiserver.registry.cache import ADDED, DELETED, MODIFIED, Change, Entry
from apiserver.registry.watchers import EVERYTHING, Watcher, Watchers
from kube.objects import Object

SELECTABLE = {"data.color": lambda obj: str(obj["data"].get("color", ""))}
FIELDS = {"data.color": 0}


def entry(name: str, revision: int, color: str = "", namespace: str = "a") -> Entry:
    obj: Object = {"metadata": {"name": name, "namespace": namespace}, "data": {"color": color}}
    made = Entry(f"/registry/things/{namespace}/{name}", "/registry/things/", b"{}", revision, revision, SELECTABLE)
    made.learn(obj)
    return made


def change(name: str, revision: int, *, color: str = "", was: str | None = None, namespace: str = "a", gone: bool = False) -> Change:
    previous = None if was is None else entry(name, revision - 1, was, namespace)
    kind = DELETED if gone else ADDED if previous is None else MODIFIED
    return Change(kind, entry(name, revision, color, namespace), previous)


def watching(everyone: Watchers, namespace: str = "", name: str = "", *, after: int = 0, field: tuple[str, str] | None = None) -> Watcher:
    watcher = Watcher(everyone, namespace, name, after, field)
    everyone.add(watcher)
    return watcher


def revisions(watcher: Watcher) -> list[int]:
    return [each.revision for each in watcher.take()]


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


CHANGES = [
    change("x", 1, color="red"),
    change("y", 2, color="blue"),
    change("x", 3, color="blue", was="red"),
    change("x", 4, namespace="b"),
    change("y", 5, color="blue", was="blue", gone=True),
]
ASKED: dict[str, tuple[str, str, tuple[str, str] | None, list[int]]] = {
    "everything": ("", "", None, [1, 2, 3, 4, 5]),
    "a namespace": ("a", "", None, [1, 2, 3, 5]),
    "a namespace with nothing in it": ("c", "", None, []),
    "a name": ("", "x", None, [1, 3, 4]),
    "a name in a namespace": ("b", "x", None, [4]),
    "a field that an object had": ("", "", ("data.color", "red"), [1, 3]),
    "a field that an object has, gets, or had when it went": ("", "", ("data.color", "blue"), [2, 3, 5]),
    "a field that is empty, in a namespace": ("b", "", ("data.color", ""), [4]),
}


@pytest.mark.parametrize(("namespace", "name", "field", "expected"), ASKED.values(), ids=ASKED.keys())
async def test_who_is_told_of_what(namespace: str, name: str, field: tuple[str, str] | None, expected: list[int]) -> None:
    everyone = Watchers()
    watcher = watching(everyone, namespace, name, field=field)
    everyone.tell(CHANGES, FIELDS)
    assert revisions(watcher) == expected
    watcher.close()
    everyone.tell([change("x", 6, color="red"), change("x", 7, color="blue")], FIELDS)
    assert revisions(watcher) == []
    assert len(everyone) == 0


async def test_what_is_not_newer_is_not_told_again() -> None:
    everyone = Watchers()
    watcher = watching(everyone, after=2)
    everyone.tell(CHANGES, FIELDS)
    assert revisions(watcher) == [3, 4, 5]


async def test_a_watcher_that_would_wait_for_too_much_is_cut_off_and_told_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers_module, "WATCHER_CHANGES_MAX", 3)
    everyone = Watchers()
    slow = watching(everyone)
    everyone.tell(CHANGES[:3], FIELDS)
    assert not slow.cut_off
    everyone.tell(CHANGES[3:], FIELDS)
    assert (slow.cut_off, slow.ready.is_set(), slow.changes, len(everyone)) == (True, True, [], 0)


async def test_after_many_were_woken_the_next_changes_wait_and_come_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers_module, "PAUSE_MIN_S", 0.0)
    everyone = Watchers()
    watcher = watching(everyone)
    everyone.tell(CHANGES[:1], FIELDS)
    assert watcher.ready.is_set(), "the first is told at once"
    assert revisions(watcher) == [1]
    await turns(3)
    everyone.tell(CHANGES[1:2], FIELDS)
    everyone.tell(CHANGES[2:3], FIELDS)
    assert not watcher.ready.is_set()
    await watcher.ready.wait()
    assert revisions(watcher) == [2, 3]


async def test_who_took_everything_before_the_pause_was_over_is_not_woken_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers_module, "PAUSE_MIN_S", 0.0)
    everyone = Watchers()
    busy, other = watching(everyone), watching(everyone)
    everyone.tell(CHANGES[:1], FIELDS)
    busy.take()
    other.take()
    await turns(3)
    everyone.tell(CHANGES[1:2], FIELDS)
    assert revisions(busy) == [2], "it was still at work, and took this, too"
    await other.ready.wait()
    assert not busy.ready.is_set()


async def test_a_few_watchers_are_woken_at_once_every_time() -> None:
    everyone = Watchers()
    watcher = watching(everyone)
    for each in CHANGES:
        everyone.tell([each], FIELDS)
        assert watcher.ready.is_set()
        assert revisions(watcher) == [each.revision]
        await turns(3)


async def test_the_end_wakes_those_who_wait_and_those_who_are_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers_module, "PAUSE_MIN_S", 0.0)
    everyone = Watchers()
    watcher = watching(everyone)
    everyone.tell(CHANGES[:1], FIELDS)
    watcher.take()
    await turns(3)
    everyone.tell(CHANGES[1:2], FIELDS)
    everyone.end()
    assert (watcher.ended, watcher.ready.is_set()) == (True, True)


async def test_a_chunk_is_shared_by_those_who_send_the_same_changes() -> None:
    everyone = Watchers()
    one, two = watching(everyone), watching(everyone)
    everyone.tell(CHANGES[:3], FIELDS)
    mine, theirs = one.take(), two.take()
    assert everyone.shared("key", mine) is None
    everyone.share("key", mine, b"chunk")
    assert everyone.shared("key", theirs) == b"chunk"
    assert everyone.shared("another", theirs) is None
    assert everyone.shared("key", theirs[:2]) is None
    everyone.tell(CHANGES[3:], FIELDS)
    assert everyone.shared("key", theirs) is None, "it is not kept past the next change"


def test_scopes_of_everything_and_of_a_field_are_apart() -> None:
    everyone = Watchers.__new__(Watchers)
    assert Watcher(everyone, "", "").scope == EVERYTHING
    assert Watcher(everyone, "a", "", field=("name", "x")).scope != Watcher(everyone, "a", "x").scope
