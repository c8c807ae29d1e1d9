"""ResourceClaims: pods get those that their templates describe, and give back what they have reserved when they are done.

Promises: a claim that is made for a pod is the pod's (and goes with it), its name is in the pod's status; a pod that came to its node
without the scheduler has its allocated claims reserved; a claim that nobody uses any more is deallocated; one whose pod has ended is
deleted at once, not only with the pod. Read first: `kube/pod_claims.py`; of reservations tells `resource_claim_reservation.py`.
Source: upstream `pkg/controller/resourceclaim/controller.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from kube.client.client import PatchKind
from kube.errors import NotFound
from kube.objects import Object, annotations_of, controller_of, controller_reference, is_deleting, key_of, name_of, namespace_of, uid_of
from kube.pod_claims import PodClaim, claim_keys, claims_of, is_reserved_for, not_for_pod
from kube.resources import PODS, Resource
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Delete, Record, Update, perform

from .index import CONTROLLER, with_controllers
from .pod import is_terminal
from .resource_claim_reservation import CLAIMS, without_finalizer
from .resource_claim_reservation import plan as plan_reservation

TEMPLATES: Final = Resource("resource.k8s.io", "v1", "resourceclaimtemplates", "ResourceClaimTemplate")
POD_CLAIM: Final = "resource.kubernetes.io/pod-claim-name"
"""On a claim: which of the pod's claims it is."""
FIELD_MANAGER: Final = "ResourceClaimController"
RESERVED_MAX: Final = 256
RETRY_S: Final = 10.0
_BASE_MAX = 57
_BY_CLAIM = "resource claim"
_BY_TEMPLATE = "resource claim template"
_POD, _CLAIM = "pod:", "claim:"


def plan(
    desired: Object, observed: Mapping[str, Object], now: datetime, *, owned: Sequence[Object], templates: Mapping[str, Object]
) -> list[Action]:
    """What the pod lacks: claims to be made, reservations. `observed` are the claims that it names, `owned` those that are its own."""
    if is_deleting(desired):
        return []
    actions: list[Action] = []
    for each in claims_of(desired):
        if not each.template or not each.is_needed or _present(desired, each, observed) or found_for(each, owned, desired) is not None:
            continue
        template = templates.get(each.template)
        if template is None:
            missing = f'resource claim template "{each.template}": resourceclaimtemplate.resource.k8s.io "{each.template}" not found'
            return [*actions, _failed(desired, each, missing)]
        actions.append(Create(CLAIMS, new_claim(desired, each, template), failed=_failed(desired, each, "create ResourceClaim : {error}")))
    return actions or _reservations(desired, observed)


def _present(pod: Object, claim: PodClaim, claims: Mapping[str, Object]) -> bool:
    found = claims.get(claim.claim or "")
    return found is not None and not not_for_pod(found, pod)


def _failed(pod: Object, claim: PodClaim, why: str) -> Record:
    return Record(pod, "Warning", "FailedResourceClaimCreation", f"PodResourceClaim {claim.name}: {why}")


def found_for(claim: PodClaim, owned: Sequence[Object], pod: Object) -> Object | None:
    """The claim that was made for this entry already, though the pod's status does not say so yet."""
    for each in owned:
        marked = annotations_of(each).get(POD_CLAIM)
        if marked == claim.name or (marked is None and name_of(each) == f"{name_of(pod)}-{claim.name}"):
            return each
    return None


def new_claim(pod: Object, claim: PodClaim, template: Object) -> Object:
    """The claim for one entry of the pod, by its template."""
    spec = template.get("spec") or {}
    described = spec.get("metadata") or {}
    metadata: Object = {
        "generateName": generated_name(name_of(pod), claim.name),
        "namespace": namespace_of(pod),
        "ownerReferences": [controller_reference(pod, api_version=PODS.api_version, kind=PODS.kind)],
        "annotations": {**(described.get("annotations") or {}), POD_CLAIM: claim.name},
    }
    if described.get("labels"):
        metadata["labels"] = dict(described["labels"])
    return {"apiVersion": CLAIMS.api_version, "kind": CLAIMS.kind, "metadata": metadata, "spec": spec.get("spec") or {}}


