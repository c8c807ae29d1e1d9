"""Which ReplicaSet is which revision of a Deployment: template hash and name, revision numbers, annotations.

Pure. `kubectl rollout history` and `kubectl rollout undo` read the annotations kept here.
Source: upstream `pkg/controller/deployment/util/deployment_util.go`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kube.objects import Object, annotations_of, name_of

from .status import meaningful

POD_TEMPLATE_HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
NOT_INHERITED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
        "deprecated.deployment.rollback.to",
    }
)
"""Annotations of a Deployment that its ReplicaSets do not get."""

REVISION_HISTORY_CHARS_MAX = 2000
_NAME_MAX = 253
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels (no words, let alone bad ones) and nothing that can be mistaken: apimachinery `util/rand`."""


def template_hash(template: Mapping[str, Any], collisions: int | None) -> str:
    """The pod-template-hash: the same for the same template, another one after each collision. Its text looks like upstream's."""
    text = json.dumps(meaningful(template), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    salted = text if collisions is None else f"{text}{collisions}"
    return "".join(_SAFE[ord(digit) % len(_SAFE)] for digit in str(_fnv32a(salted.encode())))


def _fnv32a(data: bytes) -> int:
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def replica_set_name(deployment_name: str, hash_text: str) -> str:
    return f"{deployment_name[: _NAME_MAX - len(hash_text) - 1]}-{hash_text}"


def same_template(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two pod templates are the same apart from the pod-template-hash label."""
    return bool(meaningful(_without_hash(one or {})) == meaningful(_without_hash(other or {})))


def _without_hash(template: Mapping[str, Any]) -> Object:
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != POD_TEMPLATE_HASH}
    return {**template, "metadata": {**metadata, "labels": labels}}


def by_age(replica_sets: Iterable[Object]) -> list[Object]:
    """Oldest first, equal ages by name."""
    return sorted(replica_sets, key=lambda each: (each["metadata"].get("creationTimestamp") or "", name_of(each)))


def find_new(deployment: Object, replica_sets: Iterable[Object]) -> Object | None:
    """The ReplicaSet of the Deployment's present template; of several (which rollbacks of old clusters can leave) the oldest."""
    template = deployment["spec"].get("template") or {}
    exact, ordered = _without_hash(template), by_age(replica_sets)
    for each in ordered:  # nearly always one is the very same, which is much cheaper to see
        if _without_hash(each["spec"].get("template") or {}) == exact:
            return each
    return next((each for each in ordered if same_template(each["spec"].get("template"), template)), None)


def revision_of(obj: Mapping[str, Any]) -> int:
    """The revision number in the annotation; 0 where there is none, or nonsense."""
    text = annotations_of(obj).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def next_revision(old: Sequence[Mapping[str, Any]]) -> int:
    return max((revision_of(each) for each in old), default=0) + 1


def replica_annotations(desired: int, max_surge: int) -> dict[str, str]:
    """What scaling in proportion needs to know later: how large the Deployment was when its ReplicaSets were last sized."""
    return {DESIRED_REPLICAS: str(desired), MAX_REPLICAS: str(desired + max_surge)}


def new_annotations(deployment: Object, existing: Mapping[str, str], revision: int) -> dict[str, str]:
    """The annotations of the new ReplicaSet: the Deployment's, its own, and the revision, with the ones it had before in the history."""
    inherited = {key: value for key, value in annotations_of(deployment).items() if key not in NOT_INHERITED}
    out = {**existing, **inherited}
    before = existing.get(REVISION)
    before_number = int(before) if before and before.isdecimal() else 0
    if before_number < revision:
        out[REVISION] = str(revision)
        if before is not None:
            out[REVISION_HISTORY] = _with_history(existing.get(REVISION_HISTORY, ""), before)
    return out


def _with_history(history: str, revision: str) -> str:
    """The history with one more revision, forgetting the oldest beyond the limit."""
    revisions = [*(each for each in history.split(",") if each), revision]
    while len(revisions) > 1 and len(",".join(revisions)) > REVISION_HISTORY_CHARS_MAX:
        revisions.pop(0)
    return ",".join(revisions)


def new_replica_set(deployment: Object, *, reference: Object, replicas: int, revision: int, max_surge: int) -> Object:
    """The ReplicaSet of the Deployment's present template, not created yet."""
    spec = deployment["spec"]
    template = spec.get("template") or {}
    hash_text = template_hash(template, deployment.get("status", {}).get("collisionCount"))
    metadata = template.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), POD_TEMPLATE_HASH: hash_text}
    selector = spec.get("selector") or {}
    match_labels = {**(selector.get("matchLabels") or {}), POD_TEMPLATE_HASH: hash_text}
    annotations = new_annotations(deployment, {}, revision) | replica_annotations(int(spec.get("replicas", 1)), max_surge)
    new_spec: Object = {
        "replicas": replicas,
        "selector": {**selector, "matchLabels": match_labels},
        "template": {**template, "metadata": {**metadata, "labels": labels}},
    }
    if spec.get("minReadySeconds"):
        new_spec["minReadySeconds"] = spec["minReadySeconds"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": replica_set_name(name_of(deployment), hash_text),
            "namespace": deployment["metadata"].get("namespace", ""),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [reference],
        },
        "spec": new_spec,
    }
