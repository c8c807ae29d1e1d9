"""A fake API server for tests of the kit: an ASGI app over a dict, with revisions, watches, pages, and faults where a seed says so.

It knows objects, resourceVersions and preconditions, and nothing of kinds, defaults or validation. Faults: watches cut at any byte, 410 as
a status and as an ERROR event, repeated bookmarks and events, lists whose continue token expires, 500s, connections lost before an answer.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson

from kube.errors import already_exists, conflict, not_found
from kube.objects import Object

Receive = Any
Send = Any


@dataclass
class Faults:
    """How often each fault happens, as a probability; all are 0 unless said."""

    cut_watch: float = 0.0
    expire_watch: float = 0.0
    expire_page: float = 0.0
    repeat: float = 0.0
    error_500: float = 0.0
    lose: float = 0.0


class FakeApi:
    """Objects by path. `history` is how many events a watch may go back."""

    def __init__(self, rng: random.Random, *, faults: Faults | None = None, history: int = 10_000) -> None:
        self.rng, self.faults, self.history = rng, faults or Faults(), history
        self.objects: dict[str, Object] = {}
        self.revision = 1
        self.log: list[tuple[int, str, str, Object]] = []  # revision, type, path of the object, object
        self.compacted = 0
        self.requests: list[tuple[str, str]] = []
        self.pages: dict[str, tuple[int, list[tuple[str, Object]]]] = {}
        self._changed = asyncio.Event()

    # --- writes, also for tests to call ---------------------------------------------------------------------------------

    def put(self, path: str, obj: Object) -> Object:
        """Create or replace what is at an object's path."""
        self.revision += 1
        old = self.objects.get(path)
        metadata = {"uid": f"uid-{self.revision}", **obj.get("metadata", {}), "resourceVersion": str(self.revision)}
        if old is not None:
            metadata["uid"] = old["metadata"]["uid"]
        metadata.setdefault("name", path.rpartition("/")[2])
        new = {**obj, "metadata": metadata}
        self.objects[path] = new
        self._happened("MODIFIED" if old else "ADDED", path, new)
        return new

    def remove(self, path: str) -> Object:
        self.revision += 1
        gone = self.objects.pop(path)
        gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.revision)}}
        self._happened("DELETED", path, gone)
        return gone

    def compact(self) -> None:
        """Forget all history."""
        self.compacted = self.revision
        self.log.clear()

    def _happened(self, type: str, path: str, obj: Object) -> None:
        self.log.append((self.revision, type, path, obj))
        if len(self.log) > self.history:
            self.compacted = self.log.pop(0)[0]
        self._changed.set()
        self._changed = asyncio.Event()

    # --- requests -------------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        query = dict(parse_qsl(scope["query_string"].decode()))
        self.requests.append((method, path + (f"?{scope['query_string'].decode()}" if query else "")))
        body = (await receive())["body"]
        if self._chance(self.faults.lose):
            return  # no answer at all
        if self._chance(self.faults.error_500):
            await _answer(send, 500, {"kind": "Status", "code": 500, "message": "a bad day", "reason": "InternalError"})
        elif query.get("watch"):
            await self._watch(path, query, receive, send)
        else:
            status, answer = self._plain(method, path, query, orjson.loads(body) if body else None)
            await _answer(send, status, answer)

    def _plain(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Object]:
        name = path.rpartition("/")[2]
        if method == "POST":
            path, name = f"{path}/{body['metadata']['name']}", body["metadata"]["name"]
            if path in self.objects:
                return _refused(already_exists("things", "", name))
            return 201, self.put(path, body)
        if method == "GET" and path not in self.objects and self._is_collection(path):
            return self._list(path, query)
        if path not in self.objects:
            return _refused(not_found("things", "", name))
        old = self.objects[path]
        if method == "GET":
            return 200, old
        if method == "DELETE":
            return 200, self.remove(path)
        if method == "PATCH":
            return 200, self.put(path, _merged(old, body))
        if body["metadata"].get("resourceVersion") not in (None, "", old["metadata"]["resourceVersion"]):
            return _refused(conflict("things", "", name, "the object has been modified"))
        return 200, self.put(path, body)

    def _is_collection(self, path: str) -> bool:
        return path.count("/") in (3, 5) if path.startswith("/api/") else path.count("/") in (4, 6)

    def _list(self, path: str, query: dict[str, str]) -> tuple[int, Object]:
        token = query.get("continue", "")
        if token:
            if self._chance(self.faults.expire_page) or token not in self.pages:
                return 410, {"kind": "Status", "code": 410, "reason": "Expired", "message": "The provided continue parameter is too old"}
            revision, rest = self.pages.pop(token)
        else:
            revision, rest = self.revision, sorted((key, obj) for key, obj in self.objects.items() if _within(path, key))
        limit = int(query.get("limit") or 0) or len(rest)
        metadata = {"resourceVersion": str(revision)}
        if len(rest) > limit:
            metadata["continue"] = f"token-{len(self.requests)}"
            self.pages[metadata["continue"]] = (revision, rest[limit:])
        return 200, {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": [obj for _, obj in rest[:limit]]}

    # --- watches --------------------------------------------------------------------------------------------------------

    async def _watch(self, path: str, query: dict[str, str], receive: Receive, send: Send) -> None:
        revision = int(query.get("resourceVersion") or 0)
        gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
        is_old = revision < self.compacted or self._chance(self.faults.expire_watch)
        if is_old and self.rng.random() < 0.5:
            await _answer(send, 410, gone)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        if is_old:
            await self._send_bytes(send, _line("ERROR", gone))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if self._chance(self.faults.repeat):
            revision = max(self.compacted, revision - self.rng.randrange(5))
        leaving = asyncio.ensure_future(receive())
        try:
            await self._follow(path, revision, float(query.get("timeoutSeconds") or 1e9), send, leaving)
        finally:
            leaving.cancel()

    async def _follow(self, path: str, revision: int, timeout_s: float, send: Send, leaving: asyncio.Future[Any]) -> None:
        """Send what happens until the time is over, the client leaves or a fault ends it."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while loop.time() < end and not leaving.done():
            changed = self._changed
            if revision < self.compacted:
                gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
                await self._send_bytes(send, _line("ERROR", gone))
                break
            news = [each for each in self.log if each[0] > revision]
            for at, type, key, obj in news:
                payload = _line(type, obj) if _within(path, key) else _line("BOOKMARK", {"metadata": {"resourceVersion": str(at)}})
                revision = at
                if self._chance(self.faults.repeat):
                    payload += payload + _line("BOOKMARK", {"metadata": {"resourceVersion": str(at)}}) * 2
                if self._chance(self.faults.cut_watch):
                    await self._cut(send, payload)
                    return
                await self._send_bytes(send, payload)
            waiting = asyncio.ensure_future(changed.wait())
            try:
                await asyncio.wait([waiting, leaving], timeout=end - loop.time(), return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _cut(self, send: Send, payload: bytes) -> None:
        """Send some of the bytes, then end: cleanly, or by losing the connection."""
        await send({"type": "http.response.body", "body": payload[: self.rng.randrange(len(payload) + 1)], "more_body": True})
        if self.rng.random() < 0.5:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_bytes(self, send: Send, payload: bytes) -> None:
        """In chunks that begin and end anywhere, where faults are on."""
        cut = self.rng.randrange(len(payload) + 1) if self.faults.cut_watch else 0
        for part in (payload[:cut], payload[cut:]):
            if part:
                await send({"type": "http.response.body", "body": part, "more_body": True})

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability


def _within(collection: str, key: str) -> bool:
    """Whether the object at `key` is in the collection: in a namespace, or in all of them."""
    head, _, plural = collection.rpartition("/")
    if key.startswith(f"{collection}/"):
        return True
    return key.startswith(f"{head}/namespaces/") and key.split("/")[-2] == plural


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(patch, dict):
        return patch
    return {**old, **{key: _merged(old.get(key), value) for key, value in patch.items()}}


def _line(type: str, obj: Object) -> bytes:
    return orjson.dumps({"type": type, "object": obj}) + b"\n"


def _refused(error: Any) -> tuple[int, Object]:
    return error.http_code, error.status


async def _answer(send: Send, status: int, obj: Object) -> None:
    headers = [(b"Content-Type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps(obj), "more_body": False})
