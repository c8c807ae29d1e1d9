"""Bootstrap tokens that have expired go. Off by default, as upstream. Source: upstream `pkg/controller/bootstrap/tokencleaner.go`."""

from __future__ import annotations

from datetime import datetime

from kube.objects import Object, is_deleting, key_of, name_of, namespace_of, uid_of
from kube.resources import SECRETS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Delete, perform

from .bootstrap_token import NAMESPACE, TYPE, expires_at, is_expired


def plan(desired: Object, observed: None, now: datetime) -> list[Action]:
    """Delete the token's Secret if it has expired."""
    if is_deleting(desired) or not is_expired(desired, now):
        return []
    return [Delete(SECRETS, namespace_of(desired), name_of(desired), uid=uid_of(desired))]


class TokenCleaner:
    """Keys are namespace/name of the Secrets of bootstrap tokens."""

    name = "tokencleaner"

    def start(self, run: Run) -> None:
        self.run = run
        self.secrets = run.informers.of(SECRETS, namespace=NAMESPACE, field_selector=f"type={TYPE}")
        self.secrets.add_handler(lambda old, new: run.queue.add(key_of(new)) if new is not None else None)

    async def reconcile(self, key: str) -> float | None:
        secret = self.secrets.get(key)
        if secret is None or is_deleting(secret):
            return None
        now = self.run.clock.now()
        actions = plan(secret, None, now)
        await perform(actions, client=self.run.client, events=self.run.events)
        end = None if actions else expires_at(secret)
        return (end - now).total_seconds() + 1 if end is not None else None
