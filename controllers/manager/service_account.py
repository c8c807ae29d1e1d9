"""Every namespace has the ServiceAccount `default`, and has it again when somebody deletes it.

Source: upstream `pkg/controller/serviceaccount/serviceaccounts_controller.go`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from kube.errors import AlreadyExists
from kube.objects import Object, name_of, namespace_of
from kube.resources import NAMESPACES, SERVICE_ACCOUNTS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, perform

NAMES = ("default",)


def plan(desired: Object, observed: Collection[str], now: datetime) -> list[Action]:
    """The ServiceAccounts to create in the Namespace `desired`; `observed` are the names of those it has."""
    if desired.get("status", {}).get("phase", "Active") != "Active":
        return []
    missing = [name for name in NAMES if name not in observed]
    return [Create(SERVICE_ACCOUNTS, _service_account(name_of(desired), name)) for name in missing]


def _service_account(namespace: str, name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


class ServiceAccountController:
    """Keys are names of namespaces."""

    name = "serviceaccount"

    def start(self, run: Run) -> None:
        self.run = run
        self.namespaces = run.informers.of(NAMESPACES)
        self.accounts = run.informers.of(SERVICE_ACCOUNTS)
        self.namespaces.add_handler(lambda old, new: run.queue.add(name_of(new)) if new is not None else None)
        self.accounts.add_handler(lambda old, new: run.queue.add(namespace_of(old)) if new is None and old is not None else None)

    async def reconcile(self, key: str) -> float | None:
        namespace = self.namespaces.get(key)
        if namespace is None:
            return None
        observed = [name for name in NAMES if self.accounts.get(f"{key}/{name}") is not None]
        try:
            await perform(plan(namespace, observed, self.run.clock.now()), client=self.run.client, events=self.run.events)
        except AlreadyExists:
            return None  # somebody else was faster
        return None
