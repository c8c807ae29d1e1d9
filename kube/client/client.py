"""The client of the API: objects in, objects out, failures as `kube.errors`.

    client = Client(transport, user_agent="kube-scheduler/1.36")
    pod = await client.get(PODS, "web", namespace="default")

Objects are plain dicts. Read `base.py` for what carries the bytes, `informer.py` for keeping a whole collection at hand.
A request is sent again when the server asked for that (429, 5xx with Retry-After), and a GET also when the connection failed;
every other failure is the caller's to judge.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import orjson

from kube.client.base import Answer, ConnectionFailed, Transport
from kube.client.config import ClientConfig, ssl_context
from kube.client.http import HttpTransport
from kube.client.lines import lines
from kube.client.websocket import NotUpgraded
from kube.clock import Clock, RealClock
from kube.errors import ApiError, from_status
from kube.objects import Object
from kube.resources import Resource
from kube.runtime.metrics import RequestCounts
from kube.websocket import WebSocket

ATTEMPTS_MAX = 6
"""How often one request is sent at most."""
RETRY_S_MAX = 30.0
"""The longest that a server's Retry-After is waited for."""


class PatchKind(StrEnum):
    """The patch formats; the values are their content types."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class WatchEvent(NamedTuple):
    """ADDED, MODIFIED, DELETED or BOOKMARK, and the object (of a bookmark: only its resourceVersion counts)."""

    type: str
    object: Object


class Client:
    """See the module. Safe to share between tasks of one loop; close it when done."""

    def __init__(
        self,
        transport: Transport,
        *,
        user_agent: str,
        token: str = "",
        clock: Clock | None = None,
        rng: random.Random | None = None,
        host: str = "",
    ) -> None:
        """`host` is what metrics call the server; `rng` spreads retries."""
        self._transport = transport
        self._counts = RequestCounts(host)
        self._clock = clock or RealClock()
        self._rng = rng or random.Random(user_agent)
        self.user_agent = user_agent
        self.set_token(token)

    @classmethod
    def from_config(cls, config: ClientConfig, *, user_agent: str, rng: random.Random | None = None) -> Client:
        """A client over the network. Raises ConfigError."""
        context = ssl_context(config) if config.server.startswith("https:") else None
        transport = HttpTransport(config.server, context, tls_server_name=config.tls_server_name)
        return cls(transport, user_agent=user_agent, token=config.token, rng=rng, host=urlsplit(config.server).netloc)

    def set_token(self, token: str) -> None:
        """Use another bearer token from the next request on ("" for none)."""
        base = {"accept": "application/json", "user-agent": self.user_agent}
        if token:
            base["authorization"] = f"Bearer {token}"
        self._headers: Mapping[str, str] = base
        self._json_headers: Mapping[str, str] = {**base, "content-type": "application/json"}

    async def close(self) -> None:
        await self._transport.close()

    # --- reading ------------------------------------------------------------------------------------------------------

    async def get(
        self, resource: Resource, name: str, *, namespace: str | None = None, subresource: str = "", resource_version: str = ""
    ) -> Object:
        target = _object_path(resource, namespace, name, subresource)
        if resource_version:
            target += f"?resourceVersion={quote(resource_version)}"
        return await self._call("GET", target, None, self._headers)

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
        resource_version_match: str = "",
    ) -> Object:
        """One page (all, without `limit`) as the List object; go on with `metadata.continue`. Of every namespace when None."""
        query = _query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=str(limit) if limit else "",
            resourceVersion=resource_version,
            resourceVersionMatch=resource_version_match,
            **{"continue": continue_},
        )
        target = _collection_path(resource, namespace) + _mark(query)
        return await self._call("GET", target, None, self._headers)

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        timeout_s: int | None = None,
        allow_bookmarks: bool = True,
    ) -> AsyncGenerator[WatchEvent, None]:
        """What happens from `resource_version` on; ends when the server ends it (after `timeout_s`, say). Close it (`aclosing`).

        An ERROR event raises its ApiError (Expired: list again), a connection cut short ConnectionFailed."""
        query = _query(
            watch="true",
            labelSelector=label_selector,
            fieldSelector=field_selector,
            resourceVersion=resource_version,
            timeoutSeconds="" if timeout_s is None else str(timeout_s),
            allowWatchBookmarks="true" if allow_bookmarks else "",
        )
        return self._watch(f"{_collection_path(resource, namespace)}?{query}")

    async def _watch(self, target: str) -> AsyncGenerator[WatchEvent, None]:
        async with self._transport.stream("GET", target, headers=self._headers) as answer:
            if answer.status >= 400:
                raise _error(Answer(answer.status, answer.headers, await answer.read()))
            async with aclosing(lines(answer.chunks())) as each_line:
                async for line in each_line:
                    yield _event(line)

    async def websocket(
        self, resource: Resource, name: str, subresource: str, *, namespace: str | None, query: Mapping[str, str], protocols: Sequence[str]
    ) -> WebSocket:
        """A connection to a subresource (`portforward`) that speaks one of these subprotocols. The caller ends it (`abort`).

        Raises ApiError where it is refused, ConnectionFailed where no answer comes, or this transport has no such connections."""
        target = _object_path(resource, namespace, name, subresource) + _mark(_query(**query))
        if not isinstance(self._transport, HttpTransport):
            raise ConnectionFailed(f"GET {target}: only connections over the network can be upgraded")
        try:
            opened = await self._transport.websocket(target, headers=self._headers, protocols=protocols)
        except NotUpgraded as error:
            self._counts.add(error.answer.status, "GET")
            raise _error(error.answer) from error
        except ConnectionFailed:
            self._counts.add("<error>", "GET")
            raise
        self._counts.add(101, "GET")
        return opened

    # --- writing ------------------------------------------------------------------------------------------------------

    async def create(
        self,
        resource: Resource,
        obj: Object,
        *,
        namespace: str | None = None,
        name: str = "",
        subresource: str = "",
        dry_run: bool = False,
        field_manager: str = "",
    ) -> Object:
        """POST to the collection, or to a subresource of `name`. The namespace is the object's own, unless given."""
        where = namespace if namespace is not None else (obj.get("metadata") or {}).get("namespace")
        target = _object_path(resource, where, name, subresource) if subresource else _collection_path(resource, where)
        target += _mark(_query(dryRun="All" if dry_run else "", fieldManager=field_manager))
        # An eviction's 429 is an answer (a disruption budget forbids it), not a plea to come back.
        return await self._call("POST", target, _text(obj), self._json_headers, patient=subresource != "eviction")

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "", field_manager: str = "") -> Object:
        """PUT the object to its own path."""
        metadata = obj["metadata"]
        target = _object_path(resource, metadata.get("namespace"), metadata["name"], subresource)
        return await self._call("PUT", target + _mark(_query(fieldManager=field_manager)), _text(obj), self._json_headers)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        *,
        namespace: str | None = None,
        kind: PatchKind = PatchKind.STRATEGIC,
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        target = _object_path(resource, namespace, name, subresource)
        target += _mark(_query(fieldManager=field_manager, force="true" if force else ""))
        return await self._call("PATCH", target, orjson.dumps(patch), {**self._headers, "content-type": kind.value})

    async def apply(self, resource: Resource, obj: Object, *, field_manager: str, force: bool = False, subresource: str = "") -> Object:
        """Server-side apply of the object's own fields, under its own name."""
        metadata = obj["metadata"]
        return await self.patch(
            resource,
            metadata["name"],
            obj,
            namespace=metadata.get("namespace"),
            kind=PatchKind.APPLY,
            subresource=subresource,
            field_manager=field_manager,
            force=force,
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        propagation_policy: str = "",
        grace_period_s: int | None = None,
        uid: str = "",
        resource_version: str = "",
    ) -> Object:
        """The server's answer: a Status, or the object where it is still there. `uid` and `resource_version` are preconditions."""
        body = _delete_options(propagation_policy, grace_period_s, uid, resource_version)
        return await self._call("DELETE", _object_path(resource, namespace, name, ""), body, self._json_headers)

    async def delete_collection(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        propagation_policy: str = "",
        grace_period_s: int | None = None,
    ) -> Object:
        """Delete everything that matches: the List of it."""
        target = _collection_path(resource, namespace) + _mark(_query(labelSelector=label_selector, fieldSelector=field_selector))
        return await self._call("DELETE", target, _delete_options(propagation_policy, grace_period_s, "", ""), self._json_headers)

    # --- anything -----------------------------------------------------------------------------------------------------

    async def raw(self, method: str, target: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Any request, with our identity. Raises ApiError for an answer of 400 and above."""
        return await self._send(method, target, body, {**self._headers, **(headers or {})}, patient=True)

    async def _call(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], *, patient: bool = True) -> Object:
        answer = await self._send(method, target, body, headers, patient=patient)
        try:
            obj: Object = orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            raise ConnectionFailed(f"{method} {target.partition('?')[0]}: the answer is not JSON") from error
        return obj

    async def _send(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], *, patient: bool) -> Answer:
        attempt = 1
        while True:
            try:
                answer = await self._transport.request(method, target, headers=headers, body=body)
            except ConnectionFailed:
                self._counts.add("<error>", method)
                if method != "GET" or attempt >= ATTEMPTS_MAX:
                    raise
                wait_s = 0.05 * 2**attempt
            else:
                self._counts.add(answer.status, method)
                if answer.status < 400:
                    return answer
                asked_s = _retry_after(answer) if patient and attempt < ATTEMPTS_MAX else None
                if asked_s is None:
                    raise _error(answer)
                wait_s = asked_s
            attempt += 1
            await asyncio.sleep(wait_s * (1 + self._rng.random() / 4))


def _retry_after(answer: Answer) -> float | None:
    """How long the server asks to wait before the same request is welcome; None where it does not ask."""
    if answer.status != 429 and answer.status < 500:
        return None
    text = answer.headers.get("retry-after", "")
    return min(float(text), RETRY_S_MAX) if text.isdecimal() else None


def _error(answer: Answer) -> ApiError:
    status: Any = None
    try:
        status = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        pass
    if not isinstance(status, dict) or status.get("kind") != "Status":
        text = answer.body[:1000].decode("utf-8", "replace").strip()
        status = {"message": text or f"the server answered {answer.status}"}
    return from_status(answer.status, status, answer.headers)


def _event(line: bytes) -> WatchEvent:
    try:
        event = orjson.loads(line)
        kind, obj = event["type"], event["object"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ConnectionFailed("a line of the watch is not an event") from error
    if kind == "ERROR":
        raise from_status(int(obj.get("code") or 500), obj)
    return WatchEvent(kind, obj)


def _delete_options(propagation_policy: str, grace_period_s: int | None, uid: str, resource_version: str) -> bytes | None:
    options: dict[str, Any] = {}
    if propagation_policy:
        options["propagationPolicy"] = propagation_policy
    if grace_period_s is not None:
        options["gracePeriodSeconds"] = grace_period_s
    preconditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
    if preconditions:
        options["preconditions"] = preconditions
    return orjson.dumps({"kind": "DeleteOptions", "apiVersion": "v1", **options}) if options else None


def _text(obj: Object) -> bytes:
    """An object as Go's clients write it: what is special in HTML is escaped. What the server keeps as text (the data of a
    ControllerRevision) it takes for changed otherwise, when a patch makes it write that anew."""
    text = orjson.dumps(obj)
    if b"<" in text or b">" in text or b"&" in text:
        text = text.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")
    return text


# --- paths ------------------------------------------------------------------------------------------------------------

_PLAIN = re.compile(r"[A-Za-z0-9._~:@-]+", re.ASCII)


def _segment(text: str) -> str:
    """A path segment, quoted. Raises ValueError for what cannot be one: it would name another resource."""
    if text in ("", ".", ".."):
        raise ValueError(f"{text!r} cannot be a name")
    return text if _PLAIN.fullmatch(text) else quote(text, safe=":@!$&'()*+,;=~")


@lru_cache(maxsize=4096)
def _collection_path(resource: Resource, namespace: str | None) -> str:
    return resource.path(_segment(namespace) if namespace else None)


def _object_path(resource: Resource, namespace: str | None, name: str, subresource: str) -> str:
    path = f"{_collection_path(resource, namespace)}/{_segment(name)}"
    return f"{path}/{subresource}" if subresource else path


def _query(**parameters: str) -> str:
    given = {name: value for name, value in parameters.items() if value}
    return urlencode(given) if given else ""


def _mark(query: str) -> str:
    return f"?{query}" if query else ""
