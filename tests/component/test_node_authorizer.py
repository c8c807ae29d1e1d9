"""Two nodes ask the server for what is theirs, and for what is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.component.served import MERGE, PODS, Api, Reply, pod, served
from tests.virtual import virtual

CORE = "/api/v1"
DEFAULT = f"{CORE}/namespaces/default"
STORAGE = "/apis/storage.k8s.io/v1"
UNRELATED = "no relationship found between node 'n2' and this object"


@asynccontextmanager
async def with_nodes(directory: Path, **settings: Any) -> AsyncIterator[Api]:
    """A server where `of-n1` and `of-n2` are the tokens of two nodes."""
    tokens = directory / "tokens.csv"
    tokens.write_text("".join(f'of-{name},system:node:{name},,"system:nodes,system:authenticated"\n' for name in ("n1", "n2")))
    async with served(token_auth_file=tokens, authorization_mode=("Node", "RBAC"), **settings) as api:
        yield api


async def of(node: str, api: Api, method: str, path: str, body: Any = None, **headers: str) -> Reply:
    return await api.call(method, path, body, authorization=f"Bearer of-{node}", **headers)


async def statuses(api: Api, path: str) -> tuple[int, int]:
    """What n1 and n2 get when they read it."""
    return (await of("n1", api, "GET", path)).status, (await of("n2", api, "GET", path)).status


async def bind(api: Api, name: str, node: str) -> None:
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    await api.ok("POST", f"{PODS}/{name}/binding", {"metadata": {"name": name}, "target": target})


@virtual
async def test_a_node_reads_the_secrets_of_its_pods_alone(tmp_path: Path) -> None:
    async with with_nodes(tmp_path) as api:
        await api.ok("POST", f"{DEFAULT}/secrets", {"metadata": {"name": "s"}, "stringData": {"a": "1"}})
        await api.ok("POST", f"{DEFAULT}/secrets", {"metadata": {"name": "t"}})
        await api.ok("POST", PODS, pod("p", volumes=[{"name": "v", "secret": {"secretName": "s"}}]))
        assert await statuses(api, f"{DEFAULT}/secrets/s") == (403, 403)
        await bind(api, "p", "n1")
        assert await statuses(api, f"{DEFAULT}/secrets/s") == (200, 403)
        assert await statuses(api, f"{DEFAULT}/secrets/t") == (403, 403)
        assert await statuses(api, f"{DEFAULT}/serviceaccounts/default") == (200, 403)
        refused = await of("n2", api, "GET", f"{DEFAULT}/secrets/s")
        who = 'User "system:node:n2" cannot get resource "secrets" in API group "" in the namespace "default"'
        assert refused.message == f'secrets "s" is forbidden: {who}: {UNRELATED}'
        await api.ok("DELETE", f"{PODS}/p?gracePeriodSeconds=0")
        assert await statuses(api, f"{DEFAULT}/secrets/s") == (403, 403)


@virtual
async def test_a_pod_may_be_read_as_soon_as_it_is_bound(tmp_path: Path) -> None:
    async with with_nodes(tmp_path) as api:
        for number in range(1100):  # more than the cache remembers, and less
            name = f"p-{number}"
            await api.ok("POST", PODS, pod(name, imagePullSecrets=[{"name": name}]))
            await bind(api, name, "n1" if number % 2 else "n2")
            if number in (0, 1, 2, 1098, 1099):
                own, other = ("n1", "n2") if number % 2 else ("n2", "n1")
                for path in (f"{PODS}/{name}", f"{DEFAULT}/secrets/{name}"):
                    assert (await of(own, api, "GET", path)).status in (200, 404)
                    assert (await of(other, api, "GET", path)).status == 403
        assert len((await of("n1", api, "GET", f"{PODS}?fieldSelector=spec.nodeName%3Dn1")).body["items"]) == 550
        assert await statuses(api, f"{PODS}?fieldSelector=spec.nodeName%3Dn1") == (200, 403)


@virtual
async def test_what_a_running_pod_is_given_later_may_be_read(tmp_path: Path) -> None:
    async with with_nodes(tmp_path) as api:
        await api.ok("POST", PODS, pod("p", nodeName="n1"))
        secret = f"{DEFAULT}/secrets/late"
        assert await statuses(api, secret) == (403, 403)
        debugger = {"name": "d", "image": "d", "envFrom": [{"secretRef": {"name": "late"}}]}
        await api.ok("PATCH", f"{PODS}/p/ephemeralcontainers", {"spec": {"ephemeralContainers": [debugger]}}, content_type=MERGE)
        assert await statuses(api, secret) == (404, 403)
        await api.ok("PATCH", f"{PODS}/p/status", {"status": {"phase": "Running"}}, content_type=MERGE)
        assert await statuses(api, secret) == (404, 403)


@virtual
async def test_volumes_are_read_through_claims(tmp_path: Path) -> None:
    async with with_nodes(tmp_path) as api:
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "v", "storageClassName": ""}
        await api.ok("POST", f"{DEFAULT}/persistentvolumeclaims", {"metadata": {"name": "c"}, "spec": claim})
        source = {"driver": "d", "volumeHandle": "h", "nodeStageSecretRef": {"namespace": "kube-system", "name": "key"}}
        volume = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "csi": source}
        volume["claimRef"] = {"namespace": "default", "name": "c"}
        key = f"{CORE}/namespaces/kube-system/secrets/key"
        await api.ok("POST", f"{CORE}/namespaces/kube-system/secrets", {"metadata": {"name": "key"}})
        await api.ok("POST", PODS, pod("p", nodeName="n1", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]))
        assert await statuses(api, key) == (403, 403)
        await api.ok("POST", f"{CORE}/persistentvolumes", {"metadata": {"name": "v"}, "spec": volume})
        for path in (f"{DEFAULT}/persistentvolumeclaims/c", f"{CORE}/persistentvolumes/v", key):
            assert await statuses(api, path) == (200, 403), path
        attachment = {"attacher": "d", "nodeName": "n1", "source": {"persistentVolumeName": "v"}}
        await api.ok("POST", f"{STORAGE}/volumeattachments", {"metadata": {"name": "a"}, "spec": attachment})
        assert await statuses(api, f"{STORAGE}/volumeattachments/a") == (200, 403)
        assert await statuses(api, f"{STORAGE}/volumeattachments") == (403, 403)


@virtual
async def test_a_watch_of_a_secret_is_of_a_single_one(tmp_path: Path) -> None:
    async with with_nodes(tmp_path) as api:
        await api.ok("POST", PODS, pod("p", nodeName="n1", imagePullSecrets=[{"name": "s"}]))
        one = f"{DEFAULT}/secrets?fieldSelector=metadata.name%3Ds"
        assert await statuses(api, one) == (200, 403)
        assert (await of("n2", api, "GET", f"{one}&watch=1")).status == 403
        assert "No Object name found" in (await of("n1", api, "GET", f"{DEFAULT}/secrets")).message


@virtual
async def test_what_rbac_grants_comes_on_top(tmp_path: Path) -> None:
    async with with_nodes(tmp_path) as api:
        rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
        roles = "/apis/rbac.authorization.k8s.io/v1"
        await api.ok("POST", f"{roles}/clusterroles", {"metadata": {"name": "r"}, "rules": rules})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}
        subjects = [{"kind": "User", "name": "system:node:n2", "apiGroup": "rbac.authorization.k8s.io"}]
        await api.ok("POST", f"{roles}/clusterrolebindings", {"metadata": {"name": "r"}, "roleRef": reference, "subjects": subjects})
        assert await statuses(api, f"{DEFAULT}/secrets/none") == (403, 404)


@virtual
async def test_access_reviews_answer_for_nodes(tmp_path: Path) -> None:
    async with with_nodes(tmp_path) as api:
        await api.ok("POST", PODS, pod("p", nodeName="n1", imagePullSecrets=[{"name": "s"}]))
        asked = {"resource": "secrets", "verb": "get", "namespace": "default", "name": "s"}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

        async def review(node: str) -> Any:
            spec = {"resourceAttributes": asked, "user": f"system:node:{node}", "groups": ["system:nodes"]}
            return (await api.ok("POST", path, {"spec": spec}))["status"]

        assert await review("n1") == {"allowed": True}
        assert await review("n2") == {"allowed": False, "reason": UNRELATED}
        own = await of("n1", api, "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {"namespace": "default"}})
        assert own.body["status"]["incomplete"] is True
        assert "node authorizer does not support user rule resolution" in own.body["status"]["evaluationError"]


@virtual
async def test_many_nodes_at_once(tmp_path: Path) -> None:
    async with with_nodes(tmp_path) as api:
        names = [f"p-{number}" for number in range(20)]
        await asyncio.gather(*(api.ok("POST", PODS, pod(each, nodeName="n1", imagePullSecrets=[{"name": each}])) for each in names))
        answers = await asyncio.gather(*(statuses(api, f"{DEFAULT}/secrets/{each}") for each in names))
        assert set(answers) == {(404, 403)}
