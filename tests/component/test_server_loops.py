"""The server's own loops: statuses that it writes, APIServices of custom resources, and what it puts back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import pytest

from apiserver.loops.api_service import PASSED, APIServiceLoop, unavailable
from apiserver.loops.follow import BURST_MAX, Concerns, Follower
from apiserver.registry.registry import Registries
from kube.errors import Conflict
from kube.objects import Object, condition_of
from kube.resources import NAMESPACES, Resource
from tests.component.served import Api, served
from tests.virtual import virtual

FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"
API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
SERVICES = "/api/v1/namespaces/default/services"


async def until(look: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    """Waits (virtual) moments for an answer, and says the last one when it never comes."""
    found = None
    for _ in range(100):
        found = await look()
        if found == wanted:
            return
        await asyncio.sleep(0.01)
    assert found == wanted


# --- FlowSchemas ------------------------------------------------------------------------------------------------------


def schema(name: str, level: str) -> Object:
    return {"metadata": {"name": name}, "spec": {"priorityLevelConfiguration": {"name": level}}}


def level(name: str) -> Object:
    limited = {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}}
    return {"metadata": {"name": name}, "spec": {"type": "Limited", "limited": limited}}


async def dangling(api: Api, name: str) -> tuple[str, str] | None:
    found = condition_of(await api.ok("GET", f"{FLOW}/flowschemas/{name}"), "Dangling")
    return (found["status"], found["reason"]) if found else None


@virtual
async def test_a_flow_schema_dangles_while_its_level_is_not_there() -> None:
    async with served() as api:
        await api.ok("POST", f"{FLOW}/flowschemas", schema("mine", "later"))
        await until(lambda: dangling(api, "mine"), ("True", "NotFound"))
        await api.ok("POST", f"{FLOW}/prioritylevelconfigurations", level("later"))
        await until(lambda: dangling(api, "mine"), ("False", "Found"))
        await api.ok("DELETE", f"{FLOW}/prioritylevelconfigurations/later")
        await until(lambda: dangling(api, "mine"), ("True", "NotFound"))


@virtual
async def test_the_condition_of_a_flow_schema_is_an_apply_and_its_time_is_that_of_the_change() -> None:
    async with served() as api:
        await api.ok("POST", f"{FLOW}/flowschemas", schema("mine", "exempt"))
        await until(lambda: dangling(api, "mine"), ("False", "Found"))
        first = await api.ok("GET", f"{FLOW}/flowschemas/mine")
        owner = next(each for each in first["metadata"]["managedFields"] if each["operation"] == "Apply")
        assert (owner["manager"], owner["subresource"]) == ("api-priority-and-fairness-config-consumer-v1", "status")
        await asyncio.sleep(5)
        spec = {"spec": {"priorityLevelConfiguration": {"name": "catch-all"}}}
        await api.ok("PATCH", f"{FLOW}/flowschemas/mine", spec, content_type="application/merge-patch+json")

        async def message() -> str:
            return str(condition_of(await api.ok("GET", f"{FLOW}/flowschemas/mine"), "Dangling"))

        before, after = condition_of(first, "Dangling"), None
        for _ in range(100):
            after = condition_of(await api.ok("GET", f"{FLOW}/flowschemas/mine"), "Dangling")
            if "catch-all" in str(after):
                break
            await asyncio.sleep(0.01)
        assert before is not None
        assert after is not None
        assert "catch-all" in after["message"]
        assert after["lastTransitionTime"] == before["lastTransitionTime"]


# --- APIServices ------------------------------------------------------------------------------------------------------


def service(port: int = 443, name: str = "", kind: str = "ClusterIP") -> Object:
    return {"spec": {"type": kind, "clusterIP": "10.0.0.9", "ports": [{"port": port, **({"name": name} if name else {})}]}}


def endpoint_slice(name: str = "", *, ready: bool | None = True, port: int | None = 8443) -> Object:
    return {"endpoints": [{"addresses": ["10.1.1.1"], "conditions": {"ready": ready}}], "ports": [{"name": name, "port": port}]}


REFERENCE = {"namespace": "ns", "name": "svc", "port": 443}
CHECKS: dict[str, tuple[Object | None, list[Object], tuple[str, str] | None]] = {
    "no service": (None, [], ("ServiceNotFound", 'service/svc in "ns" is not present')),
    "a service on another port": (service(80), [], ("ServicePortError", 'service/svc in "ns" is not listening on port 443')),
    "no endpoint slices": (service(), [], ("EndpointsNotFound", 'cannot find endpointslices for service/svc in "ns"')),
    "no endpoint that is ready": (
        service(),
        [endpoint_slice(ready=False)],
        ("MissingEndpoints", 'endpointslices for service/svc in "ns" have no addresses with port name ""'),
    ),
    "ready endpoints of another port": (
        service(name="https"),
        [endpoint_slice("http")],
        ("MissingEndpoints", 'endpointslices for service/svc in "ns" have no addresses with port name "https"'),
    ),
    "ready endpoints are asked": (service(), [endpoint_slice()], None),
    "endpoints that do not say are ready": (
        service(name="https"),
        [endpoint_slice(ready=False), endpoint_slice("https", ready=None)],
        None,
    ),
    "another name is asked without looking at endpoints": (service(kind="ExternalName"), [], None),
}


@pytest.mark.parametrize(("present", "slices", "expected"), CHECKS.values(), ids=CHECKS.keys())
def test_what_can_be_told_without_asking(present: Object | None, slices: list[Object], expected: tuple[str, str] | None) -> None:
    condition = unavailable(REFERENCE, present, slices)
    assert (condition and (condition["reason"], condition["message"])) == expected


def remote(name: str = "svc") -> Object:
    reference = {"namespace": "default", "name": name, "port": 443}
    spec = {"group": "ext.example.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 10, "service": reference}
    return {"metadata": {"name": "v1.ext.example.com"}, "spec": {**spec, "insecureSkipTLSVerify": True}}


async def reason(api: Api) -> str:
    found = condition_of(await api.ok("GET", f"{API_SERVICES}/v1.ext.example.com"), "Available")
    return found["reason"] if found else ""


async def set_up_service(api: Api) -> None:
    await api.ok("POST", SERVICES, {"metadata": {"name": "svc"}, "spec": {"ports": [{"port": 443}]}})
    labels = {"kubernetes.io/service-name": "svc"}
    body = {"metadata": {"name": "svc-1", "labels": labels}, "addressType": "IPv4", **endpoint_slice()}
    await api.ok("POST", SLICES, body)


@virtual
async def test_an_api_service_follows_its_service_and_endpoints() -> None:
    async with served() as api:
        created = await api.ok("POST", API_SERVICES, remote())
        assert created["status"] == {}
        await until(lambda: reason(api), "ServiceNotFound")
        await api.ok("POST", SERVICES, {"metadata": {"name": "svc"}, "spec": {"ports": [{"port": 443}]}})
        await until(lambda: reason(api), "EndpointsNotFound")
        await api.ok("DELETE", f"{SERVICES}/svc")
        await until(lambda: reason(api), "ServiceNotFound")
        await set_up_service(api)
        await until(lambda: reason(api), "FailedDiscoveryCheck")
        owners = (await api.ok("GET", f"{API_SERVICES}/v1.ext.example.com"))["metadata"]["managedFields"]
        assert ("kube-apiserver", "Update", "status") in [(each["manager"], each["operation"], each.get("subresource")) for each in owners]


@virtual
async def test_what_an_extension_server_is_to_serve_answers_503_and_nothing_else_does() -> None:
    async with served() as api:
        assert (await api.call("GET", "/apis/ext.example.com/v1/things")).status == 404
        await api.ok("POST", API_SERVICES, remote())
        for path in ("/apis/ext.example.com/v1/things", "/apis/ext.example.com/v1"):
            reply = await api.call("GET", path)
            assert (reply.status, reply.body) == (503, "service unavailable\n")
        assert (await api.call("GET", "/apis/ext.example.com/v2/things")).status == 404


@virtual
async def test_a_probe_that_succeeds_makes_an_api_service_available_and_is_repeated() -> None:
    async with served() as api:
        asked: list[str] = []
        answers = [""] * 2 + ["no answer"] * 10

        async def probe(_api_service: Object, path: str) -> str:
            asked.append(path)
            return answers[len(asked) - 1]

        await api.ok("POST", API_SERVICES, remote())
        await set_up_service(api)
        loop = APIServiceLoop(api.built.server.registries, probe)
        loop.reset()
        assert await loop.settle("v1.ext.example.com") == 30.0
        assert await reason(api) == PASSED["reason"]
        assert asked[0] == "/apis/ext.example.com/v1"


# --- custom resources -------------------------------------------------------------------------------------------------


def definition(plural: str, *versions: tuple[str, bool]) -> Object:
    kind = plural.capitalize()[:-1]
    structure = {"openAPIV3Schema": {"type": "object"}}
    listed = [{"name": name, "served": on, "storage": index == 0, "schema": structure} for index, (name, on) in enumerate(versions)]
    names = {"plural": plural, "kind": kind}
    spec = {"group": "own.example.com", "scope": "Namespaced", "names": names, "versions": listed}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.own.example.com"},
        "spec": spec,
    }


async def registered(api: Api) -> list[str]:
    selector = "labelSelector=kube-aggregator.kubernetes.io/automanaged%3Dtrue"
    return [each["metadata"]["name"] for each in (await api.ok("GET", f"{API_SERVICES}?{selector}"))["items"]]


@virtual
async def test_custom_resources_are_registered_while_some_definition_serves_them() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition("widgets", ("v1", True), ("v1beta1", True), ("v1alpha1", False)))
        await until(lambda: registered(api), ["v1.own.example.com", "v1beta1.own.example.com"])
        await api.ok("POST", DEFINITIONS, definition("gadgets", ("v1", True)))
        await api.ok("DELETE", f"{DEFINITIONS}/widgets.own.example.com")
        await until(lambda: registered(api), ["v1.own.example.com"])
        await api.ok("DELETE", f"{API_SERVICES}/v1.own.example.com")
        await until(lambda: registered(api), ["v1.own.example.com"])
        await api.ok("DELETE", f"{DEFINITIONS}/gadgets.own.example.com")
        await until(lambda: registered(api), [])


@virtual
async def test_an_api_service_that_was_taken_over_is_left_alone() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition("widgets", ("v1", True)))
        await until(lambda: registered(api), ["v1.own.example.com"])
        patch = {"metadata": {"labels": None}, "spec": {"versionPriority": 7}}
        await api.ok("PATCH", f"{API_SERVICES}/v1.own.example.com", patch, content_type="application/merge-patch+json")
        await asyncio.sleep(1)
        assert (await api.ok("GET", f"{API_SERVICES}/v1.own.example.com"))["spec"]["versionPriority"] == 7


# --- addresses --------------------------------------------------------------------------------------------------------

ADDRESSES = "/apis/networking.k8s.io/v1/ipaddresses"


def address(ip: str, *, manager: str = "ipallocator.k8s.io") -> Object:
    labels = {"ipaddress.kubernetes.io/managed-by": manager}
    reference = {"resource": "services", "namespace": "default", "name": "gone"}
    return {"metadata": {"name": ip, "labels": labels}, "spec": {"parentRef": reference}}


@virtual
async def test_an_address_that_no_service_has_is_given_back_after_a_minute() -> None:
    async with served() as api:
        await api.ok("POST", ADDRESSES, address("10.0.0.50"))
        await api.ok("POST", ADDRESSES, address("10.0.0.51", manager="somebody"))
        await api.ok("POST", SERVICES, {"metadata": {"name": "svc"}, "spec": {"clusterIP": "10.0.0.52", "ports": [{"port": 80}]}})
        await asyncio.sleep(55)
        assert (await api.call("GET", f"{ADDRESSES}/10.0.0.50")).status == 200
        await asyncio.sleep(10)
        assert (await api.call("GET", f"{ADDRESSES}/10.0.0.50")).status == 404
        for kept in ("10.0.0.51", "10.0.0.52", "10.0.0.1"):
            assert (await api.call("GET", f"{ADDRESSES}/{kept}")).status == 200


@virtual
async def test_an_address_that_a_service_has_is_claimed_again() -> None:
    async with served() as api:
        await api.ok("POST", SERVICES, {"metadata": {"name": "svc"}, "spec": {"clusterIP": "10.0.0.52", "ports": [{"port": 80}]}})
        await api.ok("DELETE", f"{ADDRESSES}/10.0.0.52")
        await asyncio.sleep(0.1)
        found = await api.ok("GET", f"{ADDRESSES}/10.0.0.52")
        assert found["spec"]["parentRef"] == {"resource": "services", "namespace": "default", "name": "svc"}
        await api.ok("DELETE", f"{SERVICES}/svc")
        await asyncio.sleep(0.1)
        assert (await api.call("GET", f"{ADDRESSES}/10.0.0.52")).status == 404


# --- putting back -----------------------------------------------------------------------------------------------------


@virtual
async def test_what_a_cluster_must_have_comes_back() -> None:
    async with served() as api:
        await api.ok("DELETE", f"{SERVICES}/kubernetes")
        await api.ok("DELETE", f"{FLOW}/flowschemas/catch-all")
        await asyncio.sleep(11)
        assert (await api.ok("GET", f"{SERVICES}/kubernetes"))["spec"]["clusterIP"] == "10.0.0.1"
        assert (await api.call("GET", f"{FLOW}/flowschemas/catch-all")).status == 404
        await asyncio.sleep(60)
        assert (await api.ok("GET", f"{FLOW}/flowschemas/catch-all"))["spec"]["matchingPrecedence"] == 10000


@virtual
async def test_a_quiet_server_writes_nothing() -> None:
    async with served() as api:
        store = api.built.store
        before = await store.revision()
        await asyncio.sleep(3600)
        assert await store.revision() == before


# --- following --------------------------------------------------------------------------------------------------------


class Counting:
    """A loop over Namespaces that fails as often as it is told."""

    name = "counting"

    def __init__(self, registries: Registries, failures: Sequence[Exception] = ()) -> None:
        self._cache, self._failures = registries.get(NAMESPACES).cache, list(failures)
        self.settled: list[str] = []

    def sources(self) -> Sequence[tuple[Resource, Concerns]]:
        return ((NAMESPACES, lambda change: (change.entry.name,)),)

    def reset(self) -> Iterable[str]:
        return [entry.name for entry in self._cache.entries()]

    async def settle(self, key: str) -> float | None:
        self.settled.append(key)
        if self._failures:
            raise self._failures.pop(0)
        return None


async def following(api: Api, loop: Counting) -> asyncio.Task[None]:
    follower = Follower(api.built.server.registries, loop)
    await follower.start()
    return asyncio.create_task(follower.run())


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@virtual
async def test_all_there_is_is_settled_first_and_then_what_changes() -> None:
    async with served() as api:
        loop = Counting(api.built.server.registries)
        task = await following(api, loop)
        assert sorted(loop.settled) == ["default", "kube-node-lease", "kube-public", "kube-system"]
        loop.settled.clear()
        await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "new"}})
        await asyncio.sleep(0.01)
        assert loop.settled == ["new"]
        await end(task)


@virtual
async def test_what_fails_is_tried_again_later_and_later() -> None:
    async with served() as api:
        loop = Counting(api.built.server.registries)
        task = await following(api, loop)
        loop.settled.clear()
        loop._failures += [RuntimeError("no"), Conflict("again"), RuntimeError("no")]
        await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "new"}})
        await asyncio.sleep(0.04)
        assert loop.settled == ["new"]
        await asyncio.sleep(10)
        assert loop.settled == ["new"] * 4
        await end(task)


@virtual
async def test_a_fight_over_one_object_is_slow() -> None:
    async with served() as api:
        loop = Counting(api.built.server.registries)
        task = await following(api, loop)
        loop.settled.clear()
        for number in range(3 * BURST_MAX):
            patch = {"metadata": {"labels": {"n": str(number)}}}
            await api.ok("PATCH", "/api/v1/namespaces/default", patch, content_type="application/merge-patch+json")
            await asyncio.sleep(0.001)
        assert len(loop.settled) < BURST_MAX
        await asyncio.sleep(2)
        assert loop.settled[-1] == "default"
        await end(task)


@virtual
async def test_a_watch_that_was_cut_off_starts_over() -> None:
    async with served() as api:
        loop = Counting(api.built.server.registries)
        follower = Follower(api.built.server.registries, loop)
        await follower.start()
        loop.settled.clear()
        for watcher, _ in follower._watchers:
            watcher.cut_off = True
            watcher.ready.set()
        task = asyncio.create_task(follower.run())
        await asyncio.sleep(0.01)
        assert sorted(loop.settled) == ["default", "kube-node-lease", "kube-public", "kube-system"]
        await end(task)
