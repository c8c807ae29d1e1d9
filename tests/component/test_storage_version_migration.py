"""Storage version migration: the kind behind its switches, and what the migrator makes of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from controllers.manager.manager import run_manager
from controllers.manager.registry import Options
from kube.client.base import Answer, ConnectionFailed, StreamAnswer, Transport
from kube.client.client import Client
from kube.clock import LoopClock
from kube.feature_gates import STORAGE_VERSION_MIGRATOR
from kube.objects import Object
from tests.component.served import MERGE, Api, served
from tests.component.test_custom_storage import DEFINITION, V1, definition, foo, store_in, versions
from tests.virtual import virtual

GROUP = "/apis/storagemigration.k8s.io/v1beta1"
MIGRATIONS = f"{GROUP}/storageversionmigrations"
CONTROLLER = "storage-version-migrator-controller"
ROLE = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/system:controller:{CONTROLLER}"
SWITCHES: Any = {"runtime_config": ("storagemigration.k8s.io/v1beta1=true",), "feature_gates": ("StorageVersionMigrator=true",)}
LONG_S = 300.0


def migration(name: str, resource: str = "foos", group: str = "x.example.com") -> Object:
    return {"metadata": {"name": name}, "spec": {"resource": {"group": group, "resource": resource}}}


class Breaking:
    """A transport that breaks down for good once it has carried some writes of objects."""

    def __init__(self, inner: Transport, writes: int) -> None:
        self._inner, self._left = inner, writes
        self.broken = asyncio.Event()

    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float | None = 60
    ) -> Answer:
        if method == "PATCH" and "/foos/" in target:
            if not self._left:
                self.broken.set()
            self._left -= bool(self._left)
        if self.broken.is_set():
            raise ConnectionFailed("broken")
        return await self._inner.request(method, target, headers=headers, body=body, timeout_s=timeout_s)

    def stream(self, method: str, target: str, *, headers: Mapping[str, str]) -> AbstractAsyncContextManager[StreamAnswer]:
        return self._inner.stream(method, target, headers=headers)

    async def close(self) -> None:
        return


@asynccontextmanager
async def migrating(
    api: Api, transport: Transport | None = None, *, gates: frozenset[str] = frozenset({STORAGE_VERSION_MIGRATOR})
) -> AsyncIterator[None]:
    """The manager's migrator, running."""
    clock = LoopClock()
    client = Client(transport or api.transport, user_agent="kube-controller-manager", token="of-the-test", clock=clock)
    options = Options(gates=gates)
    running = asyncio.create_task(run_manager(client, clock=clock, rng=random.Random(3), controllers=[CONTROLLER], options=options))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def over(api: Api, name: str) -> dict[str, tuple[str, str, str]]:
    """The conditions of a migration, once it has ended and does not run any more."""
    async with asyncio.timeout(LONG_S):
        while True:
            found = await api.ok("GET", f"{MIGRATIONS}/{name}")
            said = {each["type"]: (each["status"], each["reason"], each["message"]) for each in found["status"].get("conditions") or ()}
            if said.get("Running", ("",))[0] == "False":
                return said
            await asyncio.sleep(1)


async def make(api: Api, count: int) -> None:
    """So many foos, stored in v1, of a definition that stores v2 now."""
    await api.ok("POST", DEFINITION, definition("v1"))
    for number in range(count):
        await api.ok("POST", V1, foo("v1", f"foo-{number:02}", size=number))
    await store_in(api, "v2")


DONE = {
    "Running": ("False", "MigrationCompleted", "Migration completed"),
    "Succeeded": ("True", "StorageVersionMigrationSucceeded", ""),
}

# --- the switches -----------------------------------------------------------------------------------------------------------


async def test_there_are_no_migrations_unless_both_switches_are_on() -> None:
    for off in ({}, {"runtime_config": SWITCHES["runtime_config"]}, {"feature_gates": SWITCHES["feature_gates"]}):
        async with served(**off) as api:
            assert (await api.call("GET", MIGRATIONS)).status == 404
            assert "storagemigration.k8s.io" not in {each["name"] for each in (await api.ok("GET", "/apis"))["groups"]}
            assert (await api.call("GET", ROLE)).status == (200 if "feature_gates" in off else 404)


async def test_with_both_they_are_served_and_checked() -> None:
    async with served(**SWITCHES) as api:
        assert [each["name"] for each in (await api.ok("GET", GROUP))["resources"]] == [
            "storageversionmigrations",
            "storageversionmigrations/status",
        ]
        assert (await api.ok("GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.storagemigration.k8s.io"))["spec"][
            "versionPriority"
        ] == 9
        made = await api.ok("POST", MIGRATIONS, {**migration("m"), "status": {"resourceVersion": "5"}})
        assert made["status"] == {}
        reply = await api.call("PATCH", f"{MIGRATIONS}/m", {"spec": {"resource": {"resource": "bars"}}}, content_type=MERGE)
        assert (reply.status, reply.body["details"]["causes"][0]["field"]) == (422, "spec")
        change = {"metadata": {"labels": {"a": "b"}}, "spec": {"resource": {"resource": "bars"}}, "status": {"resourceVersion": "7"}}
        changed = await api.ok("PATCH", f"{MIGRATIONS}/m/status", change, content_type=MERGE)
        assert changed["status"] == {"resourceVersion": "7"}
        assert changed["spec"] == made["spec"]
        assert "labels" not in changed["metadata"]


