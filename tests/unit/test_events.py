"""Recording events: counted, combined, limited, never blocking."""

from __future__ import annotations

import asyncio
import pickle
import random
from typing import Any

import pytest

from kube.client.client import Client
from kube.client.transport import AsgiTransport
from kube.clock import LoopClock
from kube.objects import Object
from kube.runtime import events, metrics
from kube.runtime.correlator import ENTRIES_MAX, Correlator
from kube.runtime.events import EventRecorder
from tests.fake_api import FakeApi
from tests.virtual import virtual

POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "shop", "uid": "u1", "resourceVersion": "7", "labels": {"a": "b"}},
}
NODE: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u2"}}


def recorder(app: Any, **rest: Any) -> EventRecorder:
    client = Client(AsgiTransport(app), user_agent="test")
    return EventRecorder(client, component="kubelet", clock=LoopClock(), rng=random.Random(0), **rest)


def events_of(api: FakeApi) -> list[Object]:
    return list(api.objects.values())


def dropped(reason: str) -> float:
    return float(metrics.EVENTS_DROPPED.labels(reason).value)


@virtual
async def test_an_event_says_everything_upstreams_do() -> None:
    api = FakeApi(random.Random(0))
    record = recorder(api, host="n1")
    record.record(POD, "Normal", "Pulled", "Image pulled", field_path="spec.containers{web}")
    await record.flush()
    (path,) = api.objects
    (event,) = events_of(api)
    assert path.startswith("/api/v1/namespaces/shop/events/web.")
    int(path.rpartition(".")[2], 16)
    del event["metadata"]
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {
            "kind": "Pod",
            "namespace": "shop",
            "name": "web",
            "uid": "u1",
            "apiVersion": "v1",
            "resourceVersion": "7",
            "fieldPath": "spec.containers{web}",
        },
        "reason": "Pulled",
        "message": "Image pulled",
        "source": {"component": "kubelet", "host": "n1"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
        "type": "Normal",
        "reportingComponent": "kubelet",
        "reportingInstance": "n1",
    }


@virtual
async def test_the_same_again_is_counted() -> None:
    api = FakeApi(random.Random(0))
    record = recorder(api)
    for _ in range(3):
        record.record(POD, "Normal", "Pulled", "Image pulled")
        await asyncio.sleep(60)
    await record.flush()
    (event,) = events_of(api)
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (3, "2026-01-01T00:00:00Z", "2026-01-01T00:02:00Z")
    assert [method for method, _ in api.requests] == ["POST", "PATCH", "PATCH"]


@virtual
async def test_an_event_that_expired_meanwhile_is_made_anew() -> None:
    api = FakeApi(random.Random(0))
    record = recorder(api)
    record.record(POD, "Normal", "Pulled", "Image pulled")
    await record.flush()
    api.objects.clear()
    record.record(POD, "Normal", "Pulled", "Image pulled")
    await record.flush()
    (event,) = events_of(api)
    assert event["count"] == 2


@virtual
async def test_different_things_are_different_events_even_at_the_same_moment() -> None:
    api = FakeApi(random.Random(0))
    record = recorder(api)
    record.record(POD, "Normal", "Pulled", "one")
    record.record(POD, "Normal", "Pulled", "two")
    record.record(POD, "Warning", "Pulled", "one")
    record.record(NODE, "Normal", "Pulled", "one")
    record.record({"kind": "Pod", "name": "web", "namespace": "shop", "uid": "other"}, "Normal", "Pulled", "one")
    await record.flush()
    assert len(events_of(api)) == 5
    assert {event["metadata"]["namespace"] for event in events_of(api)} == {"shop", "default"}


@virtual
async def test_ten_that_differ_by_message_only_are_combined() -> None:
    api = FakeApi(random.Random(0))
    record = recorder(api)
    for number in range(14):
        record.record(POD, "Warning", "Failed", f"attempt {number}")
    await record.flush()
    combined = [event for event in events_of(api) if event["message"].startswith("(combined from similar events): ")]
    assert len(events_of(api)) == 10
    assert [(event["count"], event["message"]) for event in combined] == [(5, "(combined from similar events): attempt 13")]


@virtual
async def test_one_object_gets_25_events_at_once_then_one_in_five_minutes() -> None:
    api = FakeApi(random.Random(0))
    record = recorder(api)
    before = dropped("spam")
    for number in range(40):
        record.record(POD, "Normal", f"Reason{number}", "x")
    record.record(NODE, "Normal", "Other", "x")
    await record.flush()
    assert len(events_of(api)) == 26
    assert dropped("spam") - before == 15
    await asyncio.sleep(301)
    for number in range(5):
        record.record(POD, "Normal", f"Later{number}", "x")
    await record.flush()
    assert len(events_of(api)) == 27


