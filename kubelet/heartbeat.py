"""Keeps one node known: registers it, renews its Lease every 10 s, and writes its status when it changes or 5 minutes have passed.

`beats.py` has the clockwork of that.
Upstream: `kubelet_node_status.go`, component-helpers `apimachinery/lease/controller.go`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import replace

from kube.client.client import Client
from kube.clock import Clock, rfc3339_micro
from kube.errors import AlreadyExists, Conflict, NotFound
from kube.objects import Object, is_newer
from kube.resources import LEASES, NODES
from kube.runtime.events import EventRecorder
from kubelet.beats import FAILURES, RETRY_S, Beats
from kubelet.node import (
    READY_EVENTS,
    NodeFacts,
    beyond,
    fingerprint,
    joined,
    lease_of,
    node_of,
    registration_patch,
    status_of_node,
)
from kubelet.runtime.base import RuntimeService
from kubelet.volumes.attached import Attachments

log = logging.getLogger(__name__)

LEASE_S = 40
RENEW_S = 10.0
STATUS_S = 10.0
"""How often the status is looked at."""
REPORT_S = 300.0
"""How often it is written although nothing changed."""


class Heartbeat:
    """One node's. `register` first, then `begin`."""

    def __init__(
        self, client: Client, facts: NodeFacts, runtime: RuntimeService, *, clock: Clock, rng: random.Random, events: EventRecorder | None
    ) -> None:
        self._client, self.facts, self._runtime = client, facts, runtime
        self.attachments = Attachments()
        self._clock, self._rng, self._events = clock, rng, events
        self._beyond: Object | None = None
        """What the Lease has that we do not say ourselves; None when it is to be made."""
        self._node: Object = {}
        self._written_at_s = 0.0
        self._written = b""
        """The fingerprint of the status that was written last."""

    # --- the Node -----------------------------------------------------------------------------------------------------------

    async def register(self) -> Object:
        """The Node in the API, made or found; tries until it succeeds."""
        pause_s = RETRY_S[0]
        while True:
            try:
                self._took(await self._register())
                return self._node
            except FAILURES as error:
                log.warning("cannot register node %s: %s", self.facts.name, error)
                await asyncio.sleep(pause_s * (1 + self._rng.random()))
                pause_s = min(pause_s * 2, RETRY_S[1])

    async def _register(self) -> Object:
        new = node_of(self.facts, self._clock.now())
        try:
            node = await self._client.create(NODES, new)
        except AlreadyExists:
            return await self._register_again()
        self._written = fingerprint(new["status"])
        self._record("Starting", "Starting kubelet.")
        for reason in READY_EVENTS:
            self._record(reason, f"Node {self.facts.name} status is now: {reason}")
        return node

    async def _register_again(self) -> Object:
        """The node is known from before: its labels and taints stay, the kubelet's own labels are put right."""
        node = await self._client.get(NODES, self.facts.name)
        if patch := registration_patch(self.facts, node):
            node = await self._client.patch(NODES, self.facts.name, patch)
        self._record("Starting", "Starting kubelet.")
        return await self._write_status(node)

    def _record(self, reason: str, message: str) -> None:
        """An event about the node; like upstream's, its uid is the node's name."""
        if self._events is not None:
            reference = {"kind": "Node", "apiVersion": "v1", "name": self.facts.name, "uid": self.facts.name}
            self._events.record(reference, "Normal", reason, message, host=self.facts.name)

    async def _write_status(self, node: Object) -> Object:
        status = await self._status(node)
        old = node.get("status") or {}
        patch = {key: value for key, value in status.items() if value != old.get(key)}
        if "volumesInUse" in old and "volumesInUse" not in status:
            patch["volumesInUse"] = None
        patch["$setElementOrder/conditions"] = [{"type": each["type"]} for each in status["conditions"]]
        if "addresses" in patch:
            patch["addresses"] = [{"$patch": "replace"}, *status["addresses"]]
        answer = await self._client.patch(NODES, self.facts.name, {"status": patch}, subresource="status")
        self._written = fingerprint(status)
        return answer

    async def _status(self, node: Object) -> Object:
        """The node's status as it is now."""
        status = status_of_node(self.facts, node, await self._runtime.list_images(), self._clock.now())
        in_use = self.attachments.in_use()
        return status | ({"volumesInUse": in_use} if in_use else {})

    # --- beating ----------------------------------------------------------------------------------------------------------------

    def begin(self, beats: Beats) -> None:
        """From when `beats` run."""
        beats.add(self._renew, period_s=RENEW_S, name=f"lease of {self.facts.name}")
        beats.add(self._report, period_s=STATUS_S, name=f"status of {self.facts.name}")

    async def _renew(self) -> None:
        made = lease_of(self._node, now_micro=rfc3339_micro(self._clock.now()), duration_s=LEASE_S)
        lease: Object | None = None
        if self._beyond is not None:
            try:
                lease = await self._client.update(LEASES, joined(made, self._beyond))
            except (Conflict, NotFound):
                self._beyond = None
        self._beyond = beyond(lease or await self._first_lease(made), made)

    async def _first_lease(self, made: Object) -> Object:
        try:
            return await self._client.create(LEASES, made)
        except AlreadyExists:
            found = await self._client.get(LEASES, self.facts.name, namespace="kube-node-lease")
            return await self._client.update(LEASES, joined(made, beyond(found, made)))

    async def _report(self) -> None:
        """Write the status if that is due. A Node that is gone is registered anew."""
        status = await self._status(self._node)
        is_due = self._clock.monotonic() - self._written_at_s >= REPORT_S
        if not is_due and self._written == fingerprint(status) and _agrees(self._node, status):
            return
        try:
            self._took(await self._write_status(self._node))
        except NotFound:
            self._took(await self._register())

    def _took(self, answer: Object) -> None:
        """The server has taken our status. Where the watch was quicker than its answer, what the cache holds is the same, or newer."""
        self._written_at_s = self._clock.monotonic()
        if is_newer(answer, self._node):
            self._node = answer

    def observed(self, node: Object) -> None:
        """The API has this version of the Node (somebody may have changed its status)."""
        self._node = node

    def set_port(self, port: int) -> None:
        """The kubelet server listens there."""
        self.facts = replace(self.facts, port=port)


def _agrees(node: Object, status: Object) -> bool:
    """Whether the API still says what we said last: others (node lifecycle) may have set our conditions to Unknown."""
    said = {each["type"]: each["status"] for each in (node.get("status") or {}).get("conditions") or ()}
    return all(said.get(each["type"]) == each["status"] for each in status["conditions"])
