"""What is published of the service accounts' tokens, so that anybody can verify them: OpenID Connect discovery.

Source: KEP-1393, `pkg/serviceaccount/openidmetadata.go`, `pkg/routes/openidmetadata.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from apiserver.handlers.negotiation import check_acceptable
from apiserver.handlers.request import JSON, Response, json_response
from apiserver.handlers.resources import not_allowed

CONFIGURATION: Final = "/.well-known/openid-configuration"
KEYS: Final = "/openid/v1/jwks"
JWK_SET: Final = "application/jwk-set+json"
_CACHED: Final = [("cache-control", "public, max-age=3600")]


@dataclass(slots=True)
class OpenId:
    """The two documents. `keys` are the JSON web keys that tokens of `issuer` are verified with."""

    issuer: str
    algorithm: str
    keys: list[dict[str, Any]]
    server: str = field(default="kubernetes.default.svc")
    """Where the server is found, as host or host:port; `locate` says."""

    def locate(self, host: str, port: int) -> None:
        """The server listens there."""
        if host:
            self.server = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Response | None:
        """The document at a path; None where there is none of ours. Raises ApiError (405, 406)."""
        found = {CONFIGURATION: self._configuration, KEYS: self._key_set}.get(path.rstrip("/"))
        if found is None:
            return None
        if method != "GET":
            raise not_allowed()
        document, media_type = found()
        check_acceptable(headers.get("accept", ""), (media_type,))
        answer = json_response(200, document)
        answer.content_type, answer.headers = media_type, list(_CACHED)
        return answer

    def _configuration(self) -> tuple[dict[str, Any], str]:
        document = {
            "issuer": self.issuer,
            "jwks_uri": f"https://{self.server}{KEYS}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.algorithm],
        }
        return document, JSON

    def _key_set(self) -> tuple[dict[str, Any], str]:
        return {"keys": self.keys}, JWK_SET
