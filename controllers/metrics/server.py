"""What the metrics server answers: one request in, one answer out, whatever carried them. `process.py` puts it on a port.

It keeps nothing: pods and nodes are asked of the API server, usage of the nodes (`summaries.py`), and only when somebody wants to know.
Objects and documents are `documents.py`'s, who may ask is `access.py`'s.
Source: metrics-server `pkg/api`, apiserver `endpoints/handlers/get.go`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from controllers.metrics import documents
from controllers.metrics.access import PUBLIC_PATHS, Authorizer, User
from controllers.metrics.summaries import Summaries
from kube import errors
from kube.client.client import Client
from kube.clock import Clock
from kube.errors import ApiError, Forbidden, MethodNotAllowed, NotFound, ServiceUnavailable, Unauthorized
from kube.objects import Object, name_of, namespace_of
from kube.resources import NODES, PODS

JSON, TEXT = "application/json", "text/plain; charset=utf-8"
_FIXED: Mapping[str, Any] = {
    "/apis": documents.GROUPS,
    f"/apis/{documents.GROUP}": documents.GROUP_DOCUMENT,
    f"/apis/{documents.API_VERSION}": documents.RESOURCES,
    "/openapi/v3": documents.OPENAPI_INDEX,
}
_RESOURCE = {"nodes": "nodemetrics", "pods": "podmetrics"}
"""What messages call what cannot be found."""


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is not unquoted; header names are in lower case. `user`: None where nobody has been identified."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    user: User | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = JSON


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a path of a resource is about."""

    plural: str
    namespace: str
    name: str
    query: Mapping[str, list[str]]

    def parameter(self, name: str) -> str:
        return self.query.get(name, [""])[0]

    @property
    def verb(self) -> str:
        return "get" if self.name else "watch" if self.parameter("watch").lower() in ("1", "true") else "list"


