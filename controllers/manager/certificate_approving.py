"""Requests of kubelets for their own client certificates are approved, where whoever asks may have one without being asked about.

That is what the permission to `create` `certificatesigningrequests/selfnodeclient` (renewal by the node itself) or `/nodeclient`
(bootstrapping) says; the server is asked by a SubjectAccessReview. Source: upstream `pkg/controller/certificates/approver/sarapprove.go`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from kube.objects import Object, key_of
from kube.resources import Resource
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Update, perform

from .certificate_request import KUBELET_CLIENT, REQUESTS, certificate_of, is_decided

REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False)
SELF_NODE_CLIENT, NODE_CLIENT = "selfnodeclient", "nodeclient"
MESSAGES = {
    SELF_NODE_CLIENT: "Auto approving self kubelet client certificate after SubjectAccessReview.",
    NODE_CLIENT: "Auto approving kubelet client certificate after SubjectAccessReview.",
}
RETRY_S = 10.0
"""Permissions may come later."""


def plan(desired: Object, observed: Collection[str], now: datetime) -> list[Action]:
    """Approve the request by the first permission that it needs and has; `observed` are those that its requester has."""
    permission = next((each for each in permissions_for(desired) if each in observed), "")
    if not permission:
        return []
    status = desired.get("status") or {}
    approved = {"type": "Approved", "status": "True", "reason": "AutoApproved", "message": MESSAGES[permission]}
    told = {**status, "conditions": [*(status.get("conditions") or ()), approved]}
    return [Update(REQUESTS, {**desired, "status": told}, subresource="approval")]


def permissions_for(csr: Object) -> list[str]:
    """The permissions of which one is enough; none where this is nothing to approve. Raises UnreadableRequest."""
    spec = csr["spec"]
    if certificate_of(csr) or is_decided(csr) or spec.get("signerName") != KUBELET_CLIENT:
        return []
    from .certificate_content import asked, kubelet_client_problem  # brings cryptography: only when there is a request

    what = asked(csr)
    if kubelet_client_problem(what, spec.get("usages") or ()):
        return []
    return [SELF_NODE_CLIENT, NODE_CLIENT] if spec.get("username") == what.common_name else [NODE_CLIENT]


def review(csr: Object, permission: str) -> Object:
    """The question whether the requester has it."""
    spec = csr["spec"]
    attributes = {"group": REQUESTS.group, "resource": REQUESTS.plural, "verb": "create", "subresource": permission}
    who = {"user": spec.get("username"), "uid": spec.get("uid"), "groups": spec.get("groups"), "extra": spec.get("extra")}
    asker = {key: value for key, value in who.items() if value}
    return {"apiVersion": REVIEWS.api_version, "kind": REVIEWS.kind, "spec": {**asker, "resourceAttributes": attributes}}


class CertificateApprovingController:
    """Keys are names of requests."""

    name = "csrapproving"

    def start(self, run: Run) -> None:
        self.run = run
        self.requests = run.informers.of(REQUESTS)
        self.requests.add_handler(lambda old, new: run.queue.add(key_of(new)) if new is not None and not is_decided(new) else None)

    async def reconcile(self, key: str) -> float | None:
        csr = self.requests.get(key)
        if csr is None:
            return None
        wanted = permissions_for(csr)
        if not wanted:
            return None
        has = [each for each in wanted if await self._has(csr, each)]
        actions = plan(csr, has, self.run.clock.now())
        await perform(actions, client=self.run.client, events=self.run.events)
        return None if actions else RETRY_S

    async def _has(self, csr: Object, permission: str) -> bool:
        answer = await self.run.client.create(REVIEWS, review(csr, permission))
        return bool((answer.get("status") or {}).get("allowed"))
