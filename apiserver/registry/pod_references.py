"""What a pod refers to: secrets, configmaps, claims, its account. Pure. Objects are as they are stored.

Source: kubernetes `pkg/api/v1/pod/util.go` (VisitPodSecretNames, VisitPodConfigmapNames), `pkg/api/pod/util.go` (HasAPIObjectReference) and
`plugin/pkg/auth/authorizer/node/graph.go` (AddPod).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from kube.objects import Object, annotations_of

MIRROR: Final = "kubernetes.io/config.mirror"
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_SECRET_REFS: Final = ("cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos")
"""Volumes whose secret is in `secretRef`."""
_CSI_REFS: Final = ("nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef")
"""What a node needs of those of a CSI volume."""
_OWN: Final = frozenset({"cephfs", "flexVolume", "rbd", "scaleIO", "iscsi"})
"""PersistentVolumes whose secret, without a namespace, is in that of the claim."""
_HARMLESS: Final = frozenset(
    {"awsElasticBlockStore", "azureDisk", "cephfs", "cinder", "downwardAPI", "emptyDir", "fc", "flexVolume", "flocker", "gcePersistentDisk"}
    | {"gitRepo", "hostPath", "image", "iscsi", "nfs", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos"}
    | {"vsphereVolume"}
)
_TELLING: Final = {
    "configMap": "configmaps (via configmap volumes)",
    "secret": "secrets (via secret volumes)",
    "csi": "csidrivers (via CSI volumes)",
    "glusterfs": "endpoints (via glusterFS volumes)",
    "persistentVolumeClaim": "persistentvolumeclaims",
    "ephemeral": "persistentvolumeclaims (via ephemeral volumes)",
    "azureFile": "secrets (via azureFile volumes)",
}
_PROJECTED: Final = {
    "configMap": "configmaps (via projected volumes)",
    "secret": "secrets (via projected volumes)",
    "serviceAccountToken": "serviceaccounts (via projected volumes)",
    "clusterTrustBundle": "clustertrustbundles",
    "podCertificate": "podcertificates",
}

Reference = tuple[str, str, str]
"""Plural, namespace, name."""


class UnknownVolume(ValueError):
    """A volume of no kind that is known; the text is upstream's."""


def is_mirror(pod: Object) -> bool:
    """Whether it stands for a static pod of its node."""
    return MIRROR in annotations_of(pod)


def references_of(pod: Object) -> frozenset[Reference]:
    """What a node may read because this pod is on it. Nothing for a mirror pod: a node makes those, and must not give itself rights."""
    if is_mirror(pod):
        return frozenset()
    namespace, spec = pod["metadata"]["namespace"], pod["spec"]
    named = [("serviceaccounts", spec.get("serviceAccountName")), *_of_containers(spec), *_of_volumes(spec), *_of_claims(pod)]
    named += [("persistentvolumeclaims", claim_of(pod, each)) for each in spec.get("volumes") or ()]
    return frozenset((plural, namespace, name) for plural, name in named if name)


def claim_of(pod: Object, volume: Object) -> str | None:
    """The name of the PersistentVolumeClaim behind a volume of the pod; None where there is none."""
    if (claim := volume.get("persistentVolumeClaim")) is not None:
        name: str = claim.get("claimName") or ""
        return name
    return f"{pod['metadata']['name']}-{volume['name']}" if volume.get("ephemeral") is not None else None


def names_secrets(pod: Object) -> bool:
    """Whether a secret is named anywhere in it."""
    spec = pod.get("spec") or {}
    return any(plural == "secrets" and name for plural, name in (*_of_containers(spec), *_of_volumes(spec)))


def needs_the_api(pod: Object) -> str:
    """The first kind of object that the pod refers to, in upstream's words; "" where it stands alone. Raises UnknownVolume."""
    spec = pod.get("spec") or {}
    if spec.get("serviceAccountName"):
        return "serviceaccounts"
    named = [*_of_containers(spec), *_of_volumes(spec)]
    for plural in ("secrets", "configmaps"):
        if any(found == plural and name for found, name in named):
            return plural
    if spec.get("resourceClaims"):
        return "resourceclaims"
    return next((told for each in spec.get("volumes") or () if (told := _told(each))), "")