class MetricsServer:
    """See the module."""

    def __init__(self, client: Client, summaries: Summaries, *, clock: Clock, authorizer: Authorizer | None = None) -> None:
        self._client, self._summaries, self._clock = client, summaries, clock
        self._authorizer = authorizer or Authorizer(client, clock)

    async def answer(self, request: Request) -> Answer:
        """Never raises."""
        try:
            return await self._answer(request)
        except ApiError as error:
            return _json(error.status, error.http_code)
        except OSError as error:
            return _json(ServiceUnavailable(f"the API server cannot be reached: {error}").status, 503)

    async def _answer(self, request: Request) -> Answer:
        path = request.path.rstrip("/") or "/"
        if path in PUBLIC_PATHS or path.startswith(tuple(f"{each}/" for each in PUBLIC_PATHS)):
            return Answer(200, b"ok", TEXT)
        if request.user is None:
            raise Unauthorized
        asked = asked_for(path, request.query)
        await self._authorize(request, request.user, path, asked)
        if asked is None:
            return _document(request, path)
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("the server does not allow this method on the requested resource", details={})
        if asked.verb == "watch":
            details = {"group": documents.GROUP, "kind": asked.plural}
            raise MethodNotAllowed(f'watch is not supported on resources of kind "{asked.plural}.{documents.GROUP}"', details=details)
        items = await (self._pods(asked) if asked.plural == "pods" else self._nodes(asked))
        if asked.name and not items:
            where = f"{asked.namespace}/{asked.name}" if asked.namespace else asked.name
            raise errors.not_found(_RESOURCE[asked.plural], documents.GROUP, where)
        if _wants_table(request.headers.get("accept", "")):
            shown = documents.table(asked.plural, items, include=asked.parameter("includeObject") or "Metadata")
            return _json(shown, content_type="application/json;as=Table;v=v1;g=meta.k8s.io")
        return _json(documents.alone(asked.plural, items[0]) if asked.name else documents.listed(asked.plural, items))

    async def _authorize(self, request: Request, user: User, path: str, asked: _Asked | None) -> None:
        verb = asked.verb if asked is not None and request.method == "GET" else request.method.lower()
        if asked is None:
            attributes: Object = {"nonResourceAttributes": {"path": path, "verb": verb}}
            what = f'path "{path}"'
        else:
            place = {"group": documents.GROUP, "version": documents.VERSION, "resource": asked.plural, "verb": verb}
            place |= {key: value for key, value in (("namespace", asked.namespace), ("name", asked.name)) if value}
            attributes = {"resourceAttributes": place}
            where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
            what = f'resource "{asked.plural}" in API group "{documents.GROUP}" {where}'
        if not await self._authorizer.may(user, attributes):
            why = f'User "{user.name}" cannot {verb} {what}'
            if asked is None:
                raise Forbidden(f"forbidden: {why}", details={})
            raise errors.forbidden(asked.plural, documents.GROUP, asked.name, why)

    # --- what is measured

    async def _nodes(self, asked: _Asked) -> list[Object]:
        if asked.name:
            nodes = [await self._client.get(NODES, asked.name)]
        else:
            labels, fields = _selectors(asked)
            nodes = (await self._client.list(NODES, label_selector=labels, field_selector=fields))["items"]
        found, now = await self._summaries.of(nodes), self._clock.now()
        window_s = self._summaries.resolution_s
        made = [documents.node_metrics(node, found[name_of(node)], now, window_s=window_s) for node in nodes if name_of(node) in found]
        return [each for each in made if each is not None]

    async def _pods(self, asked: _Asked) -> list[Object]:
        if asked.name:
            pods = [await self._client.get(PODS, asked.name, namespace=asked.namespace)]
        else:
            namespace, (labels, fields) = asked.namespace or None, _selectors(asked)
            pods = (await self._client.list(PODS, namespace=namespace, label_selector=labels, field_selector=fields))["items"]
        wanted = {pod["spec"].get("nodeName") for pod in pods} - {None, ""}
        nodes = await self._nodes_named(wanted)
        found, now = await self._summaries.of(nodes), self._clock.now()
        made = []
        for pod in pods:
            summary = found.get(pod["spec"].get("nodeName") or "")
            usage = summary.pods.get((namespace_of(pod), name_of(pod))) if summary is not None else None
            if usage is not None:
                made.append(documents.pod_metrics(pod, usage, now, window_s=self._summaries.resolution_s))
        return made

    async def _nodes_named(self, names: set[Any]) -> list[Object]:
        """Those of the nodes that there are."""
        if len(names) > 1:
            return [each for each in (await self._client.list(NODES))["items"] if name_of(each) in names]
        try:
            return [await self._client.get(NODES, each) for each in names]
        except NotFound:
            return []


def asked_for(path: str, query: str) -> _Asked | None:
    """What a path is about; None for one that names no resource. Raises NotFound for another resource."""
    prefix = f"/apis/{documents.API_VERSION}/"
    if not path.startswith(prefix):
        return None
    parts = [unquote(each) for each in path.removeprefix(prefix).split("/")]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    plural, name = parts[0], parts[1] if len(parts) > 1 else ""
    is_placed = bool(namespace) if plural == "pods" and name else not namespace or plural == "pods"
    if plural not in documents.KINDS or len(parts) > 2 or not is_placed:
        raise NotFound("the server could not find the requested resource", details={})
    return _Asked(plural, namespace, name, parse_qs(query))


def _selectors(asked: _Asked) -> tuple[str, str]:
    """Of labels, and of fields."""
    return asked.parameter("labelSelector"), asked.parameter("fieldSelector")


def _document(request: Request, path: str) -> Answer:
    if path == "/apis" and "as=APIGroupDiscoveryList" in request.headers.get("accept", ""):
        return _json(documents.AGGREGATED, content_type=documents.AGGREGATED_TYPE)
    if path == f"/openapi/v3/{documents.OPENAPI_PATH}":
        return _json(documents.openapi())
    found = _FIXED.get(path)
    return _json(found) if found is not None else Answer(404, b"404 page not found\n", TEXT)


def _wants_table(accept: str) -> bool:
    """Whether a Table is the first form that is accepted."""
    first = accept.split(",")[0].replace(" ", "")
    return "as=Table" in first.split(";") and "g=meta.k8s.io" in first.split(";")


def _json(document: Any, status: int = 200, *, content_type: str = JSON) -> Answer:
    return Answer(status, json.dumps(document, separators=(",", ":")).encode(), content_type)
