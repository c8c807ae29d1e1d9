"""The work queue: client-go's semantics, on virtual time."""

from __future__ import annotations

import asyncio
import random

import pytest

from kube.runtime import metrics
from kube.runtime.queue import QueueShutDown, WorkQueue
from kube.runtime.rates import TokenBucket, backoff_s
from tests.virtual import virtual


def queue(**rest: float) -> WorkQueue:
    return WorkQueue(rng=random.Random(0), **rest)  # type: ignore[arg-type]


def now() -> float:
    return asyncio.get_running_loop().time()


async def drain(q: WorkQueue) -> list[str]:
    out = []
    while len(q):
        out.append(await q.get())
        q.done(out[-1])
    return out


@virtual
async def test_keys_come_in_the_order_they_were_added_and_once_each() -> None:
    q = queue()
    for key in "abcabc":
        q.add(key)
    assert len(q) == 3
    assert await drain(q) == ["a", "b", "c"]


@virtual
async def test_a_key_added_while_it_is_worked_on_comes_again_after_done_and_never_beside() -> None:
    q = queue()
    q.add("a")
    assert await q.get() == "a"
    q.add("a")
    q.add("a")
    assert len(q) == 0
    q.done("a")
    assert await drain(q) == ["a"]


@virtual
async def test_a_hundred_workers_never_have_the_same_key_at_once_and_miss_no_add() -> None:
    q, rng = queue(), random.Random(1)
    busy: set[str] = set()
    added, seen = dict.fromkeys("abcdefgh", 0), dict.fromkeys("abcdefgh", 0)

    async def work() -> None:
        while True:
            key = await q.get()
            assert key not in busy
            busy.add(key)
            seen[key] = added[key]
            await asyncio.sleep(rng.random())
            busy.discard(key)
            q.done(key)

    workers = [asyncio.create_task(work()) for _ in range(100)]
    for _ in range(2000):
        key = rng.choice("abcdefgh")
        added[key] += 1
        q.add(key)
        await asyncio.sleep(rng.random() / 20)
    await asyncio.sleep(10)
    assert seen == added
    q.shut_down()
    results = await asyncio.gather(*workers, return_exceptions=True)
    assert all(isinstance(each, QueueShutDown) for each in results)


@virtual
async def test_a_worker_that_waits_gets_the_key_at_once() -> None:
    q = queue()
    getting = asyncio.create_task(q.get())
    await asyncio.sleep(5)
    q.add("a")
    assert await getting == "a"
    assert now() == 5


@virtual
async def test_a_worker_cancelled_while_it_is_handed_a_key_leaves_it_to_the_next() -> None:
    q = queue()
    first, second = asyncio.create_task(q.get()), asyncio.create_task(q.get())
    await asyncio.sleep(0)
    q.add("a")
    first.cancel()
    assert await second == "a"
    await asyncio.wait([first])


@virtual
async def test_what_waits_is_handed_out_after_shut_down_then_everyone_is_told() -> None:
    q = queue()
    q.add("a")
    q.add_after("b", 5)
    q.shut_down()
    q.add("c")
    q.add_after("d", 1)
    assert await q.get() == "a"
    with pytest.raises(QueueShutDown):
        await q.get()


@virtual
async def test_a_delayed_key_comes_when_it_is_due_and_the_earliest_time_counts() -> None:
    q = queue()
    q.add_after("a", 100)
    q.add_after("b", 50)
    q.add_after("a", 10)
    q.add_after("a", 70)
    q.add_after("c", 0)
    out = []
    for _ in range(3):
        key = await q.get()
        q.done(key)
        out.append((key, now()))
    assert out == [("c", 0), ("a", 10), ("b", 50)]
    await asyncio.sleep(200)
    assert len(q) == 0


@virtual
async def test_failures_of_a_key_double_its_delay_up_to_the_most_until_it_is_forgotten() -> None:
    q = queue(base_delay_s=1, max_delay_s=10, qps=1000, burst=1000)
    waits = []
    for _ in range(6):
        before = now()
        q.add_rate_limited("a")
        q.done(await q.get())
        waits.append(round(now() - before, 6))
    assert waits == [1, 2, 4, 8, 10, 10]
    assert q.retries("a") == 6
    q.forget("a")
    assert q.retries("a") == 0
    before = now()
    q.add_rate_limited("a")
    await q.get()
    assert now() - before == 1


@virtual
async def test_all_keys_together_are_limited_by_the_bucket() -> None:
    q = queue(qps=10, burst=100)
    for number in range(150):
        q.add_rate_limited(f"key-{number}")
    await asyncio.sleep(0.5)
    assert 100 <= len(q) <= 106
    await asyncio.sleep(5)
    assert len(q) == 150


def test_a_bucket_refills_no_further_than_its_burst() -> None:
    bucket = TokenBucket(qps=2, burst=3)
    assert [bucket.take(0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(0.5), bucket.take(0.5)] == [True, False]
    assert [bucket.take(1000) for _ in range(4)] == [True, True, True, False]
    assert bucket.reserve(1000) == 0.5
    assert bucket.reserve(1000) == 1.0
    assert bucket.reserve(999) == 1.5


def test_back_off_does_not_overflow() -> None:
    assert backoff_s(5000, base_s=0.005, max_s=1000) == 1000
    assert [backoff_s(n, base_s=0.005, max_s=1000) for n in (0, 1, 30)] == [0.005, 0.01, 1000]


@virtual
async def test_a_named_queue_is_measured_under_upstreams_names() -> None:
    q = WorkQueue(rng=random.Random(0), name="measured")
    q.add("a")
    q.add_rate_limited("b")
    await asyncio.sleep(3)
    await q.get()
    await asyncio.sleep(2)
    shown = metrics.exposition().decode()
    assert 'workqueue_depth{name="measured"} 1' in shown
    assert 'workqueue_adds_total{name="measured"} 2' in shown
    assert 'workqueue_retries_total{name="measured"} 1' in shown
    assert 'workqueue_queue_duration_seconds_sum{name="measured"} 3' in shown
    assert 'workqueue_longest_running_processor_seconds{name="measured"} 2' in shown
    q.done("a")
    assert 'workqueue_work_duration_seconds_sum{name="measured"} 2' in metrics.exposition().decode()
    q.shut_down()


def test_a_metric_is_made_once_and_of_one_type() -> None:
    assert metrics.counter("test_things", "Things") is metrics.counter("test_things", "Things")
    with pytest.raises(ValueError, match="another type"):
        metrics.gauge("test_things", "Things")
