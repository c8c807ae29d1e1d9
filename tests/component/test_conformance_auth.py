"""Upstream's conformance tests of service accounts, tokens, access reviews, certificates, events and leases."""

from __future__ import annotations

import base64
import itertools
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509

from apiserver.identity import Authority
from kube.clock import LoopClock
from kube.objects import Object
from tests.component.conformance import ALL, NAMESPACE, World, condition, names, pod, script, world
from tests.component.served import MERGE, served
from tests.component.test_loops_cluster import csr
from tests.virtual import virtual

ACCOUNTS, PODS = f"{NAMESPACE}/serviceaccounts", f"{NAMESPACE}/pods"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


def authority(where: Path) -> Authority:
    return Authority.load_or_create(where, LoopClock())


# --- service accounts ---------------------------------------------------------------------------------------------------------------


@virtual
async def test_the_life_of_a_service_account_is_watched() -> None:
    async with served() as api:
        start = (await api.ok("GET", ACCOUNTS))["metadata"]["resourceVersion"]
        await api.ok("POST", ACCOUNTS, {"metadata": {"name": "sa", "labels": {"e2e": "static"}}})
        patched = await api.ok("PATCH", f"{ACCOUNTS}/sa", {"automountServiceAccountToken": False}, content_type=MERGE)
        assert patched["automountServiceAccountToken"] is False
        updated = await api.ok("PUT", f"{ACCOUNTS}/sa", {**patched, "automountServiceAccountToken": True})
        assert updated["automountServiceAccountToken"] is True
        assert names((await api.ok("GET", "/api/v1/serviceaccounts?labelSelector=e2e%3Dstatic"))["items"]) == ["sa"]
        await api.ok("DELETE", f"{ACCOUNTS}?labelSelector=e2e%3Dstatic")
        events = await api.events(f"{ACCOUNTS}?watch=1&labelSelector=e2e%3Dstatic&resourceVersion={start}", ALL)
        assert [each["type"] for each in events] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]


