"""Who is asking: client certificates, bearer tokens of a static file, and ServiceAccount tokens, in upstream's order.

A request without credentials is `system:anonymous`; one with credentials that nobody recognises is refused (401).
Source: apiserver `pkg/authentication`, token file format of kube-apiserver's `--token-auth-file`.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from apiserver.registry.kind import User
from kube.errors import Unauthorized

ANONYMOUS: Final = User("system:anonymous", ("system:unauthenticated",))
AUTHENTICATED: Final = "system:authenticated"


class TokenFileError(ValueError):
    """The token file cannot be used; the text names file and line."""


def read_token_file(path: Path) -> dict[bytes, User]:
    """Tokens by their SHA-256 (so that a look-up takes the same time whatever the token). CSV: token,user,uid[,"group,group"]."""
    try:
        text = path.read_text()
    except OSError as error:
        raise TokenFileError(f"--token-auth-file {path}: {error.strerror}") from error
    users: dict[bytes, User] = {}
    for number, row in enumerate(csv.reader(io.StringIO(text), skipinitialspace=True), start=1):
        if not row or row[0].startswith("#"):
            continue
        if len(row) < 3 or not row[0].strip() or not row[1].strip():
            raise TokenFileError(f'--token-auth-file {path}, line {number}: expected token,user,uid[,"group1,group2"]')
        groups = tuple(each.strip() for each in row[3].split(",") if each.strip()) if len(row) > 3 else ()
        users[hashlib.sha256(row[0].encode()).digest()] = User(row[1], (*groups, AUTHENTICATED), row[2])
    return users


@lru_cache(maxsize=4096)
def user_of_certificate(der: bytes) -> User:
    """CN is the user's name, each O a group (the TLS layer has verified the chain)."""
    subject = x509.load_der_x509_certificate(der).subject
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = tuple(str(each.value) for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    if not names or not names[0].value:
        raise Unauthorized
    return User(str(names[0].value), (*groups, AUTHENTICATED))


class Authenticator:
    """Finds the user of a request. `service_account` turns a ServiceAccount's JWT into a User, or None."""

    def __init__(
        self, tokens: dict[bytes, User] | None = None, service_account: Callable[[str], Awaitable[User | None]] | None = None
    ) -> None:
        self._tokens, self._service_account = tokens or {}, service_account

    def static(self, token: bytes | str) -> User | None:
        """Whose token of the static file it is."""
        return self._tokens.get(hashlib.sha256(token.encode() if isinstance(token, str) else token).digest())

    async def user(self, authorization: bytes, peer_certificate: bytes | None) -> User:
        """Raises Unauthorized for credentials that are no good."""
        if peer_certificate:
            return user_of_certificate(peer_certificate)
        if not authorization:
            return ANONYMOUS
        scheme, _, token = authorization.partition(b" ")
        token = token.strip()
        if scheme.lower() != b"bearer" or not token:
            return ANONYMOUS
        found = self.static(token)
        if found is None and self._service_account is not None and token.count(b".") == 2:
            found = await self._service_account(token.decode("latin-1"))
        if found is None:
            raise Unauthorized
        return found