@virtual
async def test_where_many_nodes_share_a_process_each_event_says_whose_it_is() -> None:
    api = FakeApi(random.Random(0))
    record = recorder(api, host="first")
    record.record(POD, "Normal", "Pulled", "x", host="n7")
    record.record(POD, "Normal", "Pulled", "x")
    await record.flush()
    assert [event["source"] for event in events_of(api)] == [
        {"component": "kubelet", "host": "n7"},
        {"component": "kubelet", "host": "first"},
    ]
    assert [event["reportingInstance"] for event in events_of(api)] == ["n7", "first"]


@virtual
async def test_an_event_that_waited_says_when_it_happened() -> None:
    api = FakeApi(random.Random(0))
    record = recorder(api)
    record.record(POD, "Normal", "Pulled", "x")
    await asyncio.sleep(90)
    await record.flush()
    assert [event["lastTimestamp"] for event in events_of(api)] == ["2026-01-01T00:00:00Z"]


@virtual
async def test_a_full_queue_drops_and_counts_and_never_blocks(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(events, "QUEUE_MAX", 100)
    record = recorder(FakeApi(random.Random(0)))
    before = dropped("full")
    for number in range(110):
        record.record({**NODE, "metadata": {"name": f"n{number}"}}, "Normal", "Ready", "x")
    assert dropped("full") - before == 10
    assert [each.getMessage() for each in caplog.records] == ["1 events were dropped: 100 are waiting to be sent already"]
    await asyncio.sleep(60)
    await record.flush()
    assert [each.getMessage() for each in caplog.records][1:] == ["9 events were dropped: 100 are waiting to be sent already"]


def test_ten_thousand_pods_may_start_at_once() -> None:
    """Each with Scheduled or its kubelet's Pulling, Pulled, Created and Started."""
    assert events.QUEUE_MAX >= 10_000 * 4


@virtual
async def test_events_wait_for_a_server_that_is_away() -> None:
    api = FakeApi(random.Random(0))
    api.faults.lose = 1.0
    record = recorder(api)
    task = asyncio.create_task(record.run())
    record.record(POD, "Normal", "Pulled", "x")
    await asyncio.sleep(65)
    api.faults.lose = 0.0
    await asyncio.sleep(20)
    assert len(events_of(api)) == 1
    record.record(NODE, "Normal", "Pulled", "x")
    await asyncio.sleep(1)
    assert len(events_of(api)) == 2
    task.cancel()
    await asyncio.wait([task])


@virtual
async def test_what_the_server_refuses_is_dropped_and_what_it_never_takes_too(caplog: pytest.LogCaptureFixture) -> None:
    api = FakeApi(random.Random(0))
    before = dropped("failed")
    record = recorder(api)
    api.faults.error_500 = 1.0
    record.record(POD, "Normal", "Pulled", "x")
    await record.flush()
    api.faults.error_500, api.faults.lose = 0.0, 1.0
    record.record(POD, "Normal", "Started", "x")
    await record.flush()
    assert dropped("failed") - before == 2
    assert events_of(api) == []
    assert "was not recorded" in caplog.text


@virtual
async def test_an_object_without_a_kind_is_logged_and_let_be(caplog: pytest.LogCaptureFixture) -> None:
    record = recorder(FakeApi(random.Random(0)))
    record.record({"metadata": {"name": "x"}}, "Normal", "Pulled", "x")
    await record.flush()
    assert "no kind" in caplog.text


def test_the_correlator_forgets_what_is_long_unused() -> None:
    correlator = Correlator()
    rest = {"type": "Normal", "reason": "R", "message": "m", "reportingComponent": "c", "reportingInstance": "", "firstTimestamp": "t"}
    for number in range(ENTRIES_MAX * 2):
        event = {
            **rest,
            "metadata": {"name": str(number)},
            "count": 1,
            "source": {"component": "c"},
            "involvedObject": {"name": str(number)},
        }
        assert correlator.correlate(event, 0.0) == (event, False)
    assert len(correlator._seen._values) == len(correlator._similar._values) == len(correlator._spam._values) == ENTRIES_MAX


@virtual
async def test_of_what_was_recorded_little_is_remembered() -> None:
    record = recorder(FakeApi(random.Random(0)))
    for number in range(100):
        record.record({"kind": "Pod", "name": f"p{number}"}, "Normal", "Pulled", "x" * 10_000)
    await record.flush()
    assert len(pickle.dumps(record._correlator)) < 100 * 500