@virtual
async def test_a_token_is_issued_and_reviewed(tmp_path: Path) -> None:
    async with world(nodes=0, authority=authority(tmp_path)) as api:
        await api.ok("POST", ACCOUNTS, {"metadata": {"name": "sa"}})
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        token = (await api.ok("POST", f"{ACCOUNTS}/sa/token", request))["status"]["token"]
        assert token
        review = await api.ok("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token}})
        assert (review["status"]["authenticated"], review["status"].get("error")) == (True, None)
        assert review["status"]["user"]["username"] == "system:serviceaccount:default:sa"
        refused = await api.ok("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token + "x"}})
        assert refused["status"].get("authenticated") in (None, False)


@virtual
async def test_tokens_can_be_verified_by_what_discovery_says(tmp_path: Path) -> None:
    async with world(nodes=0, authority=authority(tmp_path)) as api:
        found = await api.ok("GET", "/.well-known/openid-configuration")
        assert found["jwks_uri"] == "https://192.0.2.1:6443/openid/v1/jwks"
        published = await api.call("GET", "/openid/v1/jwks", accept="application/jwk-set+json")
        assert published.headers["content-type"] == "application/jwk-set+json"
        keys = jwt.PyJWKSet.from_json(published.body)
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["oidc-discovery-test"]}}
        token = (await api.ok("POST", f"{ACCOUNTS}/default/token", request))["status"]["token"]
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(
            token,
            key.key,
            algorithms=found["id_token_signing_alg_values_supported"],
            audience="oidc-discovery-test",
            issuer=found["issuer"],
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
        assert claims["sub"] == "system:serviceaccount:default:default"


MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


async def user_of(api: World, token: str, *audiences: str) -> Object:
    """Whom the server takes the bearer of a token for."""
    review = await api.ok("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token, "audiences": list(audiences)}})
    assert review["status"]["authenticated"]
    return dict(review["status"]["user"])


@virtual
async def test_tokens_ca_and_namespace_are_in_files(tmp_path: Path) -> None:
    known = authority(tmp_path)
    async with world(nodes=1, authority=known) as api:
        await api.where(f"{NAMESPACE}/configmaps/kube-root-ca.crt", bool)
        paths = {"token": f"{MOUNT}/token", "ca": f"{MOUNT}/ca.crt", "namespace": f"{MOUNT}/namespace"}
        containers = [{**script(f"cat {path}; echo"), "name": name} for name, path in paths.items()]
        made = await api.ok("POST", PODS, pod("p", *containers, restartPolicy="Never"))
        await api.ended("p")
        user = await user_of(api, (await api.log("p", "token")).strip())
        assert (user["username"], user["extra"]["authentication.kubernetes.io/pod-uid"]) == (
            "system:serviceaccount:default:default",
            [made["metadata"]["uid"]],
        )
        assert (await api.log("p", "ca")).strip() == known.certificate_pem.decode().strip()
        assert (await api.log("p", "namespace")).strip() == "default"


@virtual
async def test_projected_tokens_are_for_their_audience_and_time(tmp_path: Path) -> None:
    async with world(nodes=1, authority=authority(tmp_path)) as api:
        token = {"path": "vault", "audience": "vault", "expirationSeconds": 7200}
        volumes = [{"name": "v", "projected": {"sources": [{"serviceAccountToken": token}]}}]
        container = script("cat /v/vault; echo", volumeMounts=[{"name": "v", "mountPath": "/v"}])
        await api.ok("POST", PODS, pod("p", container, volumes=volumes, restartPolicy="Never"))
        await api.ended("p")
        text = (await api.log("p")).strip()
        assert (await user_of(api, text, "vault"))["username"] == "system:serviceaccount:default:default"
        claims = jwt.decode(text, options={"verify_signature": False})
        assert (claims["aud"], claims["exp"] - claims["iat"]) == (["vault"], 7200)


async def test_tokens_are_mounted_unless_pod_or_account_say_otherwise() -> None:
    async with served() as api:
        for name, said in (("none", None), ("yes", True), ("no", False)):
            body: Object = {"metadata": {"name": name}} | ({} if said is None else {"automountServiceAccountToken": said})
            await api.ok("POST", ACCOUNTS, body)
        mounted = {}
        for account, wanted in itertools.product(("none", "yes", "no"), (None, True, False)):
            spec: Object = {"serviceAccountName": account} | ({} if wanted is None else {"automountServiceAccountToken": wanted})
            made = await api.ok("POST", PODS, pod(f"{account}-{str(wanted).lower()}", **spec))
            mounts = [each["mountPath"] for each in made["spec"]["containers"][0].get("volumeMounts", [])]
            mounted[(account, wanted)] = "/var/run/secrets/kubernetes.io/serviceaccount" in mounts
        not_mounted = {key for key, is_there in mounted.items() if not is_there}
        assert not_mounted == {("no", None), ("none", False), ("yes", False), ("no", False)}


@virtual
async def test_every_namespace_has_the_root_ca(tmp_path: Path) -> None:
    known = authority(tmp_path)
    async with world(nodes=0, authority=known) as api:
        await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "new"}})
        path, wanted = "/api/v1/namespaces/new/configmaps/kube-root-ca.crt", {"ca.crt": known.certificate_pem.decode()}
        made = await api.where(path, lambda found: found["data"] == wanted)
        await api.ok("DELETE", path)
        await api.where(path, lambda found: found["metadata"]["uid"] != made["metadata"]["uid"] and found["data"] == wanted)
        await api.ok("PATCH", path, {"data": {"ca.crt": ""}}, content_type=MERGE)
        await api.where(path, lambda found: found["data"] == wanted)


# --- access reviews -----------------------------------------------------------------------------------------------------------------


