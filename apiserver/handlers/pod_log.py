"""GET pods/{name}/log: what a container has written, streamed from its node's kubelet until it ends or the client goes.

Read `pod_options.py` for what can be asked. Source: `pkg/registry/core/pod/rest/log.go`, apiserver's `LocationStreamer` and
`GenericHttpResponseChecker` (how a kubelet's refusal is passed on).
"""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import quote

from apiserver.handlers import log_socket, pod_options
from apiserver.handlers.backends import DialError, Kubelet, Line, kubelet_of, open_kubelet
from apiserver.handlers.client_watch import while_there
from apiserver.handlers.http_exchange import BadAnswer, Body, Head, read_head, read_text, request_head
from apiserver.handlers.request import Answer, Request, Response, StreamResponse
from apiserver.registry.registry import Served
from kube.errors import ApiError, BadRequest, InternalError, MethodNotAllowed

HEAD_S_MAX: Final = 60.0
TEXT_BYTES_MAX: Final = 50_000
TEXT_S_MAX: Final = 10.0
_REASONS: Final = {
    401: ("Unauthorized", "the server has asked for the client to provide credentials"),
    404: ("NotFound", "the server could not find the requested resource"),
    405: ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
    409: ("Conflict", "the server reported a conflict"),
    422: ("Invalid", "the server rejected our request due to an error in our request"),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: (
        "Timeout",
        "the server was unable to return a response in the time allotted, but may still be processing the request",
    ),
}


async def serve(request: Request, served: Served) -> Answer:
    """The log. Raises ApiError; Upgraded when it went over a WebSocket."""
    if request.method != "GET":
        raise MethodNotAllowed("the server does not allow this method on the requested resource", details={})
    options = pod_options.log_options(request.query, request.info.name)
    pod = await served.registry.get(request.info.namespace, request.info.name)
    container = pod_options.container_of(pod, options.container)
    node = pod["spec"].get("nodeName")
    if not node:
        return Response(204, b"", "")  # nothing has run anywhere yet
    kubelet = await kubelet_of(request, node)
    meta = pod["metadata"]
    target = f"/containerLogs/{quote(meta['namespace'])}/{quote(meta['name'])}/{quote(container)}{options.query()}"
    line, head = await while_there(request, _asked(request, kubelet, target), undo=_drop)
    body = Body(line, head, "GET", lenient=True)
    if not 200 <= head.status <= 206:
        text = await read_text(body, bytes_max=TEXT_BYTES_MAX, timeout_s=TEXT_S_MAX)
        raise refusal(head.status, text, request.info.name)
    if log_socket.is_wanted(request):
        try:
            await log_socket.send(request, body)
        finally:
            await body.aclose()
    return StreamResponse(200, body, "text/plain")


def _drop(asked: tuple[Line, Head]) -> None:
    asked[0].close()


async def _asked(request: Request, kubelet: Kubelet, target: str) -> tuple[Line, Head]:
    """The kubelet's line and the head of its answer. Raises ApiError."""
    line = None
    try:
        line = await open_kubelet(request, kubelet)
        line.writer.write(request_head("GET", target, [(b"Host", kubelet.node.encode()), (b"Connection", b"close")]))
        return line, await read_head(line, timeout_s=HEAD_S_MAX)
    except (DialError, BadAnswer) as error:
        if line is not None:
            line.close()
        raise ApiError(f'Get "https://{kubelet.authority}{target}": {error}', code=500, reason="") from error
    except BaseException:
        if line is not None:
            line.close()
        raise


def refusal(status: int, text: str, pod_name: str) -> ApiError:
    """The error of a kubelet's answer that is none of the good ones."""
    if status == 500:
        return InternalError(f"Internal error occurred: {text}", details={"causes": [{"message": text}]})
    if status == 400:
        return BadRequest(text)
    reason, message = _REASONS.get(status, ("", f"the server responded with the status code {status} but did not return more information"))
    if status in (403, 406, 415):
        reason, message = {403: "Forbidden", 406: "NotAcceptable", 415: "UnsupportedMediaType"}[status], text
    elif not reason and status >= 500:
        reason, message = "InternalError", f"an error on the server ({json.dumps(text)}) has prevented the request from succeeding"
    return ApiError(f"{message} ( pods/log {pod_name})", code=status, reason=reason, details={"name": pod_name, "kind": "pods/log"})
