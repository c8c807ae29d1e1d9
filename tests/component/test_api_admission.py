"""Admission plugins at work."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kube.objects import Object
from tests.component.served import CONFIG_MAPS, MERGE, PODS, config_map, pod, served
from tests.virtual import virtual

NAMESPACES = "/api/v1/namespaces"
PRIORITIES = "/apis/scheduling.k8s.io/v1/priorityclasses"
STORAGE = "/apis/storage.k8s.io/v1/storageclasses"
CLAIMS = f"{NAMESPACES}/default/persistentvolumeclaims"


def claim(name: str, **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}}


def storage_class(name: str, **rest: Any) -> Object:
    marks = {"storageclass.kubernetes.io/is-default-class": "true"} if rest.pop("default", False) else {}
    return {"metadata": {"name": name, "annotations": marks}, "provisioner": "example.com/disk", **rest}


@virtual
async def test_nothing_new_comes_into_a_namespace_that_goes() -> None:
    async with served() as api:
        await api.ok("POST", NAMESPACES, {"metadata": {"name": "a"}})
        gone = await api.ok("DELETE", f"{NAMESPACES}/a")
        assert (gone["status"]["phase"], gone["spec"]["finalizers"]) == ("Terminating", ["kubernetes"])
        reply = await api.call("POST", f"{NAMESPACES}/a/configmaps", config_map("c"))
        assert (reply.status, reply.body["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")
        done = await api.ok("PUT", f"{NAMESPACES}/a/finalize", {**gone, "spec": {"finalizers": []}})
        assert done["spec"] == {}
        assert (await api.call("GET", f"{NAMESPACES}/a")).status == 404


@virtual
async def test_a_pod_gets_its_account_its_priority_its_tolerations() -> None:
    async with served() as api:
        await api.ok("POST", PRIORITIES, {"metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never"})
        made = await api.ok("POST", PODS, pod("p", priorityClassName="high"))
        spec = made["spec"]
        assert (spec["priority"], spec["preemptionPolicy"], spec["serviceAccountName"]) == (1000, "Never", "default")
        assert [each["key"] for each in spec["tolerations"]] == ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
        mount = spec["containers"][0]["volumeMounts"][0]
        assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
        assert mount["name"] == spec["volumes"][0]["name"]
        owned = made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]
        assert not owned.keys() & {"f:priority", "f:tolerations", "f:volumes"}, "what admission adds, nobody owns"


REFUSED = {
    "a priority class that is not there": ({"priorityClassName": "none"}, "no PriorityClass with name none was found"),
    "a priority of one's own": ({"priority": 5}, "priority admission controller computed 0 from the given PriorityClass name"),
    "an account that is not there": (
        {"serviceAccountName": "none"},
        'error looking up service account default/none: serviceaccount "none"',
    ),
    "a runtime class that is not there": ({"runtimeClassName": "none"}, 'pod rejected: RuntimeClass "none" not found'),
    "overhead of one's own": ({"overhead": {"cpu": "1"}}, "pod rejected: Pod Overhead set without corresponding RuntimeClass"),
    "other overhead": ({"runtimeClassName": "kata", "overhead": {"cpu": "1"}}, "pod rejected: Pod's Overhead doesn't match"),
    "another node": (
        {"runtimeClassName": "kata", "nodeSelector": {"vm": "no"}},
        "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes",
    ),
}


@pytest.mark.parametrize(("spec", "why"), REFUSED.values(), ids=REFUSED.keys())
@virtual
async def test_pods_that_are_forbidden(spec: Object, why: str) -> None:
    async with served() as api:
        runtime = {"handler": "kata", "overhead": {"podFixed": {"cpu": "250m"}}, "scheduling": {"nodeSelector": {"vm": "yes"}}}
        await api.ok("POST", "/apis/node.k8s.io/v1/runtimeclasses", {"metadata": {"name": "kata"}, **runtime})
        reply = await api.call("POST", PODS, pod("p", **spec))
        assert reply.status == 403
        assert reply.message.startswith('pods "p" is forbidden: ')
        assert why in reply.message


@virtual
async def test_a_pod_of_a_runtime_class_gets_what_it_costs() -> None:
    async with served() as api:
        scheduling = {"nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists"}]}
        body = {"metadata": {"name": "kata"}, "handler": "kata", "overhead": {"podFixed": {"cpu": "0.25"}}, "scheduling": scheduling}
        await api.ok("POST", "/apis/node.k8s.io/v1/runtimeclasses", body)
        spec = (await api.ok("POST", PODS, pod("p", runtimeClassName="kata", overhead={"cpu": "250m"})))["spec"]
        assert (spec["overhead"], spec["nodeSelector"]) == ({"cpu": "250m"}, {"vm": "yes"})
        assert {"key": "vm", "operator": "Exists"} in spec["tolerations"]


@virtual
async def test_an_account_may_name_the_only_secrets_of_its_pods() -> None:
    async with served() as api:
        annotations = {"kubernetes.io/enforce-mountable-secrets": "true"}
        account = {"metadata": {"name": "strict", "annotations": annotations}, "secrets": [{"name": "mine"}]}
        await api.ok("POST", f"{NAMESPACES}/default/serviceaccounts", account)

        def using(secret: str) -> Object:
            volume = {"name": "v", "secret": {"secretName": secret}}
            return pod("p", serviceAccountName="strict", volumes=[volume])

        reply = await api.call("POST", PODS, using("other"))
        assert 'volume with secret.secretName="other" is not allowed because service account strict does not reference' in reply.message
        await api.ok("POST", PODS, using("mine"))


@virtual
async def test_system_priorities_stay_and_there_is_one_default() -> None:
    async with served() as api:
        reply = await api.call("DELETE", f"{PRIORITIES}/system-node-critical")
        assert (reply.status, "this is a system priority class and cannot be deleted" in reply.message) == (403, True)
        await api.ok("POST", PRIORITIES, {"metadata": {"name": "usual"}, "value": 5, "globalDefault": True})
        reply = await api.call("POST", PRIORITIES, {"metadata": {"name": "other"}, "value": 6, "globalDefault": True})
        assert (reply.status, "PriorityClass usual is already marked as default" in reply.message) == (403, True)
        spec = (await api.ok("POST", PODS, pod("p")))["spec"]
        assert (spec["priority"], spec["priorityClassName"]) == (5, "usual")


@virtual
async def test_the_default_class_is_the_newest() -> None:
    async with served() as api:
        assert "storageClassName" not in (await api.ok("POST", CLAIMS, claim("none")))["spec"]
        await api.ok("POST", STORAGE, storage_class("b", default=True))
        await api.ok("POST", STORAGE, storage_class("a", default=True))
        await api.ok("POST", STORAGE, storage_class("c"))
        assert (await api.ok("POST", CLAIMS, claim("x")))["spec"]["storageClassName"] == "a", "of equally old ones the first by name"
        assert (await api.ok("POST", CLAIMS, claim("y", storageClassName="")))["spec"]["storageClassName"] == ""
        await api.events(f"{CONFIG_MAPS}?watch=1", 1)  # some seconds pass
        await api.ok("POST", STORAGE, storage_class("z", default=True))
        made = await api.ok("POST", CLAIMS, claim("w"))
        assert made["spec"]["storageClassName"] == "z"
        assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]


@virtual
async def test_an_ingress_gets_the_default_class_unless_it_says_otherwise() -> None:
    async with served() as api:
        path = "/apis/networking.k8s.io/v1"
        marks = {"ingressclass.kubernetes.io/is-default-class": "true"}
        await api.ok("POST", f"{path}/ingressclasses", {"metadata": {"name": "i", "annotations": marks}, "spec": {"controller": "e.com/x"}})
        spec = {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}
        ingresses = f"{path}/namespaces/default/ingresses"
        assert (await api.ok("POST", ingresses, {"metadata": {"name": "a"}, "spec": spec}))["spec"]["ingressClassName"] == "i"
        legacy = {"name": "b", "annotations": {"kubernetes.io/ingress.class": "old"}}
        assert "ingressClassName" not in (await api.ok("POST", ingresses, {"metadata": legacy, "spec": spec}))["spec"]


@virtual
async def test_a_bound_claim_grows_only_where_its_class_lets_it() -> None:
    async with served() as api:
        await api.ok("POST", STORAGE, storage_class("fixed"))
        await api.ok("POST", STORAGE, storage_class("grows", allowVolumeExpansion=True))
        for name in ("fixed", "grows"):
            await api.ok("POST", CLAIMS, claim(name, storageClassName=name, volumeName="v"))
            status = {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}
            await api.ok("PATCH", f"{CLAIMS}/{name}/status", status, content_type=MERGE)
        more = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
        reply = await api.call("PATCH", f"{CLAIMS}/fixed", more, content_type=MERGE)
        assert (reply.status, "only dynamically provisioned pvc can be resized" in reply.message) == (403, True)
        await api.ok("PATCH", f"{CLAIMS}/grows", more, content_type=MERGE)


@virtual
async def test_nobody_asks_for_a_certificate_of_the_masters() -> None:
    async with served() as api:
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"), x509.NameAttribute(NameOID.COMMON_NAME, "me")])
        csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        request = base64.b64encode(csr.public_bytes(Encoding.PEM)).decode()
        path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"

        def body(signer: str) -> Object:
            return {"metadata": {"name": "c"}, "spec": {"request": request, "signerName": signer, "usages": ["client auth"]}}

        reply = await api.call("POST", path, body("kubernetes.io/kube-apiserver-client"))
        assert (reply.status, "signer with system:masters group is not allowed" in reply.message) == (403, True)
        await api.ok("POST", path, body("example.com/other"))


@virtual
async def test_a_new_node_is_not_ready() -> None:
    async with served() as api:
        made = await api.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
        assert made["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]


@virtual
async def test_the_servers_own_objects() -> None:
    async with served() as api:
        cidr = await api.ok("GET", "/apis/networking.k8s.io/v1/servicecidrs/kubernetes")
        assert cidr["status"]["conditions"][0]["type"] == "Ready"
        managers = [(each["manager"], each["operation"]) for each in cidr["metadata"]["managedFields"]]
        assert sorted(managers) == [("kube-apiserver", "Update"), ("kubernetes-service-cidr-controller", "Apply")]
        service = await api.ok("GET", f"{NAMESPACES}/default/services/kubernetes")
        assert service["spec"]["clusterIP"] == "10.0.0.1"
        before = (await api.ok("GET", NAMESPACES))["metadata"]["resourceVersion"]
        await api.built.start(advertise_address="", port=6443)
        assert (await api.ok("GET", NAMESPACES))["metadata"]["resourceVersion"] == before, "a second start changes nothing"


@virtual
async def test_subresources_that_create_are_admitted_too() -> None:
    async with served() as api:
        await api.ok("POST", NAMESPACES, {"metadata": {"name": "a"}})
        await api.ok("POST", f"{NAMESPACES}/a/serviceaccounts", {"metadata": {"name": "default"}})
        await api.ok("POST", f"{NAMESPACES}/a/pods", pod("p"))
        await api.ok("DELETE", f"{NAMESPACES}/a")
        binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
        reply = await api.call("POST", f"{NAMESPACES}/a/pods/p/binding", binding)
        assert (reply.status, reply.message) == (
            403,
            'pods "p" is forbidden: unable to create new content in namespace a because it is being terminated',
        )
        other = await api.call("POST", f"{NAMESPACES}/a/pods/p/binding", {**binding, "metadata": {"name": "q"}})
        assert (other.status, other.message) == (400, "name in URL does not match name in Binding object")


@virtual
async def test_what_is_refused_is_not_warned_of() -> None:
    async with served() as api:
        warned = await api.call("POST", f"{PODS}?dryRun=All", pod("a.b"))
        assert "a DNS label is recommended" in warned.headers["warning"]
        refused = await api.call("POST", f"{PODS}?dryRun=All", pod("A.b"))
        assert (refused.status, refused.headers.get("warning")) == (422, None)