async def test_reviews_of_an_account_say_what_the_account_meets() -> None:
    account, rbac = "system:serviceaccount:default:sa", "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    groups = ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:default"]
    attributes = {"namespace": "default", "verb": "list", "resource": "configmaps", "version": "v1"}
    spec = {"user": account, "groups": groups, "resourceAttributes": attributes}
    async with served(authorization_mode=("RBAC",)) as api:
        await api.ok("POST", ACCOUNTS, {"metadata": {"name": "sa"}})

        async def answers() -> list[bool]:
            """Of a SubjectAccessReview, of a LocalSubjectAccessReview, and of a request as the account."""
            found = []
            for path in ("subjectaccessreviews", "namespaces/default/localsubjectaccessreviews"):
                body = {"metadata": {"namespace": "default"} if "/" in path else {}, "spec": spec}
                found.append((await api.ok("POST", f"/apis/authorization.k8s.io/v1/{path}", body))["status"]["allowed"])
            return [*found, (await api.call("GET", f"{NAMESPACE}/configmaps", impersonate_user=account)).status == 200]

        assert await answers() == [False] * 3
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
        await api.ok("POST", f"{rbac}/roles", {"metadata": {"name": "lists"}, "rules": [rule]})
        subjects = [{"kind": "ServiceAccount", "name": "sa", "namespace": "default"}]
        bound = {"metadata": {"name": "lists"}, "roleRef": {"kind": "Role", "name": "lists"}, "subjects": subjects}
        await api.ok("POST", f"{rbac}/rolebindings", bound)
        assert await answers() == [True] * 3


# --- certificates -------------------------------------------------------------------------------------------------------------------


@virtual
async def test_certificate_requests_are_made_approved_and_told_of(tmp_path: Path) -> None:
    async with world(nodes=0, authority=authority(tmp_path)) as api:
        resources = {each["name"]: set(each["verbs"]) for each in (await api.ok("GET", "/apis/certificates.k8s.io/v1"))["resources"]}
        for name in ("certificatesigningrequests/approval", "certificatesigningrequests/status"):
            assert resources[name] >= {"get", "patch", "update"}
        start = (await api.ok("GET", REQUESTS))["metadata"]["resourceVersion"]
        for name in ("one", "two", "three"):
            body = csr(name, "example.com/e2e", f"e2e-{name}")
            body["metadata"]["labels"] = {"e2e": "csr"}
            await api.ok("POST", REQUESTS, body)
        assert names((await api.ok("GET", f"{REQUESTS}?labelSelector=e2e%3Dcsr"))["items"]) == ["one", "three", "two"]
        await api.ok("PATCH", f"{REQUESTS}/one", {"metadata": {"annotations": {"patched": "true"}}}, content_type=MERGE)
        current = await api.ok("GET", f"{REQUESTS}/one")
        current["metadata"]["annotations"]["updated"] = "true"
        await api.ok("PUT", f"{REQUESTS}/one", current)

        read = await api.ok("GET", f"{REQUESTS}/one/approval")
        read["status"]["conditions"] = [{"type": "Approved", "status": "True", "reason": "E2E", "message": "m"}]
        approved = await api.ok("PUT", f"{REQUESTS}/one/approval", read)
        assert condition(approved, "Approved") == ("True", "E2E")
        more = [*approved["status"]["conditions"], {"type": "ApprovalPatch", "status": "True", "reason": "E2E"}]
        change = {"metadata": {"annotations": {"by-approval": "true"}}, "status": {"conditions": more}}
        patched = await api.ok("PATCH", f"{REQUESTS}/one/approval", change, content_type=MERGE)
        assert {each["type"] for each in patched["status"]["conditions"]} == {"Approved", "ApprovalPatch"}

        pem = self_signed()
        read = await api.ok("GET", f"{REQUESTS}/one/status")
        read["status"]["certificate"] = base64.b64encode(pem).decode()
        updated = await api.ok("PUT", f"{REQUESTS}/one/status", read)
        assert base64.b64decode(updated["status"]["certificate"]) == pem
        more = [*updated["status"]["conditions"], {"type": "StatusUpdate", "status": "True", "reason": "E2E"}]
        await api.ok("PATCH", f"{REQUESTS}/one/status", {"status": {"conditions": more}}, content_type=MERGE)
        assert condition(await api.ok("GET", f"{REQUESTS}/one"), "StatusUpdate") == ("True", "E2E")

        await api.ok("DELETE", f"{REQUESTS}/one")
        await api.ok("DELETE", f"{REQUESTS}?labelSelector=e2e%3Dcsr")
        assert await api.items(f"{REQUESTS}?labelSelector=e2e%3Dcsr") == []
        events = await api.events(f"{REQUESTS}?watch=1&labelSelector=e2e%3Dcsr&resourceVersion={start}", ALL)
        assert [each["type"] for each in events].count("ADDED") == [each["type"] for each in events].count("DELETED") == 3


