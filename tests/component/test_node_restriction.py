"""What nodes may write, with the NodeRestriction admission plugin: of the refused, the reason is compared."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from apiserver.identity import Authority
from kube.clock import LoopClock
from kube.objects import Object
from tests.component.served import MERGE, PODS, Api, Reply, pod
from tests.component.test_node_authorizer import CORE, DEFAULT, STORAGE, of, with_nodes
from tests.virtual import virtual

NODES = f"{CORE}/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
SLICES = "/apis/resource.k8s.io/v1/resourceslices"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CLAIMS = f"{DEFAULT}/persistentvolumeclaims"
TOKEN = f"{DEFAULT}/serviceaccounts/default/token"
MIRROR = "kubernetes.io/config.mirror"


@asynccontextmanager
async def restricted(directory: Path, **settings: Any) -> AsyncIterator[Api]:
    """The two nodes of `with_nodes`, who have made themselves."""
    async with with_nodes(directory, enable_admission_plugins=("NodeRestriction",), **settings) as api:
        for name in ("n1", "n2"):
            assert (await of(name, api, "POST", NODES, node(name))).status == 201
        yield api


def node(name: str, labels: Object | None = None, **spec: Any) -> Object:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}


def reason(reply: Reply) -> str:
    """Why something is forbidden; "" for what is not."""
    if reply.status != 403:
        assert reply.status < 300, reply.body
        return ""
    return reply.message.partition(" is forbidden: ")[2]


async def patched(api: Api, who: str, path: str, change: Object) -> str:
    return reason(await of(who, api, "PATCH", path, change, content_type=MERGE))


@virtual
async def test_it_is_off_by_default(tmp_path: Path) -> None:
    async with with_nodes(tmp_path) as api:
        assert (await of("n1", api, "POST", NODES, node("n2"))).status == 201


@virtual
async def test_a_node_changes_itself_and_no_other(tmp_path: Path) -> None:
    async with restricted(tmp_path) as api:
        other = await of("n1", api, "PATCH", f"{NODES}/n2", {"metadata": {"labels": {"a": "b"}}}, content_type=MERGE)
        assert other.message == 'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"'
        assert await patched(api, "n1", f"{NODES}/n2/status", {"status": {}}) == 'node "n1" is not allowed to modify node "n2"'
        assert await patched(api, "n1", f"{NODES}/n1/status", {"status": {"conditions": []}}) == ""
        assert await patched(api, "n1", f"{NODES}/n1", {"metadata": {"labels": {"example.com/a": "b"}}}) == ""
        assert reason(await of("n1", api, "POST", NODES, node("n3"))) == 'node "n1" is not allowed to modify node "n3"'


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"spec": {"taints": None}}, 'node "n1" is not allowed to modify taints'),
        ({"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}}, 'node "n1" is not allowed to modify taints'),
        (
            {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n2", "uid": "1"}]}},
            'node "n1" is not allowed to modify ownerReferences',
        ),
        (
            {"metadata": {"labels": {"node-role.kubernetes.io/a": "", "app.k8s.io/a": "1", "mine": "x"}}},
            "is not allowed to modify labels: app.k8s.io/a, node-role.kubernetes.io/a",
        ),
        (
            {"spec": {"configSource": {"configMap": {"namespace": "a", "name": "b", "kubeletConfigKey": "c"}}}},
            'node "n1" is not allowed to update configSource to a new non-nil configSource',
        ),
    ],
)
@virtual
async def test_what_a_node_may_not_change_of_itself(tmp_path: Path, change: Object, why: str) -> None:
    async with restricted(tmp_path) as api:
        assert await patched(api, "n1", f"{NODES}/n1", change) == why


@virtual
async def test_what_a_node_may_not_begin_with(tmp_path: Path) -> None:
    async with with_nodes(tmp_path, enable_admission_plugins=("NodeRestriction",)) as api:
        labelled = node("n1", {"node-restriction.kubernetes.io/a": "1", "kubernetes.io/os": "linux"})
        wanted = 'node "n1" is not allowed to set the following labels: node-restriction.kubernetes.io/a'
        assert reason(await of("n1", api, "POST", NODES, labelled)) == wanted
        source = {"configMap": {"namespace": "a", "name": "b", "uid": "1", "kubeletConfigKey": "c"}}
        wanted = 'node "n1" is not allowed to create pods with a non-nil configSource'
        assert reason(await of("n1", api, "POST", NODES, node("n1", configSource=source))) == wanted
        tainted = node("n1", taints=[{"key": "a", "effect": "NoSchedule"}])
        assert reason(await of("n1", api, "POST", NODES, tainted)) == "", "a node may come with taints"


def mirror(uid: str, *, owners: list[Object] | None = None, **spec: Any) -> Object:
    made = pod("static", **{"nodeName": "n1", **spec})
    own = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": True}
    made["metadata"] |= {"annotations": {MIRROR: "x"}, "ownerReferences": [own] if owners is None else [own | each for each in owners]}
    return made


@virtual
async def test_nodes_make_mirror_pods_only(tmp_path: Path) -> None:
    async with restricted(tmp_path) as api:
        uid = (await api.ok("GET", f"{NODES}/n1"))["metadata"]["uid"]
        by_itself = 'node "n1" can only create pods with an owner reference set to itself'
        for made, why in (
            (pod("p", nodeName="n1"), f'pod does not have "{MIRROR}" annotation, node "n1" can only create mirror pods'),
            (mirror(uid, nodeName="n2"), 'node "n1" can only create pods with spec.nodeName set to itself'),
            (mirror(uid, owners=[]), by_itself),
            (mirror(uid, owners=[{"name": "n2"}]), by_itself),
            (mirror(uid, owners=[{}, {"name": "n2"}]), 'node "n1" can only create pods with a single owner reference set to itself'),
            (mirror(uid, owners=[{"controller": False}]), 'node "n1" can only create pods with a controller owner reference set to itself'),
            (mirror(uid, owners=[{"blockOwnerDeletion": True}]), 'node "n1" must not set blockOwnerDeletion on an owner reference'),
            (mirror("123"), f"node n1 UID mismatch: expected 123 got {uid}"),
            (mirror(uid, imagePullSecrets=[{"name": "s"}]), "a mirror pod may not reference secrets"),
            (
                mirror(uid, resourceClaims=[{"name": "r", "resourceClaimName": "c"}]),
                'node "n1" can not create pods that reference resourceclaims',
            ),
            (mirror(uid), ""),
        ):
            assert reason(await of("n1", api, "POST", PODS, made)) == why
        gone = await of("n3", api, "DELETE", f"{PODS}/static")
        assert gone.status == 401
        await api.ok("DELETE", f"{NODES}/n1")
        lost = await of("n1", api, "POST", PODS, mirror(uid))
        assert (lost.status, lost.message) == (404, 'node "n1" not found')


@virtual
async def test_a_node_ends_the_pods_on_it_alone(tmp_path: Path) -> None:
    async with restricted(tmp_path) as api:
        for name, where in (("mine", "n1"), ("too", "n1"), ("other", "n2")):
            await api.ok("POST", PODS, pod(name, nodeName=where))
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "other"}}
        why = "node n1 can only evict pods with spec.nodeName set to itself"
        assert reason(await of("n1", api, "POST", f"{PODS}/other/eviction", eviction)) == why
        why = 'node "n1" can only delete pods with spec.nodeName set to itself'
        assert reason(await of("n1", api, "DELETE", f"{PODS}/other")) == why
        assert reason(await of("n1", api, "DELETE", f"{PODS}/mine")) == ""
        assert reason(await of("n1", api, "POST", f"{PODS}/too/eviction", eviction | {"metadata": {"name": "too"}})) == ""
        none = await of("n1", api, "POST", f"{PODS}/none/eviction", eviction | {"metadata": {"name": "none"}})
        assert (none.status, none.message) == (404, 'pod "none" not found')


@virtual
async def test_a_node_tells_of_the_pods_on_it_alone(tmp_path: Path) -> None:
    async with restricted(tmp_path) as api:
        await api.ok("POST", PODS, pod("p", nodeName="n1"))
        path, running = f"{PODS}/p/status", {"status": {"phase": "Running"}}
        assert await patched(api, "n2", path, running) == 'node "n2" can only update pod status for pods with spec.nodeName set to itself'
        labelled = {"metadata": {"labels": {"a": "b"}}}
        assert await patched(api, "n1", path, labelled) == 'node "n1" cannot update labels through pod status'
        claims = {"status": {"resourceClaimStatuses": [{"name": "a", "resourceClaimName": "b"}]}}
        assert await patched(api, "n1", path, claims) == 'node "n1" cannot update resource claim statues'
        assert await patched(api, "n1", path, running) == ""


@virtual
async def test_leases_and_csi_nodes_are_called_as_the_node(tmp_path: Path) -> None:
    async with restricted(tmp_path) as api:
        for path, what in ((LEASES, "node lease"), (f"{STORAGE}/csinodes", "CSINode")):
            spec: Object = {"drivers": []} if what == "CSINode" else {}
            why = f"can only access {what} with the same name as the requesting node"
            assert reason(await of("n1", api, "POST", path, {"metadata": {"name": "n2"}, "spec": spec})) == why
            assert reason(await of("n1", api, "POST", path, {"metadata": {"name": "n1"}, "spec": spec})) == ""
            assert reason(await of("n1", api, "DELETE", f"{path}/n1")) == ""


@virtual
async def test_slices_are_of_the_node_itself(tmp_path: Path) -> None:
    async with restricted(tmp_path) as api:
        pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}

        def made(name: str, **where: Any) -> Object:
            return {"metadata": {"name": name}, "spec": {"driver": "d.example.com", "pool": pool, **where}}

        why = "can only create ResourceSlice with the same NodeName as the requesting node"
        assert reason(await of("n1", api, "POST", SLICES, made("a", nodeName="n2"))) == why
        assert reason(await of("n1", api, "POST", SLICES, made("a", allNodes=True))) == why
        assert reason(await of("n1", api, "POST", SLICES, made("a", nodeName="n1"))) == ""
        assert reason(await of("n2", api, "DELETE", f"{SLICES}/a")).endswith("no relationship found between node 'n2' and this object")
        assert reason(await of("n1", api, "DELETE", f"{SLICES}?fieldSelector=spec.nodeName%3Dn1")) == ""
        assert (await api.ok("GET", SLICES))["items"] == []


@virtual
async def test_of_a_claim_a_node_tells_how_large_it_is(tmp_path: Path) -> None:
    async with restricted(tmp_path) as api:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        await api.ok("POST", CLAIMS, {"metadata": {"name": "c"}, "spec": spec})
        await api.ok("POST", PODS, pod("p", nodeName="n1", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]))
        assert await patched(api, "n1", f"{CLAIMS}/c/status", {"status": {"capacity": {"storage": "2Gi"}}}) == ""
        refused = await patched(api, "n1", f"{CLAIMS}/c/status", {"status": {"phase": "Lost"}})
        assert refused.startswith('node "n1" is not allowed to update fields other than status.quantity and status.conditions: ')
        assert '-  "phase": "Pending"\n+  "phase": "Lost"\n' in refused
        assert "fields other than" in await patched(api, "n1", f"{CLAIMS}/c/status", {"metadata": {"labels": {"a": "b"}}})


def request(common_name: str, signer: str) -> Object:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    spec = {"signerName": signer, "usages": ["client auth"], "request": base64.b64encode(csr.public_bytes(Encoding.PEM)).decode()}
    return {"metadata": {"generateName": "csr-"}, "spec": spec}


@virtual
async def test_a_node_asks_for_certificates_in_its_own_name(tmp_path: Path) -> None:
    async with restricted(tmp_path) as api:
        own, other = "kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kube-apiserver-client"
        why = "can only create a node CSR with CN=system:node:n1"
        assert reason(await of("n1", api, "POST", REQUESTS, request("system:node:n2", own))) == why
        assert reason(await of("n1", api, "POST", REQUESTS, request("system:node:n1", own))) == ""
        assert reason(await of("n1", api, "POST", REQUESTS, request("system:node:n2", other))) == ""
        none = request("system:node:n1", own)
        none["spec"]["request"] = base64.b64encode(b"foo").decode()
        why = "unable to parse csr: PEM block type must be CERTIFICATE REQUEST"
        assert reason(await of("n1", api, "POST", REQUESTS, none)) == why


@virtual
async def test_tokens_are_for_pods_on_the_node_and_for_whom_they_ask(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path / "pki", LoopClock())
    async with restricted(tmp_path, authority=authority) as api:
        vault = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "vault"}}]}}
        made = {name: await api.ok("POST", PODS, pod(name, nodeName=where, volumes=[vault])) for name, where in (("p", "n1"), ("q", "n2"))}
        uids = {name: each["metadata"]["uid"] for name, each in made.items()}

        async def asked(*audiences: str, **bound: Any) -> str:
            given = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uids["p"]} | bound
            reference = {key: value for key, value in given.items() if value}
            return reason(await of("n1", api, "POST", TOKEN, {"spec": {"audiences": list(audiences), "boundObjectRef": reference}}))

        assert reason(await of("n1", api, "POST", TOKEN, {"spec": {}})) == "node requested token not bound to a pod"
        assert await asked(kind="Secret") == "node requested token not bound to a pod"
        assert await asked(uid="") == "node requested token with a pod binding without a uid"
        record = "does not match the UID in record. The object might have been deleted and then recreated"
        assert await asked(uid="1") == f"the UID in the bound object reference (1) {record}"
        assert await asked(name="q", uid=uids["q"]) == "node requested token bound to a pod scheduled on a different node"
        assert await asked() == ""
        assert await asked("vault") == ""
        assert await asked("vault", "bank") == "node may only request 0 or 1 audiences"
        nobody = "system:node:n1 is not authorized to request tokens for this audience"
        assert await asked("bank") == f'audience "bank" not found in pod spec volume, {nobody}'
        rules = [{"apiGroups": [""], "resources": ["bank"], "verbs": ["request-serviceaccounts-token-audience"]}]
        roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
        await api.ok("POST", f"{roles}/roles", {"metadata": {"name": "r"}, "rules": rules})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
        subjects = [{"kind": "Group", "name": "system:nodes", "apiGroup": "rbac.authorization.k8s.io"}]
        await api.ok("POST", f"{roles}/rolebindings", {"metadata": {"name": "r"}, "roleRef": reference, "subjects": subjects})
        assert await asked("bank") == ""


@virtual
async def test_drivers_of_volumes_ask_for_tokens_too(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path / "pki", LoopClock())
    async with restricted(tmp_path, authority=authority) as api:
        driver = {"metadata": {"name": "d.example.com"}, "spec": {"tokenRequests": [{"audience": "disk"}]}}
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "v", "storageClassName": ""}
        made = await api.ok(
            "POST", PODS, pod("p", nodeName="n1", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}])
        )  # fmt: skip
        bound = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": made["metadata"]["uid"]}
        body = {"spec": {"audiences": ["disk"], "boundObjectRef": bound}}
        missing = 'error validating audience "disk": '
        assert reason(await of("n1", api, "POST", TOKEN, body)) == f'{missing}persistentvolumeclaim "c" not found'
        await api.ok("POST", CLAIMS, {"metadata": {"name": "c"}, "spec": claim})
        source = {"driver": "d.example.com", "volumeHandle": "h"}
        volume = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "csi": source}
        assert reason(await of("n1", api, "POST", TOKEN, body)) == f'{missing}persistentvolume "v" not found'
        await api.ok("POST", f"{CORE}/persistentvolumes", {"metadata": {"name": "v"}, "spec": volume})
        assert reason(await of("n1", api, "POST", TOKEN, body)) == f'{missing}csidriver.storage.k8s.io "d.example.com" not found'
        await api.ok("POST", f"{STORAGE}/csidrivers", driver)
        assert reason(await of("n1", api, "POST", TOKEN, body)) == ""
