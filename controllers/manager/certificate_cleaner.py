"""Old CertificateSigningRequests go: decided ones after an hour, undecided ones after a day, and those whose certificate has ended.

Source: upstream `pkg/controller/certificates/cleaner/cleaner.go`.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta

from kube.clock import parse_time
from kube.objects import Object, key_of, name_of, uid_of
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Delete, perform

from .certificate_request import REQUESTS, certificate_of

PERIOD_S = 3600.0
DECIDED = timedelta(hours=1)
PENDING = timedelta(hours=24)


def plan(desired: Object, observed: datetime | None, now: datetime) -> list[Action]:
    """Delete the request if it is old enough; `observed` is when its certificate ends."""
    status = desired.get("status") or {}
    conditions = status.get("conditions") or ()
    is_issued = bool(certificate_of(desired))
    due = not conditions and _is_past(desired["metadata"].get("creationTimestamp"), PENDING, now)
    for each in conditions:
        counts = each.get("type") in ("Denied", "Failed") or (each.get("type") == "Approved" and is_issued)
        due = due or (counts and _is_past(each.get("lastUpdateTime"), DECIDED, now))
        due = due or (each.get("type") == "Approved" and observed is not None and now > observed)
    return [Delete(REQUESTS, None, name_of(desired), uid=uid_of(desired))] if due else []


def _is_past(since: str | None, allowed: timedelta, now: datetime) -> bool:
    moment = parse_time(since)
    return moment is not None and now - moment > allowed


def end_of(certificate: str) -> datetime | None:
    """When a certificate (base64 of PEM) ends; None for none, or one that cannot be read."""
    if not certificate:
        return None
    from cryptography import x509  # 4 MB: only when there is a certificate

    try:
        return x509.load_pem_x509_certificate(base64.b64decode(certificate)).not_valid_after_utc
    except (ValueError, binascii.Error):
        return None


class CertificateCleaner:
    """Keys are names of requests; all are looked at every hour."""

    name = "csrcleaner"
    tick_s = PERIOD_S

    def start(self, run: Run) -> None:
        self.run = run
        self.requests = run.informers.of(REQUESTS)
        self.requests.add_handler(lambda old, new: run.queue.add(key_of(new)) if old is None and new is not None else None)

    async def tick(self) -> None:
        for each in self.requests.list():
            self.run.queue.add(key_of(each))

    async def reconcile(self, key: str) -> float | None:
        csr = self.requests.get(key)
        if csr is not None:
            actions = plan(csr, end_of(certificate_of(csr)), self.run.clock.now())
            await perform(actions, client=self.run.client, events=self.run.events)
        return None
