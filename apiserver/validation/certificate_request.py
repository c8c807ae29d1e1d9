"""CertificateSigningRequests: the main resource, `/approval` and `/status`. Source: kubernetes `pkg/apis/certificates/validation`.

What the stored request breaks already, an update may go on breaking. Errors of malformed DER are the parser's own, not Go's words.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from apiserver.validation.metadata import complaints, same
from apiserver.validation.names import byte_length, is_dns1123_label, is_dns1123_subdomain
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required, too_long
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

LEGACY_SIGNER = "kubernetes.io/legacy-unknown"
LIFETIME_MIN_S = 600
DOMAIN_MAX, PATH_MAX = 253, 571
USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
_FINAL = ("Approved", "Denied", "Failed")
_STATUSES = ("False", "True", "Unknown")
_CERTIFICATE_SHOWN = "<certificate data>"

_pem_re = re.compile(r"-----BEGIN ([^\n-]*)-----[ \t]*\r?\n(.*?)-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Block:
    """A PEM block."""

    kind: str
    headers: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class _Known:
    """What the stored request breaks already."""

    both: bool = False
    repeated: bool = False
    untyped: bool = False
    statuses: bool = False
    certificate: bool = False
    usages: bool = False
    repeated_usages: bool = False
    legacy_signer: bool = False


def _pem_blocks(encoded: str | None) -> list[_Block]:
    """The PEM blocks in base64-encoded text; what is none is passed over."""
    try:
        text = base64.b64decode(encoded or "").decode("latin-1")
    except ValueError:
        return []
    found = []
    for match in _pem_re.finditer(text):
        headers, blank, body = match[2].replace("\r\n", "\n").rpartition("\n\n")
        body = body if blank else match[2]
        try:
            found.append(_Block(match[1], bool(headers.strip()), base64.b64decode("".join(body.split()), validate=True)))
        except ValueError:
            continue
    return found


def request_problem(encoded: str | None) -> str:
    """Why this is no signed PKCS#10 request; "" when it is one."""
    blocks = _pem_blocks(encoded)
    if not blocks or blocks[0].kind != "CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        request = x509.load_der_x509_csr(blocks[0].data)
        return "" if request.is_signature_valid else "x509: invalid signature: parent certificate cannot sign this kind of certificate"
    except (ValueError, InvalidSignature, TypeError) as error:
        return f"asn1: structure error: {error}"


def certificate_problem(encoded: str | None) -> str:
    """Why this is no certificate chain; "" when it is one, or empty."""
    if not encoded:
        return ""
    blocks = _pem_blocks(encoded)
    for block in blocks:
        if block.kind != "CERTIFICATE":
            return f"only CERTIFICATE PEM blocks are allowed, found {json.dumps(block.kind)}"
        if block.headers:
            return "no PEM block headers are permitted"
        try:
            x509.load_der_x509_certificate(block.data)
        except ValueError as error:
            return f"x509: malformed certificate: {error}"
    return "" if blocks else "must contain at least one CERTIFICATE PEM block"


# --- the request ------------------------------------------------------------------------------------------------------


def _known(old: Object | None) -> _Known:
    if old is None:
        return _Known()
    spec, status = old.get("spec") or {}, old.get("status") or {}
    conditions, usages = status.get("conditions") or [], spec.get("usages") or []
    kinds = [each.get("type") or "" for each in conditions]
    return _Known(
        both="Approved" in kinds and "Denied" in kinds,
        repeated=len(set(kinds)) != len(kinds),
        untyped="" in kinds,
        statuses=any(_status_errors(each, "") for each in conditions),
        certificate=bool(certificate_problem(status.get("certificate"))),
        usages=not set(usages) <= set(USAGES),
        repeated_usages=len(set(usages)) != len(usages),
        legacy_signer=spec.get("signerName") == LEGACY_SIGNER,
    )


def _errors(request: Object, known: _Known, *, is_new: bool) -> list[FieldError]:
    spec, status = request.get("spec") or {}, request.get("status") or {}
    problem = request_problem(spec.get("request")) if is_new else ""
    errors = [invalid("spec.request", spec.get("request"), problem)] if problem else []
    errors += _usage_errors(spec.get("usages") or [], known)
    signer, seconds = spec.get("signerName") or "", spec.get("expirationSeconds")
    if signer == LEGACY_SIGNER and not known.legacy_signer:
        errors.append(invalid("spec.signerName", signer, "the legacy signerName is not allowed via this API version"))
    else:
        errors += signer_name_errors(signer, "spec.signerName")
    if seconds is not None and seconds < LIFETIME_MIN_S:
        why = "may not specify a duration less than 600 seconds (10 minutes)"
        errors.append(invalid("spec.expirationSeconds", seconds, why))
    errors += _condition_errors(status.get("conditions") or [], known)
    problem = "" if known.certificate else certificate_problem(status.get("certificate"))
    return [*errors, invalid("status.certificate", _CERTIFICATE_SHOWN, problem)] if problem else errors


