"""The API server in process: reads, writes and watches as a client meets them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from kube.client.client import PatchKind
from kube.client.transport import AsgiTransport
from kube.errors import AlreadyExists, ApiError, Conflict, Expired, Forbidden, Invalid, NotFound, RequestEntityTooLarge, Unauthorized
from kube.objects import Object
from kube.resources import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, PODS, SERVICES
from tests.virtual import virtual
from wherry.in_process import InProcessCluster, in_process_cluster


@asynccontextmanager
async def api() -> AsyncIterator[InProcessCluster]:
    async with in_process_cluster(nodes=0, controllers=None, scheduler=False) as cluster:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}
        from kube.resources import SERVICE_ACCOUNTS

        await cluster.client.create(SERVICE_ACCOUNTS, account)
        yield cluster


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> Object:
    metadata: Object = {"name": name, "namespace": "default"}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@virtual
async def test_a_write_is_read_back_with_what_the_server_adds() -> None:
    async with api() as cluster:
        made = await cluster.client.create(CONFIG_MAPS, config_map("a", n="1"))
        assert made == await cluster.client.get(CONFIG_MAPS, "a", namespace="default")
        assert set(made["metadata"]) >= {"uid", "creationTimestamp", "resourceVersion", "managedFields"}
        with pytest.raises(AlreadyExists):
            await cluster.client.create(CONFIG_MAPS, config_map("a"))


@virtual
async def test_an_update_of_an_old_version_is_a_conflict_and_of_none_is_not() -> None:
    async with api() as cluster:
        first = await cluster.client.create(CONFIG_MAPS, config_map("a", n="1"))
        await cluster.client.update(CONFIG_MAPS, config_map("a", n="2"))
        with pytest.raises(Conflict, match="the object has been modified"):
            await cluster.client.update(CONFIG_MAPS, {**first, "data": {"n": "3"}})
        assert (await cluster.client.get(CONFIG_MAPS, "a", namespace="default"))["data"] == {"n": "2"}


@virtual
async def test_an_update_that_changes_nothing_writes_nothing() -> None:
    async with api() as cluster:
        made = await cluster.client.create(CONFIG_MAPS, config_map("a", n="1"))
        again = await cluster.client.update(CONFIG_MAPS, made)
        assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


@virtual
async def test_concurrent_patches_all_count() -> None:
    async with api() as cluster:
        await cluster.client.create(CONFIG_MAPS, config_map("a"))
        patches = (
            cluster.client.patch(CONFIG_MAPS, "a", {"data": {f"k{n}": str(n)}}, namespace="default", kind=PatchKind.MERGE)
            for n in range(20)
        )
        await asyncio.gather(*patches)
        assert len((await cluster.client.get(CONFIG_MAPS, "a", namespace="default"))["data"]) == 20


@virtual
async def test_a_dry_run_answers_and_stores_nothing() -> None:
    async with api() as cluster:
        answered = await cluster.client.create(CONFIG_MAPS, config_map("a"), dry_run=True)
        assert answered["metadata"]["uid"]
        with pytest.raises(NotFound):
            await cluster.client.get(CONFIG_MAPS, "a", namespace="default")


@virtual
async def test_generated_names_differ() -> None:
    async with api() as cluster:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-", "namespace": "default"}}
        made = [(await cluster.client.create(CONFIG_MAPS, body))["metadata"]["name"] for _ in range(50)]
        assert len(set(made)) == 50
        assert all(name.startswith("x-") and len(name) == 7 for name in made)


@virtual
async def test_generation_counts_changes_of_the_spec_alone() -> None:
    async with api() as cluster:
        labels = {"app": "a"}
        spec = {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "c"}]}},
        }
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"}, "spec": spec}
        assert (await cluster.client.create(DEPLOYMENTS, body))["metadata"]["generation"] == 1

        async def patched(patch: Object, subresource: str = "") -> int:
            answer = await cluster.client.patch(DEPLOYMENTS, "d", patch, namespace="default", kind=PatchKind.MERGE, subresource=subresource)
            return int(answer["metadata"]["generation"])

        assert await patched({"metadata": {"labels": {"x": "y"}}}) == 1
        assert await patched({"spec": {"replicas": 3}}) == 2
        assert await patched({"status": {"replicas": 1}}, "status") == 2


@virtual
async def test_everything_wrong_is_told_at_once_by_field() -> None:
    async with api() as cluster:
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "Bad_Name", "namespace": "default"},
            "spec": {"containers": [{"name": "A"}]},
        }
        with pytest.raises(Invalid) as caught:
            await cluster.client.create(PODS, body)
        fields = {each["field"] for each in (caught.value.details or {})["causes"]}
        assert fields >= {"metadata.name", "spec.containers[0].name", "spec.containers[0].image"}


# --- lists -----------------------------------------------------------------------------------------------------------


@virtual
async def test_pages_are_of_one_moment_while_writes_go_on() -> None:
    async with api() as cluster:
        for n in range(10):
            await cluster.client.create(CONFIG_MAPS, config_map(f"c{n}"))
        names: list[str] = []
        token = ""
        while True:
            page = await cluster.client.list(CONFIG_MAPS, namespace="default", limit=3, continue_=token)
            names += [each["metadata"]["name"] for each in page["items"]]
            token = page["metadata"].get("continue", "")
            if not token:
                break
            assert page["metadata"]["remainingItemCount"] == 10 - len(names)
            await cluster.client.create(CONFIG_MAPS, config_map(f"a-late-{len(names)}"))
            await cluster.client.delete(CONFIG_MAPS, f"c{9 - len(names) // 3}", namespace="default")
        assert names == [f"c{n}" for n in range(10)]


@virtual
async def test_selectors() -> None:
    async with api() as cluster:
        for n in range(4):
            await cluster.client.create(CONFIG_MAPS, config_map(f"c{n}", {"parity": "even" if n % 2 == 0 else "odd"}))

        async def names(**selectors: Any) -> list[str]:
            return [
                each["metadata"]["name"] for each in (await cluster.client.list(CONFIG_MAPS, namespace="default", **selectors))["items"]
            ]

        assert await names(label_selector="parity=odd") == ["c1", "c3"]
        assert await names(label_selector="parity in (even),parity!=odd") == ["c0", "c2"]
        assert await names(field_selector="metadata.name=c2") == ["c2"]
        with pytest.raises(ApiError, match="not a known field selector"):
            await names(field_selector="data.n=1")


@virtual
async def test_a_forgotten_version_is_410() -> None:
    async with api() as cluster:
        old = (await cluster.client.create(CONFIG_MAPS, config_map("a")))["metadata"]["resourceVersion"]
        for n in range(3):
            await cluster.client.update(CONFIG_MAPS, config_map("a", n=str(n)))
        store = cluster.built.store
        await store.compact(await store.revision())
        with pytest.raises(Expired):
            await cluster.client.list(CONFIG_MAPS, namespace="default", resource_version=old, resource_version_match="Exact")


# --- watches ---------------------------------------------------------------------------------------------------------


async def _events(cluster: InProcessCluster, count: int, **options: Any) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    async for event in cluster.client.watch(CONFIG_MAPS, namespace="default", **options):
        if event.type != "BOOKMARK":
            out.append((event.type, event.object["metadata"]["name"]))
            if len(out) == count:
                break
    return out


@virtual
async def test_a_watch_resumes_from_every_version_without_loss_or_repetition() -> None:
    async with api() as cluster:
        versions = [(await cluster.client.list(CONFIG_MAPS, namespace="default"))["metadata"]["resourceVersion"]]
        history: list[tuple[str, str]] = []
        for n in range(6):
            made = await cluster.client.create(CONFIG_MAPS, config_map(f"c{n}"))
            history.append(("ADDED", f"c{n}"))
            versions.append(made["metadata"]["resourceVersion"])
        gone = await cluster.client.delete(CONFIG_MAPS, "c0", namespace="default")
        assert gone["status"] == "Success"
        history.append(("DELETED", "c0"))
        for seen, version in enumerate(versions):
            assert await _events(cluster, len(history) - seen, resource_version=version) == history[seen:]


@virtual
async def test_a_selector_turns_changes_into_comings_and_goings() -> None:
    async with api() as cluster:
        start = (await cluster.client.list(CONFIG_MAPS, namespace="default"))["metadata"]["resourceVersion"]
        await cluster.client.create(CONFIG_MAPS, config_map("a", {"on": "no"}))
        await cluster.client.update(CONFIG_MAPS, config_map("a", {"on": "yes"}))
        await cluster.client.update(CONFIG_MAPS, config_map("a", {"on": "yes"}, n="2"))
        await cluster.client.update(CONFIG_MAPS, config_map("a", {"on": "no"}))
        events = await _events(cluster, 3, resource_version=start, label_selector="on=yes")
        assert events == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


@virtual
async def test_a_watch_ends_when_it_was_asked_to_and_sends_bookmarks_on_the_way() -> None:
    async with api() as cluster:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        kinds = [event.type async for event in cluster.client.watch(CONFIG_MAPS, namespace="default", timeout_s=200)]
        assert 199 < loop.time() - begin < 202
        assert kinds.count("BOOKMARK") >= 2


@virtual
async def test_a_watcher_that_does_not_read_is_cut_off_with_410(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apiserver.registry.watchers.WATCHER_CHANGES_MAX", 5)
    async with api() as cluster:
        registry = cluster.built.server.registries.get(CONFIG_MAPS)
        watcher = await registry.cache.watch("default", "", await registry.cache.catch_up())
        for n in range(8):
            await cluster.client.create(CONFIG_MAPS, config_map(f"c{n}"))
        assert watcher.cut_off
        assert registry.cache.watchers == 0
        watcher.close()


# --- who may, and how much --------------------------------------------------------------------------------------------


async def _raw(
    cluster: InProcessCluster, method: str, path: str, *, token: str | None = None, body: bytes | None = None
) -> tuple[int, Any]:
    transport = AsgiTransport(cluster.built.app)
    token = f"{cluster.secret}-admin" if token is None else token
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    answer = await transport.request(method, path, headers=headers, body=body)
    await transport.close()
    return answer.status, answer.body


@virtual
async def test_a_wrong_token_is_401_and_none_is_anonymous() -> None:
    async with api() as cluster:
        assert (await _raw(cluster, "GET", "/api/v1/pods", token="wrong"))[0] == Unauthorized.code
        status, body = await _raw(cluster, "GET", "/api/v1/namespaces/default/pods", token="")
        assert status == Forbidden.code
        assert orjson.loads(body)["message"] == (
            'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the namespace "default"'
        )
        assert await _raw(cluster, "GET", "/readyz", token="") == (200, b"ok")


@virtual
async def test_a_body_past_the_limit_is_413() -> None:
    async with api() as cluster:
        body = orjson.dumps(config_map("a", big="x" * (3 * 1024 * 1024 + 1)))
        assert (await _raw(cluster, "POST", "/api/v1/namespaces/default/configmaps", body=body))[0] == RequestEntityTooLarge.code


@virtual
async def test_health_in_detail() -> None:
    async with api() as cluster:
        status, body = await _raw(cluster, "GET", "/readyz?verbose")
        assert status == 200
        assert b"[+]ping ok" in body
        assert body.endswith(b"readyz check passed\n")
        assert (await _raw(cluster, "GET", "/livez/nonesuch"))[0] == 404


# --- admission and allocation --------------------------------------------------------------------------------------------


@virtual
async def test_nothing_is_made_in_a_namespace_that_is_not_there() -> None:
    async with api() as cluster:
        body = config_map("a")
        body["metadata"]["namespace"] = "nowhere"
        with pytest.raises(NotFound, match='namespaces "nowhere" not found'):
            await cluster.client.create(CONFIG_MAPS, body)
        with pytest.raises(Forbidden, match="this namespace may not be deleted"):
            await cluster.client.delete(NAMESPACES, "kube-system")


@virtual
async def test_service_addresses_are_each_given_once_and_given_back() -> None:
    async with api() as cluster:

        def service(name: str, **spec: Any) -> Object:
            metadata = {"name": name, "namespace": "default"}
            return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}], **spec}}

        made = await asyncio.gather(*(cluster.client.create(SERVICES, service(f"s{n}")) for n in range(20)))
        addresses = {each["spec"]["clusterIP"] for each in made}
        assert len(addresses) == 20
        taken = made[0]["spec"]["clusterIP"]
        with pytest.raises(Invalid, match="provided IP is already allocated"):
            await cluster.client.create(SERVICES, service("other", clusterIP=taken))
        await cluster.client.delete(SERVICES, "s0", namespace="default")
        assert (await cluster.client.create(SERVICES, service("other", clusterIP=taken)))["spec"]["clusterIP"] == taken
        changed = await cluster.client.patch(SERVICES, "s1", {"spec": {"type": "NodePort"}}, namespace="default")
        port = changed["spec"]["ports"][0]["nodePort"]
        assert 30000 <= port <= 32767
        stored = await cluster.client.get(SERVICES, "s1", namespace="default")
        assert stored["spec"]["ports"][0]["nodePort"] == port, "what was claimed by an update is stored"
