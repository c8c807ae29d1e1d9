"""ControllerRevisions: the templates that a DaemonSet or StatefulSet has had, for `kubectl rollout history` and `undo`.

Pure, but for `keep_revisions`, which creates and renumbers them. Source: upstream `pkg/controller/history` and
`pkg/controller/daemon/update.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kube.client.informer import Informer
from kube.errors import AlreadyExists
from kube.objects import Object, annotations_of, controller_of, controller_reference, labels_of, name_of, namespace_of, uid_of
from kube.resources import CONTROLLER_REVISIONS, Resource
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Delete

from .deployment_revision import template_hash
from .status import meaningful

POD_HASH = "controller-revision-hash"
"""The label of pods that says which revision they were made from."""
HASH = "controller.kubernetes.io/hash"
_NOT_INHERITED = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
_NAME_PREFIX_MAX = 223


@dataclass(frozen=True, slots=True)
class Wanted:
    """The revision of an owner's present template, and the count of name collisions after which it got its name."""

    revision: Object
    collisions: int


def data_of(template: Object) -> Object:
    """What a revision keeps: a strategic patch that puts the template back."""
    return {"spec": {"template": {**template, "$patch": "replace"}}}


def template_of(revision: Object) -> Object:
    template = (((revision.get("data") or {}).get("spec")) or {}).get("template") or {}
    return {key: value for key, value in template.items() if key != "$patch"}


def number_of(revision: Object) -> int:
    return int(revision.get("revision") or 0)


def by_number(revisions: Sequence[Object]) -> list[Object]:
    """Oldest first."""
    return sorted(revisions, key=lambda each: (number_of(each), each["metadata"].get("creationTimestamp") or "", name_of(each)))


def new_revision(owner: Object, resource: Resource, number: int, collisions: int, *, hash_label: str) -> Object:
    """The revision of the owner's present template, not created yet."""
    template = owner["spec"].get("template") or {}
    hash_text = template_hash(template, collisions or None)
    annotations = {key: value for key, value in annotations_of(owner).items() if key not in _NOT_INHERITED}
    metadata: Object = {
        "name": f"{name_of(owner)[:_NAME_PREFIX_MAX]}-{hash_text}",
        "namespace": namespace_of(owner),
        "labels": {**labels_of(template), hash_label: hash_text},
        "ownerReferences": [controller_reference(owner, api_version=resource.api_version, kind=resource.kind)],
    }
    if annotations:
        metadata["annotations"] = annotations
    kind = {"apiVersion": CONTROLLER_REVISIONS.api_version, "kind": CONTROLLER_REVISIONS.kind}
    return {**kind, "metadata": metadata, "data": data_of(template), "revision": number}


def find_equal(owner: Object, revisions: Sequence[Object]) -> Object | None:
    """The latest revision that keeps the owner's present template."""
    template = owner["spec"].get("template") or {}
    ordered = by_number(revisions)[::-1]
    exact = next((each for each in ordered if template_of(each) == template), None)
    if exact is not None:
        return exact
    wanted = meaningful(template)
    return next((each for each in ordered if meaningful(template_of(each)) == wanted), None)


async def keep_revisions(
    run: Run, informer: Informer, owner: Object, resource: Resource, revisions: Sequence[Object], *, hash_label: str
) -> Wanted:
    """Make sure that the present template has the highest revision: an equal one is renumbered, otherwise one is created."""
    latest = max((number_of(each) for each in revisions), default=0)
    collisions = int((owner.get("status") or {}).get("collisionCount") or 0)
    equal = find_equal(owner, revisions)
    if equal is not None and number_of(equal) == latest:
        return Wanted(equal, collisions)
    if equal is not None:
        renumbered = await run.client.update(CONTROLLER_REVISIONS, {**equal, "revision": latest + 1})
        informer.put(renumbered)
        return Wanted(renumbered, collisions)
    while True:
        new = new_revision(owner, resource, latest + 1, collisions, hash_label=hash_label)
        try:
            created = await run.client.create(CONTROLLER_REVISIONS, new)
        except AlreadyExists:
            created = await run.client.get(CONTROLLER_REVISIONS, name_of(new), namespace=namespace_of(new))
            is_ours = (controller_of(created) or {}).get("uid") == uid_of(owner)
            if not is_ours or meaningful(created.get("data")) != meaningful(new["data"]):
                collisions += 1
                continue
        informer.put(created)
        return Wanted(created, collisions)


def old_revisions(owner: Object, revisions: Sequence[Object], is_live: Callable[[Object], bool]) -> list[Action]:
    """Deletes the oldest revisions beyond revisionHistoryLimit, of those that nothing uses."""
    limit = owner["spec"].get("revisionHistoryLimit")
    unused = [each for each in by_number(revisions) if not is_live(each)]
    surplus = len(unused) - (10 if limit is None else int(limit))
    return [Delete(CONTROLLER_REVISIONS, namespace_of(each), name_of(each), uid=uid_of(each)) for each in unused[: max(0, surplus)]]