def _usage_errors(usages: Sequence[str], known: _Known) -> list[FieldError]:
    if not usages:
        return [required("spec.usages")]
    errors: list[FieldError] = []
    if not known.usages:
        errors += [not_supported(f"spec.usages[{index}]", each, USAGES) for index, each in enumerate(usages) if each not in USAGES]
    if not known.repeated_usages:
        errors += [duplicate(f"spec.usages[{index}]", each) for index, each in enumerate(usages) if each in usages[:index]]
    return errors


def signer_name_errors(name: str, path: str) -> list[FieldError]:
    """`domain/path`: a domain of at least two labels, and a path of subdomains."""
    if not name:
        return [required(path)]
    domain, slash, rest = name.partition("/")
    if not slash or "/" in rest:
        return [invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")]
    errors = [too_long(path, DOMAIN_MAX)] if byte_length(domain) > DOMAIN_MAX else []
    labels = domain.split(".")
    for label in labels:
        errors += complaints(path, domain, [f"validating label {json.dumps(label)}: {why}" for why in is_dns1123_label(label)])
    if len(labels) < 2:
        errors.append(invalid(path, domain, "should be a domain with at least two segments separated by dots"))
    if byte_length(rest) > PATH_MAX:
        errors.append(too_long(path, PATH_MAX))
    for label in rest.split("."):
        errors += complaints(path, rest, [f"validating label {json.dumps(label)}: {why}" for why in is_dns1123_subdomain(label)])
    return errors


def _status_errors(condition: Object, path: str) -> list[FieldError]:
    status = condition.get("status") or ""
    allowed = ("True",) if condition.get("type") in _FINAL else _STATUSES
    if not status:
        return [required(path)]
    return [] if status in allowed else [not_supported(path, status, allowed)]


def _condition_errors(conditions: Sequence[Object], known: _Known) -> list[FieldError]:
    path = "status.conditions"
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        at, kind = f"{path}[{index}]", condition.get("type") or ""
        if not kind and not known.untyped:
            errors.append(required(f"{at}.type"))
        if not known.statuses:
            errors += _status_errors(condition, f"{at}.status")
        other = {"Approved": "Denied", "Denied": "Approved"}.get(kind)
        if other in seen and not known.both:
            errors.append(invalid(path, kind, "Approved and Denied conditions are mutually exclusive"))
        if kind in seen and not known.repeated:
            errors.append(duplicate(f"{at}.type", kind))
        seen.add(kind)
    return errors


# --- writes -----------------------------------------------------------------------------------------------------------


def validate(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    if old is None:
        return _errors(new, _Known(), is_new=True)
    return _update_errors(new, old)


def validate_approval(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    assert old is not None
    return _update_errors(new, old, may_approve=True)


def validate_status(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    assert old is not None
    return _update_errors(new, old, may_issue=True)


def _update_errors(new: Object, old: Object, *, may_approve: bool = False, may_issue: bool = False) -> list[FieldError]:
    """Conditions stay once they are there; only `/approval` approves, and only `/status` issues."""
    path, errors = "status.conditions", _errors(new, _known(old), is_new=False)
    now, before = ((each.get("status") or {}).get("conditions") or [] for each in (new, old))
    for kind in _FINAL:
        if len(_of(kind, now)) < len(_of(kind, before)):
            errors.append(not_allowed(path, f"updates may not remove a condition of type {json.dumps(kind)}"))
    for kind in () if may_approve else ("Approved", "Denied"):
        added = len(_of(kind, now)) - len(_of(kind, before))
        if added > 0:
            errors.append(not_allowed(path, f"updates may not add a condition of type {json.dumps(kind)}"))
        elif added == 0 and not same(_of(kind, now), _of(kind, before)):
            errors.append(not_allowed(path, f"updates may not modify a condition of type {json.dumps(kind)}"))
    issued, had = ((each.get("status") or {}).get("certificate") or "" for each in (new, old))
    if issued != had and had:
        errors.append(not_allowed("status.certificate", "updates may not modify existing certificate content"))
    elif issued != had and not may_issue:
        errors.append(not_allowed("status.certificate", "updates may not set certificate content"))
    return errors


def _of(kind: str, conditions: Sequence[Object]) -> list[Object]:
    return [each for each in conditions if each.get("type") == kind]
