"""Deleting: grace, finalizers, propagation, preconditions, collections, and what watchers see of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.component.served import CONFIG_MAPS, DEPLOYMENTS, MERGE, PODS, Api, config_map, deployment, pod, served
from tests.virtual import virtual


async def version(api: Api, path: str) -> str:
    return str((await api.ok("GET", path))["metadata"]["resourceVersion"])


async def assigned(api: Api, name: str, **spec: Any) -> None:
    """A pod on a node: the only kind that takes its time."""
    await api.ok("POST", PODS, pod(name, nodeName="n", **spec))


def seen(events: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(each["type"], each["object"]["metadata"].get("deletionGracePeriodSeconds")) for each in events]


@virtual
async def test_a_pod_goes_in_two_steps_that_watchers_see() -> None:
    async with served() as api:
        start = await version(api, PODS)
        await assigned(api, "p", terminationGracePeriodSeconds=30)
        marked = await api.ok("DELETE", f"{PODS}/p")
        assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
        sooner = await api.ok("DELETE", f"{PODS}/p?gracePeriodSeconds=5")
        assert sooner["metadata"]["deletionGracePeriodSeconds"] == 5
        later = await api.ok("DELETE", f"{PODS}/p?gracePeriodSeconds=60")
        assert later == sooner, "time is only ever taken away"
        gone = await api.ok("DELETE", f"{PODS}/p?gracePeriodSeconds=0")
        assert gone["metadata"]["deletionGracePeriodSeconds"] == 0
        assert (await api.call("GET", f"{PODS}/p")).status == 404
        events = await api.events(f"{PODS}?watch=1&resourceVersion={start}", 6)
        assert seen(events) == [("ADDED", None), ("MODIFIED", 30), ("MODIFIED", 5), ("MODIFIED", 0), ("DELETED", 0)]
        versions = [int(each["object"]["metadata"]["resourceVersion"]) for each in events]
        assert versions == sorted(set(versions))


@virtual
async def test_a_pod_on_no_node_goes_at_once_and_is_seen_to() -> None:
    async with served() as api:
        start = await version(api, PODS)
        await api.ok("POST", PODS, pod("p"))
        await api.ok("DELETE", f"{PODS}/p?gracePeriodSeconds=60")
        events = await api.events(f"{PODS}?watch=1&resourceVersion={start}", 4)
        assert seen(events) == [("ADDED", None), ("MODIFIED", 0), ("DELETED", 0)]


@virtual
async def test_negative_grace_is_a_second() -> None:
    async with served() as api:
        await assigned(api, "p")
        assert (await api.ok("DELETE", f"{PODS}/p?gracePeriodSeconds=-7"))["metadata"]["deletionGracePeriodSeconds"] == 1


@virtual
async def test_a_finalizer_holds_until_it_is_taken_away() -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a", finalizers=["example.com/x"]))
        held = await api.ok("DELETE", f"{CONFIG_MAPS}/a")
        assert held["metadata"]["deletionTimestamp"]
        assert (await api.ok("DELETE", f"{CONFIG_MAPS}/a"))["metadata"] == held["metadata"], "a second delete changes nothing"
        added = await api.call("PATCH", f"{CONFIG_MAPS}/a", {"metadata": {"finalizers": ["example.com/y"]}}, content_type=MERGE)
        assert added.status == 422, "and no other finalizer comes in"
        await api.ok("PATCH", f"{CONFIG_MAPS}/a", {"metadata": {"finalizers": None}}, content_type=MERGE)
        assert (await api.call("GET", f"{CONFIG_MAPS}/a")).status == 404


@virtual
async def test_what_is_being_deleted_cannot_be_created_again() -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a", finalizers=["example.com/x"]))
        await api.ok("DELETE", f"{CONFIG_MAPS}/a")
        reply = await api.call("POST", CONFIG_MAPS, config_map("a"))
        assert (reply.status, reply.message) == (409, 'object is being deleted: configmaps "a" already exists')


@virtual
async def test_the_answer_is_a_status_unless_the_object_waits() -> None:
    async with served() as api:
        await api.ok("POST", DEPLOYMENTS, deployment("d"))
        waiting = await api.ok("DELETE", f"{DEPLOYMENTS}/d?propagationPolicy=Foreground")
        assert (waiting["kind"], waiting["metadata"]["finalizers"]) == ("Deployment", ["foregroundDeletion"])
        assert waiting["metadata"]["generation"] == 2
        start = waiting["metadata"]["resourceVersion"]
        gone = await api.ok("DELETE", f"{DEPLOYMENTS}/d?propagationPolicy=Background")
        details = {"name": "d", "group": "apps", "kind": "deployments", "uid": waiting["metadata"]["uid"]}
        assert (gone["status"], gone["details"]) == ("Success", details)
        events = await api.events(f"{DEPLOYMENTS}?watch=1&resourceVersion={start}", 3)
        assert [each["type"] for each in events] == ["MODIFIED", "DELETED"], "the finalizer goes first"


PRECONDITIONS = {
    "another uid": ({"preconditions": {"uid": "other"}}, "", 409),
    "another version": ({"preconditions": {"resourceVersion": "1"}}, "", 409),
    "another version in the query": (None, "?resourceVersion=1", 409),
    "another uid in the query": (None, "?uid=other", 409),
    "none": ({}, "", 200),
}


@pytest.mark.parametrize(("options", "query", "status"), PRECONDITIONS.values(), ids=PRECONDITIONS.keys())
@virtual
async def test_preconditions(options: Any, query: str, status: int) -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
        reply = await api.call("DELETE", f"{CONFIG_MAPS}/a{query}", options)
        assert reply.status == status
        assert (await api.call("GET", f"{CONFIG_MAPS}/a")).status == (404 if status == 200 else 200)


@virtual
async def test_options_in_the_body_replace_those_of_the_query() -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
        await api.ok("DELETE", f"{CONFIG_MAPS}/a?dryRun=All", {})
        assert (await api.call("GET", f"{CONFIG_MAPS}/a")).status == 404


@virtual
async def test_a_dry_run_deletes_nothing() -> None:
    async with served() as api:
        await assigned(api, "p")
        for query in ("dryRun=All", "dryRun=All&gracePeriodSeconds=0"):
            shown = await api.ok("DELETE", f"{PODS}/p?{query}")
            assert shown["metadata"]["deletionTimestamp"]
        assert "deletionTimestamp" not in (await api.ok("GET", f"{PODS}/p"))["metadata"]


@virtual
async def test_a_collection_goes_by_its_selectors() -> None:
    async with served() as api:
        for name, color in (("a", "red"), ("b", "blue"), ("c", "red")):
            await api.ok("POST", CONFIG_MAPS, config_map(name, labels={"color": color}))
        gone = await api.ok("DELETE", f"{CONFIG_MAPS}?labelSelector=color%3Dred")
        assert (gone["kind"], [each["metadata"]["name"] for each in gone["items"]]) == ("ConfigMapList", ["a", "c"])
        assert [each["metadata"]["name"] for each in (await api.ok("GET", CONFIG_MAPS))["items"]] == ["b"]


@virtual
async def test_a_job_orphans_its_pods_unless_it_is_told_otherwise_and_says_so() -> None:
    async with served() as api:
        path = "/apis/batch/v1/namespaces/default/jobs"
        spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "c"}]}}}
        await api.ok("POST", path, {"metadata": {"name": "j"}, "spec": spec})
        reply = await api.call("DELETE", f"{path}/j")
        assert reply.body["metadata"]["finalizers"] == ["orphan"]
        assert "child pods are preserved by default" in reply.headers["warning"]
        assert "warning" not in (await api.call("DELETE", f"{path}/j?propagationPolicy=Background")).headers