def _told(volume: Object) -> str:
    source = next((key for key, value in volume.items() if key != "name" and value is not None), "")
    if source in _HARMLESS:
        return ""
    if source == "projected":
        return next((told for each in volume["projected"].get("sources") or () if (told := _told_projected(volume, each))), "")
    if source not in _TELLING:
        raise UnknownVolume(f'unknown volume type for volume  "{volume.get("name", "")}"')
    return _TELLING[source]


def _told_projected(volume: Object, projection: Object) -> str:
    found = next((told for key, told in _PROJECTED.items() if projection.get(key) is not None), "")
    if not found and projection.get("downwardAPI") is None:
        raise UnknownVolume(f'unknown source for projected volume "{volume.get("name", "")}"')
    return found


_Named = tuple[str, Any]
"""Plural, and a name, if there is one."""


def _of_containers(spec: Object) -> Iterator[_Named]:
    for each in spec.get("imagePullSecrets") or ():
        yield "secrets", each.get("name")
    for group in _CONTAINERS:
        for container in spec.get(group) or ():
            yield from _of_environment(container)


def _of_environment(container: Object) -> Iterator[_Named]:
    for source in container.get("envFrom") or ():
        yield "secrets", (source.get("secretRef") or {}).get("name")
        yield "configmaps", (source.get("configMapRef") or {}).get("name")
    for variable in container.get("env") or ():
        source = variable.get("valueFrom")
        if source:
            yield "secrets", (source.get("secretKeyRef") or {}).get("name")
            yield "configmaps", (source.get("configMapKeyRef") or {}).get("name")


def _of_volumes(spec: Object) -> Iterator[_Named]:
    for volume in spec.get("volumes") or ():
        yield "secrets", (volume.get("secret") or {}).get("secretName")
        yield "configmaps", (volume.get("configMap") or {}).get("name")
        yield "secrets", (volume.get("azureFile") or {}).get("secretName")
        yield "secrets", ((volume.get("csi") or {}).get("nodePublishSecretRef") or {}).get("name")
        for kind in _SECRET_REFS:
            if kind in volume:
                yield "secrets", ((volume[kind] or {}).get("secretRef") or {}).get("name")
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield "secrets", (source.get("secret") or {}).get("name")
            yield "configmaps", (source.get("configMap") or {}).get("name")


def _of_claims(pod: Object) -> Iterator[_Named]:
    """ResourceClaims: those that the spec names, and those that were made for the pod."""
    status = pod.get("status") or {}
    made = {each.get("name"): each.get("resourceClaimName") for each in status.get("resourceClaimStatuses") or ()}
    for each in pod["spec"].get("resourceClaims") or ():
        yield (
            "resourceclaims",
            each.get("resourceClaimName") or (made.get(each.get("name")) if each.get("resourceClaimTemplateName") else None),
        )
    yield "resourceclaims", (status.get("extendedResourceClaimStatus") or {}).get("resourceClaimName")


# --- volumes of the cluster ---------------------------------------------------------------------------------------------


def secrets_of_volume(volume: Object) -> Iterable[tuple[str, str]]:
    """Namespace and name of the secrets that a node needs for a PersistentVolume. Source: `pkg/api/v1/persistentvolume/util.go`."""
    spec = volume.get("spec") or {}
    own = (spec.get("claimRef") or {}).get("namespace") or ""
    if (azure := spec.get("azureFile")) is not None:
        found = [(azure.get("secretNamespace") or own, azure.get("secretName"))]
    else:
        references = {kind: spec[kind].get("secretRef") for kind in _SECRET_REFS if spec.get(kind)}
        references |= {field: (spec.get("csi") or {}).get(field) for field in _CSI_REFS}
        found = [(each.get("namespace") or (own if kind in _OWN else ""), each.get("name")) for kind, each in references.items() if each]
    return [(namespace, name) for namespace, name in found if name]