def generated_name(pod_name: str, claim_name: str) -> str:
    """What the server adds five characters to; where it is too long, both names are cut in proportion."""
    whole = f"{pod_name}-{claim_name}-"
    if len(whole) <= _BASE_MAX:
        return whole
    return f"{pod_name[: len(pod_name) * _BASE_MAX // len(whole)]}-{claim_name[: len(claim_name) * _BASE_MAX // len(whole)]}"


def statuses(pod: Object, observed: Mapping[str, Object], owned: Sequence[Object]) -> list[Object] | None:
    """The claims' names as the pod's status is to tell them; None where it does."""
    told: list[Object] = []
    news = False
    for each in claims_of(pod):
        if not each.template:
            continue
        if not each.is_needed:
            told.append({"name": each.name})
        elif _present(pod, each, observed):
            told.append({"name": each.name, "resourceClaimName": each.claim})
        elif (found := found_for(each, owned, pod)) is not None:
            told.append({"name": each.name, "resourceClaimName": name_of(found)})
            news = True
    return told if news else None


def _reservations(pod: Object, observed: Mapping[str, Object]) -> list[Action]:
    """What the scheduler would have done, for a pod that has a node without it."""
    if not pod["spec"].get("nodeName"):
        return []
    actions: list[Action] = []
    for each in claims_of(pod):
        claim = observed.get(each.claim or "")
        if claim is None or (each.template and not_for_pod(claim, pod)):
            continue
        status = claim.get("status") or {}
        reserved = status.get("reservedFor") or []
        if status.get("allocation") is not None and not is_reserved_for(claim, pod) and len(reserved) < RESERVED_MAX:
            mine = {"resource": "pods", "name": name_of(pod), "uid": uid_of(pod)}
            actions.append(Update(CLAIMS, {**claim, "status": {**status, "reservedFor": [*reserved, mine]}}, subresource="status"))
    return actions


def is_done(pod: Object) -> bool:
    """Whether none of its containers runs or ever will."""
    return is_terminal(pod) or (is_deleting(pod) and not pod["spec"].get("nodeName"))


