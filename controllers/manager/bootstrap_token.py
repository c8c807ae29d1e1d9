"""Bootstrap tokens, by which nodes join: what is in their Secrets, and the signatures that they make. Pure.

Source: `k8s.io/cluster-bootstrap/token`, upstream `pkg/controller/bootstrap/{jws,util}.go`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from kube.clock import parse_time
from kube.objects import Object, is_deleting, name_of

TYPE: Final = "bootstrap.kubernetes.io/token"
NAMESPACE: Final = "kube-system"
PREFIX: Final = "bootstrap-token-"
SIGNATURE: Final = "jws-kubeconfig-"
"""What the keys of signatures in `cluster-info` begin with; the token's id follows."""
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


def value(secret: Object, key: str) -> str:
    """The text of one key; "" for none."""
    try:
        return base64.b64decode((secret.get("data") or {}).get(key) or "").decode()
    except (ValueError, binascii.Error):
        return ""


def expires_at(secret: Object) -> datetime | None:
    """When the token ends; None for never. Raises ValueError for a time that is none (such a token counts as expired)."""
    text = value(secret, "expiration")
    if not text:
        return None
    moment = parse_time(text) if _RFC3339.fullmatch(text) else None
    if moment is None:
        raise ValueError(f"unparseable expiration time {text!r}")
    return moment


def is_expired(secret: Object, now: datetime) -> bool:
    try:
        end = expires_at(secret)
    except ValueError:
        return True
    return end is not None and now > end


def signing_tokens(secrets: Iterable[Object], now: datetime) -> dict[str, str]:
    """The secrets of the tokens that may sign, by id."""
    found: dict[str, str] = {}
    for secret in secrets:
        token_id, token_secret = value(secret, "token-id"), value(secret, "token-secret")
        good = secret.get("type") == TYPE and name_of(secret) == PREFIX + token_id and token_id and token_secret
        if good and not is_deleting(secret) and not is_expired(secret, now) and value(secret, "usage-bootstrap-signing") == "true":
            found[token_id] = token_secret
    return found


def detached_signature(content: str, token_id: str, token_secret: str) -> str:
    """A JWS (HS256) of the content, without the content (RFC 7515, appendix F)."""
    header = _url(json.dumps({"alg": "HS256", "kid": token_id}, separators=(",", ":")).encode())
    signed = f"{header}.{_url(content.encode())}".encode()
    return f"{header}..{_url(hmac.digest(token_secret.encode(), signed, hashlib.sha256))}"


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
