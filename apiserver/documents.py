"""What is at paths that are no resource's: the list of paths, version, discovery, OpenAPI, OpenID. Answered without FastAPI, as resources
are: each client begins with these."""

from __future__ import annotations

from collections.abc import Mapping

from apiserver.handlers import pretty
from apiserver.handlers.documents import Documents
from apiserver.handlers.negotiation import check_acceptable
from apiserver.handlers.read import error_response
from apiserver.handlers.request import JSON, PAGE_NOT_FOUND, Request, Response, json_response
from apiserver.handlers.resources import no_such_path, not_allowed
from apiserver.handlers.server import Server
from apiserver.health import Health
from apiserver.openid import CONFIGURATION, KEYS, OpenId
from apiserver.version import version_document
from kube.errors import ApiError


def document_of(request: Request) -> Response:
    """The answer to a request for a document; one that is not there is an answer, too."""
    scope = request.scope
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers.items()}
    query: bytes = scope["query_string"]
    path: str = scope["path"]
    try:
        answer = document_at(request.server, request.method, path, query.decode("latin-1"), headers)
    except ApiError as error:
        answer = error_response(error, headers.get("accept", ""))
    is_wanted = pretty.is_wanted(query, request.headers.get(b"user-agent", b""), request.headers.get(b"accept", b""))
    return pretty.indented(answer) if is_wanted and not path.startswith("/openapi/") else answer


def document_at(server: Server, method: str, path: str, query: str, headers: Mapping[str, str]) -> Response:
    """The document at a path, PAGE_NOT_FOUND where there is none. `headers` have lower-case names. Raises ApiError. Like upstream, some
    paths answer to any method and others to GET alone."""
    if path.rstrip("/") == "/version":
        if method != "GET":
            raise not_allowed()
        check_acceptable(headers.get("accept", ""), (JSON,))
        return json_response(200, version_document(server.registries.definitions))
    openid: OpenId | None = server.extra.get("openid")
    documents: Documents = server.extra["documents"]
    if path == "/":
        published = [CONFIGURATION, KEYS] if openid is not None else []
        return json_response(200, {"paths": sorted([*documents.paths(), *Health(server).paths(), *published, "/metrics", "/version"])})
    if openid is not None and (found := openid.answer(method, path, headers)) is not None:
        return found
    answer = documents.answer(method, path, query, headers)
    if answer is None:
        if path.startswith(("/api/", "/apis/")) and _group_of(path) in server.registries.built_in_groups:
            raise no_such_path()
        return PAGE_NOT_FOUND
    return answer


def _group_of(path: str) -> str:
    parts = path.strip("/").split("/")
    return parts[1] if parts[0] == "apis" and len(parts) > 1 else ""