def self_signed() -> bytes:
    """Any certificate."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key, clock = ec.generate_private_key(ec.SECP256R1()), LoopClock()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "e2e")])
    now = clock.now()
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    return (
        builder.not_valid_before(now).not_valid_after(now.replace(year=now.year + 1)).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )


# --- events --------------------------------------------------------------------------------------------------------------------------


async def test_an_event_is_patched_and_gets_a_series() -> None:
    regarding: Any = {"namespace": "default", "name": "p", "kind": "Pod"}
    old = {
        "metadata": {"name": "e", "labels": {"e2e": "1"}},
        "involvedObject": regarding,
        "message": "m",
        "reason": "Test",
        "type": "Normal",
    }
    async with served() as api:
        core, new = f"{NAMESPACE}/events", "/apis/events.k8s.io/v1/namespaces/default/events"
        await api.ok("POST", core, old)
        assert names((await api.ok("GET", "/api/v1/events?labelSelector=e2e%3D1"))["items"]) == ["e"]
        assert (await api.ok("PATCH", f"{core}/e", {"message": "patched"}, content_type=MERGE))["message"] == "patched"
        current = await api.ok("GET", f"{core}/e")
        current["series"] = {"count": 100, "lastObservedTime": "2026-01-02T03:04:05.000000Z"}
        assert (await api.ok("PUT", f"{core}/e", current))["series"]["count"] == 100
        seen = await api.ok("GET", f"{new}/e")
        assert (seen["note"], seen["series"]["count"]) == ("patched", 100)
        series = {"series": {"count": 101, "lastObservedTime": "2026-01-02T03:04:06.000000Z"}}
        assert (await api.ok("PATCH", f"{new}/e", series, content_type=MERGE))["series"]["count"] == 101
        assert names((await api.ok("GET", f"{new}?labelSelector=e2e%3D1"))["items"]) == ["e"]
        await api.ok("DELETE", f"{new}/e")
        assert (await api.call("GET", f"{core}/e")).status == 404


async def test_a_lease_is_taken_over() -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    spec = {"holderIdentity": "holder", "leaseDurationSeconds": 30, "acquireTime": "2026-01-02T03:04:05.000006Z", "leaseTransitions": 0}
    async with served() as api:
        await api.ok("POST", path, {"metadata": {"name": "l"}, "spec": spec})
        read = await api.ok("GET", f"{path}/l")
        assert read["spec"] == spec
        taken = {**spec, "holderIdentity": "holder2", "leaseTransitions": 1}
        await api.ok("PUT", f"{path}/l", {**read, "spec": taken})
        assert (await api.ok("GET", f"{path}/l"))["spec"] == taken
        patched = await api.ok("PATCH", f"{path}/l", {"spec": {"leaseDurationSeconds": 60}}, content_type=MERGE)
        assert patched["spec"] == {**taken, "leaseDurationSeconds": 60}
