"""The pods of a StatefulSet and their claims: names, identities, what is in them. Pure.

Source: upstream `pkg/controller/statefulset/stateful_set_utils.go`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kube.objects import Object, controller_reference, is_deleting, labels_of, name_of, namespace_of, owners_of, uid_of
from kube.resources import STATEFUL_SETS

from .controller_revision import POD_HASH
from .pod import from_template

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"
_ORDINAL = re.compile(r"(.*)-([0-9]+)", re.ASCII | re.DOTALL)


def pod_name(stateful_set: Object, ordinal: int) -> str:
    return f"{name_of(stateful_set)}-{ordinal}"


def ordinal_of(stateful_set: Object, pod: Mapping[str, Any]) -> int:
    """The pod's ordinal; -1 for a pod that is none of this set's by its name."""
    found = _ORDINAL.fullmatch(name_of(pod))
    if found is None or found[1] != name_of(stateful_set) or len(found[2]) > 10:
        return -1
    return int(found[2])


def first_ordinal(stateful_set: Object) -> int:
    return int((stateful_set["spec"].get("ordinals") or {}).get("start") or 0)


def claim_name(stateful_set: Object, template: Object, ordinal: int) -> str:
    return f"{name_of(template)}-{name_of(stateful_set)}-{ordinal}"


def new_pod(stateful_set: Object, template: Object, revision: str, ordinal: int) -> Object:
    """The pod of that ordinal, from that template: its name, host name and volumes are its own for ever."""
    reference = controller_reference(stateful_set, api_version=STATEFUL_SETS.api_version, kind=STATEFUL_SETS.kind)
    pod = from_template(template, stateful_set, reference)
    name = pod_name(stateful_set, ordinal)
    metadata = pod["metadata"]
    del metadata["generateName"]
    metadata["name"] = name
    metadata["labels"] = {**(metadata.get("labels") or {}), POD_HASH: revision, POD_NAME: name, POD_INDEX: str(ordinal)}
    spec = {**pod["spec"], "hostname": name, "volumes": _volumes(stateful_set, pod["spec"], ordinal)}
    if stateful_set["spec"].get("serviceName"):
        spec["subdomain"] = stateful_set["spec"]["serviceName"]
    if not spec["volumes"]:
        del spec["volumes"]
    pod["spec"] = spec
    return pod


def _volumes(stateful_set: Object, spec: Mapping[str, Any], ordinal: int) -> list[Object]:
    """The claims' volumes first; they take the place of volumes of the same name."""
    templates = stateful_set["spec"].get("volumeClaimTemplates") or ()
    claims = [
        {"name": name_of(each), "persistentVolumeClaim": {"claimName": claim_name(stateful_set, each, ordinal), "readOnly": False}}
        for each in templates
    ]
    names = {each["name"] for each in claims}
    return claims + [each for each in spec.get("volumes") or () if each.get("name") not in names]


def new_claims(stateful_set: Object, ordinal: int) -> list[Object]:
    """The claims of that ordinal. They outlive the pod, unless persistentVolumeClaimRetentionPolicy says otherwise."""
    match_labels = (stateful_set["spec"].get("selector") or {}).get("matchLabels") or {}
    claims = []
    for template in stateful_set["spec"].get("volumeClaimTemplates") or ():
        described = template.get("metadata") or {}
        metadata: Object = {
            "name": claim_name(stateful_set, template, ordinal),
            "namespace": namespace_of(stateful_set),
            "labels": {**(described.get("labels") or {}), **match_labels},
        }
        if described.get("annotations"):
            metadata["annotations"] = dict(described["annotations"])
        owners = wanted_owners([], stateful_set, None)
        if owners:
            metadata["ownerReferences"] = owners
        claims.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template.get("spec") or {}})
    return claims


def wanted_owners(owners: list[Object], stateful_set: Object, condemned: Object | None) -> list[Object]:
    """Whom a claim should belong to under the retention policy: the set (deleted with it), the condemned pod (with that), or neither."""
    policy = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    kept = [each for each in owners if each.get("uid") != uid_of(stateful_set) and each.get("kind") != "Pod"]
    when_deleted, when_scaled = policy.get("whenDeleted") == "Delete", policy.get("whenScaled") == "Delete"
    if condemned is not None and when_scaled:
        return [*kept, _reference("v1", "Pod", condemned)]
    return [*kept, _reference(STATEFUL_SETS.api_version, STATEFUL_SETS.kind, stateful_set)] if when_deleted else kept


def _reference(api_version: str, kind: str, owner: Object) -> Object:
    return {"apiVersion": api_version, "kind": kind, "name": name_of(owner), "uid": uid_of(owner)}


def misses_owner(claim: Object, stateful_set: Object, condemned: Object | None) -> bool:
    """Whether the claim belongs to somebody else than the retention policy says."""
    if is_deleting(claim):
        return False
    wanted = wanted_owners(owners_of(claim), stateful_set, condemned)
    return {each.get("uid") for each in wanted} != {each.get("uid") for each in owners_of(claim)}


def lacks_identity(stateful_set: Object, pod: Object) -> bool:
    """Whether the labels by which Services and people find this very pod are missing."""
    labels = labels_of(pod)
    return labels.get(POD_NAME) != name_of(pod) or labels.get(POD_INDEX) != str(ordinal_of(stateful_set, pod))
