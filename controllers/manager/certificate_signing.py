"""Approved CertificateSigningRequests get their certificate, signed by the cluster's CA.

Signs for the four signers that are Kubernetes' own; each refuses (a condition `Failed`) what is not a request of its kind.
Without a CA (`--cluster-signing-cert-file`, `--cluster-signing-key-file`) nothing is signed. The files are read for each signature, so a
new CA is used at once. Source: upstream `pkg/controller/certificates/signer/signer.go`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kube.clock import rfc3339
from kube.objects import Object, key_of
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Update, perform

from .certificate_request import REQUESTS, SIGNERS, certificate_of, is_approved, is_failed

if TYPE_CHECKING:
    from .certificate_authority import SigningAuthority

DURATION: Final = timedelta(days=365)
SERIAL_BITS: Final = 127


def plan(desired: Object, observed: SigningAuthority, now: datetime, *, serial: int, longest: timedelta = DURATION) -> list[Action]:
    """Sign what is approved. Raises UnreadableRequest and CannotSign."""
    if not waits_for_signature(desired):
        return []
    from .certificate_authority import granted  # these two bring cryptography: only when there is a request
    from .certificate_content import PROBLEMS, asked

    spec = desired["spec"]
    what, usages = asked(desired), spec.get("usages") or []
    status = desired.get("status") or {}
    problem = PROBLEMS[spec["signerName"]](what, usages)
    if problem:
        failed = {"type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": problem}
        failed["lastUpdateTime"] = rfc3339(now)
        told = {**status, "conditions": [*(status.get("conditions") or ()), failed]}
    else:
        lifetime = granted(spec.get("expirationSeconds"), longest)
        certificate = observed.sign(what, usages, lifetime, now, serial=serial)
        told = {**status, "certificate": base64.b64encode(certificate).decode()}
    return [Update(REQUESTS, {**desired, "status": told}, subresource="status")]


def waits_for_signature(csr: Object) -> bool:
    if csr["spec"].get("signerName") not in SIGNERS or certificate_of(csr):
        return False
    return is_approved(csr) and not is_failed(csr)


@dataclass(frozen=True, slots=True)
class Files:
    """Where the CA is. "" for none."""

    certificate: str = ""
    key: str = ""

    def read(self) -> SigningAuthority:
        """Raises CannotSign."""
        from .certificate_authority import CannotSign, SigningAuthority

        try:
            return SigningAuthority.read(Path(self.certificate).read_bytes(), Path(self.key).read_bytes())
        except OSError as error:
            raise CannotSign(f"{error.filename}: {error.strerror}") from error


class CertificateSigningController:
    """Keys are names of requests."""

    name = "csrsigning"

    def __init__(self, files: Files, longest: timedelta = DURATION) -> None:
        self._files, self._longest = files, longest

    def start(self, run: Run) -> None:
        self.run = run
        self.requests = run.informers.of(REQUESTS)
        if not self._files.certificate or not self._files.key:
            run.log.info("nothing is signed: no CA was given by --cluster-signing-cert-file and --cluster-signing-key-file")
            return
        self.requests.add_handler(self._changed)

    async def reconcile(self, key: str) -> float | None:
        csr = self.requests.get(key)
        if csr is None or not waits_for_signature(csr):
            return None
        serial = self.run.rng.getrandbits(SERIAL_BITS) | 1
        actions = plan(csr, self._files.read(), self.run.clock.now(), serial=serial, longest=self._longest)
        await perform(actions, client=self.run.client, events=self.run.events)
        return None

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and waits_for_signature(new):
            self.run.queue.add(key_of(new))
