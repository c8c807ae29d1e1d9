"""What a TokenReview is answered with: whose token it is, and for whom it is good.

Source: kubernetes `pkg/registry/authentication/tokenreview/storage.go`, and how apiserver `pkg/authentication` joins what its parts say.
"""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.kinds.authentication import TokenAnswer
from apiserver.pipeline.authentication import Authenticator
from apiserver.service_accounts import ServiceAccountTokens, TokenRefused

_INVALID = "invalid bearer token"


class TokenReviewer:
    """Knows the static tokens, which are good for the server itself, and those of ServiceAccounts, which name whom they are for."""

    def __init__(self, authenticator: Authenticator, accounts: ServiceAccountTokens | None, issuer: str) -> None:
        self._authenticator, self._accounts, self._issuer = authenticator, accounts, issuer

    async def __call__(self, token: str, audiences: Sequence[str]) -> TokenAnswer:
        """`audiences` are those who ask for themselves; the server's own when there are none."""
        wanted = tuple(audiences) or (self._issuer,)
        user = self._authenticator.static(token)
        if user is not None and self._issuer in wanted:
            return TokenAnswer(user, (self._issuer,))
        try:
            found = await self._accounts.authenticated(token, wanted) if self._accounts is not None else None
        except TokenRefused as error:
            return TokenAnswer(None, error=f"[{_INVALID}, {error}]")
        return TokenAnswer(*found) if found is not None else TokenAnswer(None, error=_INVALID)