async def test_a_resource_can_be_switched_off_alone() -> None:
    async with served(runtime_config=("apps/v1/daemonsets=false",)) as api:
        names = {each["name"] for each in (await api.ok("GET", "/apis/apps/v1"))["resources"]}
        assert "daemonsets" not in names
        assert "deployments" in names
        assert (await api.call("GET", "/apis/apps/v1/daemonsets")).status == 404


# --- the migrator -----------------------------------------------------------------------------------------------------------


@virtual
async def test_every_object_is_stored_anew_and_the_definition_says_so() -> None:
    async with served(**SWITCHES) as api:
        await make(api, 20)
        found = await api.ok("GET", f"{DEFINITION}/foos.x.example.com")
        assert found["status"]["storedVersions"] == ["v1", "v2"]
        async with migrating(api):
            await api.ok("POST", MIGRATIONS, migration("m"))
            assert await over(api, "m") == DONE
        assert await versions(api) == ["v2"] * 20
        found = await api.ok("GET", f"{DEFINITION}/foos.x.example.com")
        assert found["status"]["storedVersions"] == ["v2"]
        (told,) = [each for each in found["status"]["conditions"] if each["type"] == "StorageMigrating"]
        assert (told["status"], told["reason"]) == ("False", "MigrationSucceeded")
        only_v2 = [{**each, "served": each["name"] == "v2"} for each in found["spec"]["versions"] if each["name"] == "v2"]
        await api.ok("PATCH", f"{DEFINITION}/foos.x.example.com", {"spec": {"versions": only_v2}}, content_type=MERGE)
        assert len((await api.ok("GET", "/apis/x.example.com/v2/foos"))["items"]) == 20


@virtual
async def test_a_migrator_that_dies_half_way_is_followed_by_one_that_goes_on() -> None:
    async with served(**SWITCHES) as api:
        await make(api, 40)
        await api.ok("POST", MIGRATIONS, migration("m"))
        breaking = Breaking(api.transport, writes=20)
        async with migrating(api, breaking):
            await breaking.broken.wait()
        half = await versions(api)
        assert half.count("v2") == 20
        before = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in (await api.ok("GET", V1))["items"]}
        noted = (await api.ok("GET", f"{MIGRATIONS}/m"))["status"]["resourceVersion"]
        async with migrating(api):
            assert await over(api, "m") == DONE
        assert await versions(api) == ["v2"] * 40
        after = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in (await api.ok("GET", V1))["items"]}
        assert sum(before[name] == after[name] for name in before) == 20, "what had been written is left alone"
        assert (await api.ok("GET", f"{MIGRATIONS}/m"))["status"]["resourceVersion"] == noted


@virtual
async def test_migrations_of_a_resource_take_turns() -> None:
    async with served(**SWITCHES) as api:
        await make(api, 3)
        for name in ("b", "a"):
            await api.ok("POST", MIGRATIONS, migration(name))
            await asyncio.sleep(1)
        events = asyncio.create_task(api.events(f"{MIGRATIONS}?watch=true", 99))
        async with migrating(api):
            assert await over(api, "a") == DONE
            assert await over(api, "b") == DONE
        running: set[str] = set()
        order: list[str] = []
        for event in await events:
            name = event["object"]["metadata"]["name"]
            conditions = event["object"]["status"].get("conditions") or ()
            is_running = any(each["type"] == "Running" and each["status"] == "True" for each in conditions)
            order += [name] if is_running and name not in running else []
            running = running | {name} if is_running else running - {name}
            assert len(running) <= 1
        assert order == ["b", "a"], "the older one first"


@virtual
async def test_built_in_kinds_are_migrated_too_and_what_is_never_stored_fails() -> None:
    async with served(**SWITCHES) as api, migrating(api):
        await api.ok("POST", MIGRATIONS, migration("roles", "clusterroles", "rbac.authorization.k8s.io"))
        await api.ok("POST", MIGRATIONS, migration("reviews", "tokenreviews", "authentication.k8s.io"))
        await api.ok("POST", MIGRATIONS, migration("nothing", "nothings", "x.example.com"))
        assert await over(api, "roles") == DONE
        why = 'resource "authentication.k8s.io/v1, Resource=tokenreviews" does not support discovery operations: [update patch list]'
        assert (await over(api, "reviews"))["Failed"] == ("True", "StorageVersionMigrationFailed", why)
        failed = (await over(api, "nothing"))["Failed"]
        assert failed == ("True", "StorageVersionMigrationFailed", "resource does not exist in discovery")


@virtual
async def test_a_resource_that_comes_late_is_migrated() -> None:
    async with served(**SWITCHES) as api, migrating(api):
        await api.ok("POST", MIGRATIONS, migration("m"))
        await asyncio.sleep(20)
        await make(api, 2)
        assert await over(api, "m") == DONE
        assert await versions(api) == ["v2", "v2"]


@virtual
async def test_without_the_gate_nobody_migrates() -> None:
    async with served(**SWITCHES) as api, migrating(api, gates=frozenset()):
        await api.ok("POST", MIGRATIONS, migration("m"))
        await asyncio.sleep(LONG_S)
        assert (await api.ok("GET", f"{MIGRATIONS}/m"))["status"] == {}
