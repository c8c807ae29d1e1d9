"""Adoption and release: a controller owns what its selector matches, and lets go of what it does not match any more.

`plan_claims` decides, `claim` carries it out. Source: upstream `pkg/controller/controller_ref_manager.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kube.client.client import Client, PatchKind
from kube.client.informer import Informer
from kube.errors import Invalid, NotFound
from kube.labels import Selector
from kube.objects import Object, controller_of, controller_reference, is_deleting, labels_of, name_of, namespace_of, uid_of
from kube.resources import Resource

from .index import CONTROLLER, orphans_of
from .own_writes import OwnWrites


@dataclass(slots=True)
class Claims:
    """`kept` are ours already, `adopt` shall become ours, `release` shall not be ours any more."""

    kept: list[Object] = field(default_factory=list)
    adopt: list[Object] = field(default_factory=list)
    release: list[Object] = field(default_factory=list)


def plan_claims(owner: Object, selector: Selector, candidates: Iterable[Object]) -> Claims:
    """What to do about each candidate. Candidates with another controller are left alone; an owner being deleted changes nothing."""
    claims = Claims()
    dying = is_deleting(owner)
    for each in candidates:
        controller = controller_of(each)
        matches = selector.matches(labels_of(each))
        if controller is not None:
            if controller.get("uid") != uid_of(owner):
                continue
            if matches:
                claims.kept.append(each)
            elif not dying:
                claims.release.append(each)
        elif matches and not dying and not is_deleting(each):
            claims.adopt.append(each)
    return claims


def candidates(informer: Informer, writes: OwnWrites, owner: Object) -> list[Object]:
    """What `owner` may have a claim on: everything it controls and every orphan of its namespace. The informer needs `with_controllers`."""
    owned = informer.by_index(CONTROLLER, uid_of(owner))
    orphans = informer.by_index(CONTROLLER, orphans_of(namespace_of(owner)))
    return writes.without_gone([*owned, *orphans])


async def claim(
    claims: Claims,
    *,
    client: Client,
    owner: Object,
    owner_resource: Resource,
    resource: Resource,
    writes: OwnWrites,
    finalizers: Sequence[str] = (),
) -> list[Object]:
    """Adopt and release as decided; what is ours afterwards. Raises what the server answers, except that gone objects are fine."""
    ours = list(claims.kept)
    if claims.adopt and await _may_adopt(client, owner, owner_resource):
        reference = controller_reference(owner, api_version=owner_resource.api_version, kind=owner_resource.kind)
        for each in claims.adopt:
            ours += await _adopt(client, resource, each, reference, finalizers, writes)
    for each in claims.release:
        await _release(client, resource, each, uid_of(owner), finalizers, writes)
    return ours


async def _may_adopt(client: Client, owner: Object, owner_resource: Resource) -> bool:
    """Ask the server, not the cache: an owner that is being deleted must not take anything with it (kubernetes#42639)."""
    fresh = await client.get(owner_resource, name_of(owner), namespace=namespace_of(owner))
    return uid_of(fresh) == uid_of(owner) and not is_deleting(fresh)


async def _adopt(
    client: Client, resource: Resource, obj: Object, reference: Object, finalizers: Sequence[str], writes: OwnWrites
) -> list[Object]:
    metadata: Object = {"ownerReferences": [reference], "uid": uid_of(obj)}
    if finalizers:
        metadata["finalizers"] = list(finalizers)
    try:
        answer = await client.patch(resource, name_of(obj), {"metadata": metadata}, namespace=namespace_of(obj), kind=PatchKind.STRATEGIC)
    except NotFound:
        return []
    writes.note(answer)
    return [answer]


async def _release(client: Client, resource: Resource, obj: Object, owner_uid: str, finalizers: Sequence[str], writes: OwnWrites) -> None:
    metadata: Object = {"ownerReferences": [{"$patch": "delete", "uid": owner_uid}], "uid": uid_of(obj)}
    if finalizers:
        metadata["$deleteFromPrimitiveList/finalizers"] = list(finalizers)
    try:
        answer = await client.patch(resource, name_of(obj), {"metadata": metadata}, namespace=namespace_of(obj), kind=PatchKind.STRATEGIC)
    except (NotFound, Invalid):
        return  # gone, or (Invalid) another object of that name by now: either way not ours
    writes.note(answer)
