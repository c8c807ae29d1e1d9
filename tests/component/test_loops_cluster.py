"""Loops that look after the cluster itself: certificates, collected ClusterRoles."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from apiserver.identity import Authority
from controllers.manager.certificate_request import CLIENT, KUBELET_CLIENT, REQUESTS
from controllers.manager.cluster_role_aggregation import CLUSTER_ROLES
from kube.clock import LoopClock
from kube.errors import NotFound
from kube.objects import Object
from tests.virtual import virtual
from wherry.in_process import InProcessCluster, in_process_cluster


def csr(name: str, signer: str, common_name: str, *organizations: str) -> Object:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    )
    pem = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM)
    spec = {"signerName": signer, "usages": ["digital signature", "client auth"], "request": base64.b64encode(pem).decode()}
    return {"metadata": {"name": name}, "spec": spec}


async def status_of(cluster: InProcessCluster, name: str) -> Object:
    found: Object = (await cluster.client.get(REQUESTS, name)).get("status") or {}
    return found


@virtual
async def test_an_approved_request_is_signed_and_later_cleaned_up(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path, LoopClock())
    async with in_process_cluster(nodes=0, authority=authority) as cluster:
        made = await cluster.client.create(REQUESTS, csr("jane", CLIENT, "jane"))
        approved = {"type": "Approved", "status": "True", "reason": "Fine"}
        await cluster.client.update(REQUESTS, {**made, "status": {"conditions": [approved]}}, subresource="approval")

        async def issued() -> bool:
            return bool((await status_of(cluster, "jane")).get("certificate"))

        await cluster.until(issued)
        certificate = x509.load_pem_x509_certificate(base64.b64decode((await status_of(cluster, "jane"))["certificate"]))
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate_pem))

        async def gone() -> bool:
            try:
                await cluster.client.get(REQUESTS, "jane")
            except NotFound:
                return True
            return False

        await cluster.until(gone, within_s=2.5 * 3600, poll_s=600)


@virtual
async def test_the_request_of_a_kubelet_is_approved_by_itself(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path, LoopClock())
    async with in_process_cluster(nodes=0, authority=authority) as cluster:
        await cluster.client.create(REQUESTS, csr("node", KUBELET_CLIENT, "system:node:n1", "system:nodes"))

        async def issued() -> bool:
            return bool((await status_of(cluster, "node")).get("certificate"))

        await cluster.until(issued)
        assert (await status_of(cluster, "node"))["conditions"][0]["reason"] == "AutoApproved"


@virtual
async def test_a_cluster_role_collects_the_rules_of_others() -> None:
    async with in_process_cluster(nodes=0) as cluster:
        selectors = [{"matchLabels": {"to": "all"}}]
        await cluster.client.create(CLUSTER_ROLES, {"metadata": {"name": "all"}, "aggregationRule": {"clusterRoleSelectors": selectors}})
        rule = {"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get"]}
        await cluster.client.create(CLUSTER_ROLES, {"metadata": {"name": "one", "labels": {"to": "all"}}, "rules": [rule]})

        async def collected() -> bool:
            return (await cluster.client.get(CLUSTER_ROLES, "all")).get("rules") == [rule]

        await cluster.until(collected)
        await cluster.client.delete(CLUSTER_ROLES, "one")

        async def empty() -> bool:
            return not (await cluster.client.get(CLUSTER_ROLES, "all")).get("rules")

        await cluster.until(empty)