class ResourceClaimController:
    """Keys are `pod:` and `claim:` with namespace/name."""

    name = "resource_claim"

    def start(self, run: Run) -> None:
        self.run = run
        self.pods = run.informers.of(PODS)
        self.claims = with_controllers(run.informers.of(CLAIMS))
        self.templates = run.informers.of(TEMPLATES)
        self.pods.add_index(_BY_CLAIM, claim_keys)
        self.pods.add_index(_BY_TEMPLATE, _template_keys)
        self.pods.add_handler(self._pod_changed)
        self.claims.add_handler(self._claim_changed)
        self.templates.add_handler(self._template_changed)

    async def reconcile(self, key: str) -> float | None:
        kind, _, rest = key.partition(":")
        return await (self._pod(rest) if f"{kind}:" == _POD else self._claim(rest))

    # --- pods

    async def _pod(self, key: str) -> float | None:
        pod = self.pods.get(key)
        if pod is None or is_deleting(pod):
            return None
        templates = {name_of(each): each for each in self.templates.list(namespace_of(pod))}
        actions = plan(pod, self._observed(pod), self.run.clock.now(), owned=self._owned(pod), templates=templates)
        for answer in await perform(actions, client=self.run.client, events=self.run.events):
            if answer is not None:
                self.claims.put(answer)
        told = statuses(pod, self._observed(pod), self._owned(pod))
        if told is not None:
            await self._tell(pod, told)
        return RETRY_S if any(isinstance(each, Record) for each in actions) else None

    def _observed(self, pod: Object) -> dict[str, Object]:
        found = (self.claims.get(each) for each in claim_keys(pod))
        return {name_of(each): each for each in found if each is not None}

    def _owned(self, pod: Object) -> Sequence[Object]:
        return [each for each in self.claims.by_index(CONTROLLER, uid_of(pod)) if not is_deleting(each)]

    async def _tell(self, pod: Object, told: list[Object]) -> None:
        metadata = {"name": name_of(pod), "namespace": namespace_of(pod), "uid": uid_of(pod)}
        wanted = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"resourceClaimStatuses": told}}
        client = self.run.client
        answer = await client.patch(
            PODS,
            name_of(pod),
            wanted,
            namespace=namespace_of(pod),
            kind=PatchKind.APPLY,
            subresource="status",
            field_manager=FIELD_MANAGER,
            force=True,
        )
        self.pods.put(answer)

    # --- claims

    async def _claim(self, key: str) -> float | None:
        claim = self.claims.get(key)
        if claim is None:
            return None
        gone = {each["uid"] for each in (claim.get("status") or {}).get("reservedFor") or () if await self._is_gone(claim, each)}
        actions = plan_reservation(claim, gone, self.run.clock.now(), is_owner_done=self._is_owner_done(claim))
        for action in actions:
            [answer] = await perform([action], client=self.run.client, events=self.run.events)
            if answer is None or isinstance(action, Delete):
                continue
            self.claims.put(answer)
            if isinstance(action, Update) and action.subresource == "status" and (let_go := without_finalizer(answer)) is not None:
                await perform([let_go], client=self.run.client, events=self.run.events)
        return None

    async def _is_gone(self, claim: Object, consumer: Object) -> bool:
        """Whether a reservation is for nobody. Of a pod that the cache does not know the server is asked: it may be newer."""
        if consumer.get("apiGroup") or consumer.get("resource") != "pods":
            return False
        pod = self.pods.get(f"{namespace_of(claim)}/{consumer['name']}")
        if pod is not None:
            return uid_of(pod) != str(consumer["uid"]) or is_done(pod)
        try:
            live = await self.run.client.get(PODS, consumer["name"], namespace=namespace_of(claim))
        except NotFound:
            return True
        return bool(uid_of(live) != consumer["uid"])

    def _is_owner_done(self, claim: Object) -> bool:
        """Whether the pod that the claim was made for does not need it any more. One that is gone is the garbage collector's business."""
        owner = controller_of(claim)
        if owner is None or (owner.get("apiVersion"), owner.get("kind")) != ("v1", "Pod"):
            return False
        pod = self.pods.get(f"{namespace_of(claim)}/{owner['name']}")
        return pod is not None and (uid_of(pod) != str(owner["uid"]) or is_done(pod))

    # --- changes

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old or {}
        if not pod["spec"].get("resourceClaims"):
            return
        if new is None or is_done(new) or (old is not None and uid_of(old) != uid_of(new)):
            for each in {*claim_keys(pod), *(claim_keys(old) if old is not None else ())}:
                self.run.queue.add(f"{_CLAIM}{each}")
        if new is not None and not is_deleting(new) and not is_done(new):
            self.run.queue.add(f"{_POD}{key_of(new)}")

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        claim = new or old or {}
        if new is not None:
            self.run.queue.add(f"{_CLAIM}{key_of(new)}")
        for pod in self.pods.by_index(_BY_CLAIM, key_of(claim)):
            self.run.queue.add(f"{_POD}{key_of(pod)}")

    def _template_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None and new is not None:
            for pod in self.pods.by_index(_BY_TEMPLATE, key_of(new)):
                self.run.queue.add(f"{_POD}{key_of(pod)}")


def _template_keys(pod: Object) -> list[str]:
    return [f"{namespace_of(pod)}/{each.template}" for each in claims_of(pod) if each.template]
