"""What a pod refers to, and what a PersistentVolume needs."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.registry.pod_references import MIRROR, UnknownVolume, needs_the_api, references_of, secrets_of_volume
from kube.objects import Object


def pod(*volumes: Object, status: Object | None = None, annotations: Any = None, **spec: Any) -> Object:
    meta = {"name": "p", "namespace": "a", "annotations": annotations or {}}
    given = {"containers": [{"name": "c"}], "volumes": [{"name": "v", **each} for each in volumes], **spec}
    return {"metadata": meta, "spec": given, "status": status or {}}


def volume(**spec: Any) -> Object:
    return {"metadata": {"name": "v"}, "spec": {"claimRef": {"namespace": "a", "name": "c"}, **spec}}


def env(**source: Any) -> Object:
    return {"name": "c", "env": [{"name": "E", "valueFrom": source}, {"name": "PLAIN", "value": "1"}]}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param(pod(serviceAccountName="s"), {"serviceaccounts/s"}, id="its account"),
        pytest.param(pod(imagePullSecrets=[{"name": "s"}, {}]), {"secrets/s"}, id="secrets to pull with"),
        pytest.param(pod(containers=[env(secretKeyRef={"name": "s"})]), {"secrets/s"}, id="a secret in a variable"),
        pytest.param(pod(initContainers=[env(configMapKeyRef={"name": "m"})]), {"configmaps/m"}, id="a configmap of an init container"),
        pytest.param(
            pod(ephemeralContainers=[{"envFrom": [{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "m"}}]}]),
            {"secrets/s", "configmaps/m"},
            id="the environment of an ephemeral container",
        ),
        pytest.param(pod({"secret": {"secretName": "s"}}, {"configMap": {"name": "m"}}), {"secrets/s", "configmaps/m"}, id="volumes"),
        pytest.param(
            pod({"projected": {"sources": [{"secret": {"name": "s"}}, {"configMap": {"name": "m"}}, {"downwardAPI": {}}]}}),
            {"secrets/s", "configmaps/m"},
            id="projected volumes",
        ),
        pytest.param(pod({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "s"}}}), {"secrets/s"}, id="an inline CSI volume"),
        pytest.param(
            pod({"rbd": {"secretRef": {"name": "s"}}}, {"azureFile": {"secretName": "t"}}), {"secrets/s", "secrets/t"}, id="disks"
        ),
        pytest.param(pod({"persistentVolumeClaim": {"claimName": "c"}}), {"persistentvolumeclaims/c"}, id="a claim"),
        pytest.param(pod({"ephemeral": {}}), {"persistentvolumeclaims/p-v"}, id="an ephemeral volume's claim"),
        pytest.param(pod(resourceClaims=[{"name": "r", "resourceClaimName": "d"}]), {"resourceclaims/d"}, id="a ResourceClaim"),
        pytest.param(pod(resourceClaims=[{"name": "r", "resourceClaimTemplateName": "t"}]), set(), id="a claim that is still to be made"),
        pytest.param(
            pod(
                resourceClaims=[{"name": "r", "resourceClaimTemplateName": "t"}],
                status={"resourceClaimStatuses": [{"name": "r", "resourceClaimName": "made"}]},
            ),
            {"resourceclaims/made"},
            id="a claim made of a template",
        ),
        pytest.param(
            pod(status={"extendedResourceClaimStatus": {"resourceClaimName": "x"}}), {"resourceclaims/x"}, id="an extended resource's claim"
        ),
        pytest.param(pod(serviceAccountName="s", annotations={MIRROR: "x"}), set(), id="nothing of a mirror pod"),
    ],
)
def test_what_a_pod_refers_to(given: Object, wanted: set[str]) -> None:
    found = references_of(given)
    assert {f"{plural}/{name}" for plural, _, name in found} == wanted
    assert all(namespace == "a" for _, namespace, _ in found)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param(volume(csi={"nodeStageSecretRef": {"namespace": "b", "name": "s"}}), {("b", "s")}, id="staging"),
        pytest.param(volume(csi={"controllerPublishSecretRef": {"namespace": "b", "name": "s"}}), set(), id="the controller's alone"),
        pytest.param(volume(csi={"nodePublishSecretRef": {"name": "s"}}), {("", "s")}, id="without a namespace: nobody's"),
        pytest.param(volume(iscsi={"secretRef": {"name": "s"}}), {("a", "s")}, id="in the namespace of the claim"),
        pytest.param(volume(azureFile={"secretName": "s", "secretNamespace": "b"}), {("b", "s")}, id="Azure says it in two fields"),
        pytest.param(volume(hostPath={"path": "/"}), set(), id="no secret"),
    ],
)
def test_what_secrets_a_node_needs_for_a_volume(given: Object, wanted: set[tuple[str, str]]) -> None:
    assert set(secrets_of_volume(given)) == wanted


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param(pod({"emptyDir": {}}, {"hostPath": {"path": "/"}}), "", id="nothing"),
        pytest.param(pod({"projected": {"sources": [{"downwardAPI": {}}]}}), "", id="a projection of itself"),
        pytest.param(pod(serviceAccountName="s"), "serviceaccounts", id="an account"),
        pytest.param(pod(imagePullSecrets=[{"name": "s"}]), "secrets", id="secrets"),
        pytest.param(pod(containers=[env(configMapKeyRef={"name": "m"})]), "configmaps", id="configmaps"),
        pytest.param(pod(resourceClaims=[{"name": "r"}]), "resourceclaims", id="ResourceClaims"),
        pytest.param(pod({"csi": {"driver": "d"}}), "csidrivers (via CSI volumes)", id="a driver"),
        pytest.param(pod({"ephemeral": {}}), "persistentvolumeclaims (via ephemeral volumes)", id="an ephemeral volume"),
        pytest.param(
            pod({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
            "serviceaccounts (via projected volumes)",
            id="a token",
        ),
    ],
)
def test_what_a_pod_needs_the_api_for(given: Object, wanted: str) -> None:
    assert needs_the_api(given) == wanted


def test_a_volume_of_no_known_kind() -> None:
    with pytest.raises(UnknownVolume, match=r'unknown volume type for volume {2}"v"'):
        needs_the_api(pod({"cloudy": {}}))
