"""Tokens in Secrets that were made for accounts by older releases, and that nobody has used for a year, are marked and then deleted.

Which are used, the API server notes in their labels; since when it does, in a ConfigMap. Only Secrets that their account lists are meant.
Source: upstream `pkg/controller/serviceaccount/legacy_serviceaccount_token_cleaner.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from kube.client.client import PatchKind
from kube.clock import parse_time
from kube.errors import NotFound
from kube.objects import Object, is_deleting, key_of, labels_of, name_of, namespace_of, resource_version_of, uid_of
from kube.resources import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Delete, Patch, perform

from .service_account_token import TYPE, account_key, is_of

LAST_USED: Final = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE: Final = "kubernetes.io/legacy-token-invalid-since"
TRACKING: Final = "kube-apiserver-legacy-service-account-token-tracking"
UNUSED: Final = timedelta(days=365)
PERIOD_S: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a Secret: its account, whether a pod has it mounted, and since when uses have been noted."""

    account: Object | None
    is_mounted: bool
    tracked_since: date | None


def plan(desired: Object, observed: Known, now: datetime, *, unused: timedelta = UNUSED) -> list[Action]:
    """Mark the Secret or, where it has been marked long enough, delete it."""
    if not _is_unused(desired, observed, now, unused):
        return []
    limit = (now - unused).date()
    marked = _day(labels_of(desired).get(INVALID_SINCE))
    if marked is None:
        metadata = {"uid": uid_of(desired), "labels": {INVALID_SINCE: now.date().isoformat()}}
        return [Patch(SECRETS, namespace_of(desired), name_of(desired), {"metadata": metadata}, PatchKind.MERGE)]
    if marked >= limit:
        return []
    return [Delete(SECRETS, namespace_of(desired), name_of(desired), resource_version=resource_version_of(desired))]


def _is_unused(secret: Object, known: Known, now: datetime, unused: timedelta) -> bool:
    if known.tracked_since is None or now < _midnight_after(known.tracked_since) + unused:
        return False
    made = parse_time(secret["metadata"].get("creationTimestamp"))
    if secret.get("type") != TYPE or is_deleting(secret) or made is None or made >= now - unused:
        return False
    last_used = labels_of(secret).get(LAST_USED)
    if last_used is not None:
        day = _day(last_used)
        if day is None or day >= (now - unused).date():
            return False
    listed = [each.get("name") for each in (known.account or {}).get("secrets") or ()]
    return known.account is not None and is_of(secret, known.account) and name_of(secret) in listed and not known.is_mounted


def _midnight_after(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def secrets_of(pod: Object) -> Iterator[str]:
    """Names of the Secrets that a pod uses: mounted, in variables, or for pulling images."""
    spec = pod["spec"]
    for each in spec.get("imagePullSecrets") or ():
        yield each.get("name", "")
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            yield from (each["secretRef"].get("name", "") for each in container.get("envFrom") or () if each.get("secretRef"))
            references = ((each.get("valueFrom") or {}).get("secretKeyRef") for each in container.get("env") or ())
            yield from (each.get("name", "") for each in references if each)
    for volume in spec.get("volumes") or ():
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        yield from (each["secret"].get("secretName") or each["secret"].get("name", "") for each in sources if each.get("secret"))


class LegacyTokenCleaner:
    """Keys are namespace/name of Secrets; all are looked at once a day."""

    name = "legacy-service-account-token-cleaner"
    tick_s = PERIOD_S

    def start(self, run: Run) -> None:
        self.run = run
        self._tracked_since: date | None = None
        self.secrets = run.informers.of(SECRETS, field_selector=f"type={TYPE}")
        self.accounts = run.informers.of(SERVICE_ACCOUNTS)
        self.pods = run.informers.of(PODS)

    async def tick(self) -> None:
        try:
            tracking = await self.run.client.get(CONFIG_MAPS, TRACKING, namespace="kube-system")
        except NotFound:
            return
        self._tracked_since = _day((tracking.get("data") or {}).get("since"))
        for secret in self.secrets.list():
            self.run.queue.add(key_of(secret))

    async def reconcile(self, key: str) -> float | None:
        secret = self.secrets.get(key)
        if secret is None:
            return None
        mounted = any(name_of(secret) in secrets_of(pod) for pod in self.pods.list(namespace_of(secret)))
        known = Known(self.accounts.get(account_key(secret)), mounted, self._tracked_since)
        await perform(plan(secret, known, self.run.clock.now()), client=self.run.client, events=self.run.events)
        return None
