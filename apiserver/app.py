"""The server's ASGI application: one ordered list of middlewares, outermost first, in the order a request meets them.

    failures        -> every error becomes a Status object, whatever raised it
    in flight       -> 429 when too many requests are being served
    authentication  -> who asks
    audit           -> (its place)
    impersonation   -> who they want to be instead, and may they
    authorization   -> may they
    routes          -> resources through one catch-all (`handlers/resources.py`), documents (`documents.py`), FastAPI

Pure ASGI throughout. Read `pipeline/request_info.py` next, then `handlers/resources.py`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson

from apiserver.documents import document_of
from apiserver.handlers import extension_servers, resources
from apiserver.handlers.connect import Upgraded
from apiserver.handlers.extension_servers import extension_at
from apiserver.handlers.request import (
    PAGE_NOT_FOUND,
    Answer,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    StreamResponse,
    common_headers,
    json_response,
    send_answer,
)
from apiserver.handlers.server import Server
from apiserver.handlers.write_options import read_bool
from apiserver.health import Health
from apiserver.metrics import RequestMetrics
from apiserver.pipeline.authentication import ANONYMOUS, Authenticator
from apiserver.pipeline.authorization import attributes_of, authorize
from apiserver.pipeline.impersonation import BEHIND, PREFIX, Impersonation, wanted_user, without_wishes
from apiserver.pipeline.limits import InFlight
from apiserver.pipeline.query import parse_query
from apiserver.pipeline.request_info import RequestInfo, request_info
from apiserver.registry.authorization import Authorizer
from apiserver.store.base import StoreUnavailable
from kube.errors import ApiError

log: Final = logging.getLogger("wherry.apiserver")
App = Callable[[Scope, Receive, Send], Awaitable[None]]
FASTAPI_PATHS: Final = frozenset({"/metrics"})
_LONG_VERBS: Final = frozenset({"watch", "connect", "proxy"})
_LONG_SUBRESOURCES: Final = frozenset({"log", "exec", "attach", "portforward", "proxy"})


@dataclass(slots=True)
class Call:
    """A request on its way in: what each middleware has found out. Kept in `scope["wherry"]`."""

    info: RequestInfo
    request: Request | None = None
    status: int = 0


@dataclass(slots=True)
class Pipeline:
    """What the middlewares need."""

    server: Server
    authenticator: Authenticator
    in_flight: InFlight
    metrics: RequestMetrics


def create_app(pipeline: Pipeline) -> App:
    """The application. `pipeline.server.registries` must have been started (see `serving.py`) before requests come."""
    ordered = [_failures, _in_flight, _authentication, _impersonation, _authorization]
    app = _routes(pipeline)
    for middleware in reversed(ordered):
        app = middleware(app, pipeline)
    return _lifespan(app)


def _lifespan(app: App) -> App:
    async def entry(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        elif scope["type"] == "http":
            await app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1002})

    return entry


# --- the middlewares, in their order ------------------------------------------------------------------------------------


def _failures(app: App, pipeline: Pipeline) -> App:
    """Errors to Status objects; measures each request."""
    metrics = pipeline.metrics

    async def failures(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        query: bytes = scope["query_string"]
        info = request_info(scope["method"], path, watch=b"watch" in query and _wants_watch(query))
        call = scope["wherry"] = Call(info)
        started = metrics.now()
        try:
            await app(scope, receive, send)
        except Upgraded:
            call.status = 101
        except ApiError as error:
            await _send_error(error, call, scope, send)
        except StoreUnavailable as error:
            await _send_error(ApiError(f"the store cannot write: {error}", code=500, reason="InternalError"), call, scope, send)
        except Exception:
            log.exception("%s %s failed", scope["method"], path)
            if call.status:
                raise
            await _send_error(
                ApiError("an error on the server prevented the request from succeeding", code=500, reason="InternalError"),
                call,
                scope,
                send,
            )
        finally:
            del scope["wherry"]  # it holds the request, which holds the scope: the collector would have to find out
            metrics.observe((info.verb, info.group, info.version, info.resource, info.subresource), call.status, metrics.now() - started)

    return failures


async def _send_error(error: ApiError, call: Call, scope: Scope, send: Send) -> None:
    headers = list(error.headers.items())
    if error.http_code == 429 and "Retry-After" not in error.headers:
        headers.append(("Retry-After", "1"))
    warnings = call.request.warnings if call.request is not None else []
    call.status = error.http_code
    await send_answer(Response(error.http_code, orjson.dumps(error.status), headers=headers), send, scope, warnings)


def _in_flight(app: App, pipeline: Pipeline) -> App:
    limits = pipeline.in_flight

    async def in_flight(scope: Scope, receive: Receive, send: Send) -> None:
        info: RequestInfo = scope["wherry"].info
        if info.verb in _LONG_VERBS or info.subresource in _LONG_SUBRESOURCES:
            await app(scope, receive, send)
            return
        entered = limits.enter(scope["method"])
        try:
            await app(scope, receive, send)
        finally:
            limits.leave(entered)

    return in_flight


def _authentication(app: App, pipeline: Pipeline) -> App:
    authenticator, server = pipeline.authenticator, pipeline.server

    async def authentication(scope: Scope, receive: Receive, send: Send) -> None:
        call: Call = scope["wherry"]
        request = Request(scope, receive, call.info, ANONYMOUS, server)
        state = scope.get("state")
        peer_certificate = state.get("peer_certificate") if state else None
        request.user = await authenticator.user(request.headers.get(b"authorization", b""), peer_certificate)
        call.request = request
        await app(scope, receive, send)

    return authentication


def _impersonation(app: App, pipeline: Pipeline) -> App:
    """Not a coroutine of its own: most requests have nothing to do with it."""
    registries, modes = pipeline.server.registries, Impersonation()

    def impersonation(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        call: Call = scope["wherry"]
        request = call.request
        assert request is not None
        for name in request.headers:
            if PREFIX <= name < BEHIND:
                _impersonate(request, modes, registries.authorizer)
                break
        return app(scope, receive, send)

    return impersonation


def _impersonate(request: Request, modes: Impersonation, authorizer: Authorizer) -> None:
    """Make the request one of whom its headers name. Raises BadRequest, Forbidden."""
    wanted = wanted_user(request.scope["headers"])
    if wanted is None:
        return
    request.user = modes.user(authorizer, request.user, wanted, attributes_of(request.info, request.query))
    request.scope["headers"] = without_wishes(request.scope["headers"])
    request.headers = dict(request.scope["headers"])


def _authorization(app: App, pipeline: Pipeline) -> App:
    registries = pipeline.server.registries

    async def authorization(scope: Scope, receive: Receive, send: Send) -> None:
        call: Call = scope["wherry"]
        request = call.request
        assert request is not None
        authorize(registries.authorizer, request.user, attributes_of(call.info, request.query))
        await app(scope, receive, send)

    return authorization


def _routes(pipeline: Pipeline) -> App:
    """All that is Kubernetes' API goes straight to its handlers (FastAPI's routing would cost more than the handlers do), and so do health
    checks, which a starting server is asked for first. FastAPI is loaded when somebody asks for what is its."""
    server, health = pipeline.server, Health(pipeline.server)
    api: App | None = None

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal api
        call: Call = scope["wherry"]
        request = call.request
        assert request is not None
        info = call.info
        if not info.is_resource or (info.group and not server.registries.answers(info.group, info.version, info.resource)):
            api_service = extension_at(server.registries, scope["path"])
            if api_service is not None:
                await _send(await extension_servers.serve(request, api_service), call, scope, send)
            elif info.is_resource:
                await _send(PAGE_NOT_FOUND, call, scope, send)
            elif (healthy := await health.answer(scope["path"], scope["query_string"])) is not None:
                await _send(healthy, call, scope, send)
            elif scope["path"] in FASTAPI_PATHS:
                api = api or _fastapi(pipeline)
                await api(scope, receive, _noting(call, scope, send))
            else:
                await _send(document_of(request), call, scope, send)
            return
        await _send(await resources.serve(request), call, scope, send)

    return dispatch


async def _send(answer: Answer, call: Call, scope: Scope, send: Send) -> None:
    request = call.request
    assert request is not None
    call.status = answer.status
    if isinstance(answer, StreamResponse):
        await _send_stream(answer, send, scope, request.receive, request.warnings)  # a proxy's upload may be listening in its place
    else:
        await send_answer(answer, send, scope, request.warnings)


def _noting(call: Call, scope: Scope, send: Send) -> Send:
    """Notes the status of an answer that FastAPI makes, and gives it the headers that all have."""

    async def noting(message: Any) -> None:
        if message["type"] == "http.response.start":
            call.status = message["status"]
            headers = message["headers"]
            given = {name.lower() for name, _ in headers}
            message["headers"] = [*headers, *(each for each in common_headers(scope) if each[0] not in given)]
        await send(message)

    return noting


async def _send_stream(answer: StreamResponse, send: Send, scope: Scope, receive: Receive, warnings: list[str]) -> None:
    """Send chunks until they end or the client goes away, whichever is first; then close the iterator."""
    import asyncio

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    loop = asyncio.get_running_loop()
    sending = loop.create_task(send_answer(answer, send, scope, warnings))
    leaving = loop.create_task(gone())
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            if not task.done():
                task.cancel()
        results = await asyncio.gather(sending, leaving, return_exceptions=True)
        closer = getattr(answer.chunks, "aclose", None)
        if closer is not None:
            await closer()
    error = results[0]
    if isinstance(error, Exception) and not isinstance(error, OSError):
        raise error


def _wants_watch(query: bytes) -> bool:
    values = parse_query(query).get("watch")
    return values is not None and read_bool(values[0])


def _fastapi(pipeline: Pipeline) -> App:
    from fastapi import FastAPI

    from apiserver import routes

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield

    api = FastAPI(title="Wherry", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    routes.add(api, pipeline.server, pipeline.metrics)
    return api


__all__ = ["Call", "Pipeline", "create_app", "json_response"]
