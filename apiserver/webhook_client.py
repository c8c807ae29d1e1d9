"""Calling webhooks: a document is posted to where a WebhookClientConfig leads, and the answer is read. For admission and for conversions.

A webhook's certificate is always verified, against its caBundle or, without one, the CAs of this system; nothing of ours is shown to it.
Connections are kept open, some for each target. `answer_of` and `address_of` are pure; what the documents mean is their callers' business.
Source: apiserver `pkg/util/webhook/client.go`, client-go `rest/request.go`.
"""

from __future__ import annotations

import math
import posixpath
import re
import ssl
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import orjson

from apiserver.handlers.backends import dial_words
from apiserver.handlers.bodies import JSON, YAML, KindNames, Unrecognized, names_of, parse_body
from apiserver.handlers.extension_target import PORT, Address, Unreachable
from apiserver.registry.webhooks import CallFailed
from kube.client.base import Answer, ConnectionFailed
from kube.client.transport import HttpTransport
from kube.clock import Clock
from kube.errors import ApiError, from_status, quoted
from kube.objects import Object
from kube.virtual import real_timeout

TARGETS_MAX: Final = 200
"""So many webhooks are remembered."""
UNUSED_S: Final = 60.0
"""One that was not called for so long is forgotten when there is a new one: its configuration may be another by now."""
CONNECTIONS_MAX: Final = 1024
IDLE_MAX: Final = 25
# deviates: an answer of a webhook of more than 16 MiB is none (upstream reads any), and redirects are not followed (upstream does)
ANSWER_BYTES_MAX: Final = 16 << 20
_TEXT_BYTES_MAX: Final = 2048
_PATH_SAFE: Final = "/$&+,:;=@!*'()"
_HEADERS: Final = {"accept": "application/json, */*", "content-type": JSON, "user-agent": "kube-apiserver-admission"}
_failed_address_re: Final = re.compile(r"Connect call failed \('([^']+)', (\d+)")
_errno_re: Final = re.compile(r"\[Errno (\d+)\]")


class Place(NamedTuple):
    """Where a webhook is. `server` is scheme, host and port, as its certificate must have it; `service` the reference to a Service whose
    endpoints serve it, None where the URL itself leads there."""

    server: str
    path: str
    service: Object | None


def address_of(config: Object) -> Place:
    """Where a WebhookClientConfig (which is valid) leads."""
    service = config.get("service")
    if service is not None:
        host, port = f"{service['name']}.{service['namespace']}.svc", service.get("port") or PORT
        return Place(f"https://{host}:{port}", _clean(service.get("path") or ""), {**service, "port": port})
    url = urlsplit(config.get("url") or "")
    return Place(f"{url.scheme}://{url.netloc}", _clean(unquote(url.path)), None)


def _clean(path: str) -> str:
    return quote("/" + posixpath.normpath("/" + path).lstrip("/"), safe=_PATH_SAFE)


def _seconds(count: int) -> str:
    """As Go prints a duration of whole seconds."""
    minutes, seconds = divmod(count, 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


# --- answers ----------------------------------------------------------------------------------------------------------

_GENERIC: Final = {
    400: ("BadRequest", "the server rejected our request for an unknown reason"),
    401: ("Unauthorized", "the server has asked for the client to provide credentials"),
    404: ("NotFound", "the server could not find the requested resource"),
    405: ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
    409: ("AlreadyExists", "the server reported a conflict"),
    422: ("Invalid", "the server rejected our request due to an error in our request"),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "the server was unable to return a response in the time allotted, but may still be processing the request"),
}
_UNNAMED: Final = KindNames("", "", "")
_TOLD: Final = {403: "Forbidden", 406: "NotAcceptable", 415: "UnsupportedMediaType"}


def answer_of(answer: Answer) -> Any:
    """The JSON value that an answer carries. Raises CallFailed where it carries none, or its code says that something failed."""
    succeeded = 200 <= answer.status <= 206
    try:
        value = _value(answer)
    except CallFailed:
        if succeeded:
            raise
        value = None
    if not succeeded and _is_status(value):
        code = value.get("code")
        status = from_status(code if isinstance(code, int) else 0, value)
        raise CallFailed(str(value.get("message") or ""), status)
    if not succeeded:
        status = _generic(answer)
        raise CallFailed(status.message, status)
    return value


def _is_status(value: Any) -> bool:
    is_status = isinstance(value, dict) and value.get("kind") == "Status" and value.get("apiVersion") in (None, "", "v1")
    return is_status and value.get("status") == "Failure"


def _value(answer: Answer) -> Any:
    content_type = answer.headers.get("content-type") or JSON
    if not answer.body:
        raise CallFailed(f"0-length response with status code: {answer.status} and content type: {content_type}")
    try:
        parsed = parse_body(answer.body, JSON if answer.body.lstrip()[:1] == b"{" else YAML)
        names_of(parsed, _UNNAMED)
    except Unrecognized as error:
        raise CallFailed(str(error)) from None
    return parsed.value


def _generic(answer: Answer) -> ApiError:
    """What a status code says by itself."""
    code, kind = answer.status, (answer.headers.get("content-type") or "").partition(";")[0].strip().lower()
    is_text = not kind or kind.startswith("text/")
    told = answer.body[:_TEXT_BYTES_MAX].decode("utf-8", "replace").strip() if is_text else "unknown"
    if code in _TOLD:
        unhelpful = code == 406 and told in ("", "unknown")
        message = "the server was unable to respond with a content type that the client supports" if unhelpful else told
        return ApiError(message, code=code, reason=_TOLD[code])
    if code in _GENERIC:
        reason, message = _GENERIC[code]
        return ApiError(message, code=code, reason=reason)
    if code >= 500:
        message = f"an error on the server ({quoted(told)}) has prevented the request from succeeding"
        return ApiError(message, code=code, reason="InternalError")
    return ApiError(f"the server responded with the status code {code} but did not return more information", code=code, reason="")


def failure_words(address: Address, error: BaseException) -> str:
    """What Go says of a request that brought no answer. `address` is where it was sent."""
    if isinstance(error, TimeoutError):
        return "context deadline exceeded"
    if isinstance(error, Unreachable):
        return str(error)
    cause = error.__cause__ if isinstance(error.__cause__, OSError | TimeoutError) else error
    if isinstance(cause, ConnectionFailed):
        text = str(cause)
        return "EOF" if text.endswith("the server closed the connection") else text
    found = _failed_address_re.search(str(cause))
    host, port = (found[1], int(found[2])) if found else address
    if isinstance(cause, OSError) and cause.errno is None and (number := _errno_re.search(str(cause))):
        cause = OSError(int(number[1]), "")
    return dial_words(host, port, cause)


# --- calling ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Target:
    """A webhook that is remembered: its connections, and where the newest of them leads."""

    transport: HttpTransport
    address: Address
    calls: int = 0
    last_used_s: float = 0.0
    is_forgotten: bool = False


class WebhookClient:
    """See the module, and `WebhookCaller`. `find` says where the Service of a reference leads, and raises Unreachable. For one event
    loop."""

    def __init__(self, find: Callable[[Object], Address], clock: Clock) -> None:
        self._find, self._clock = find, clock
        self._targets: OrderedDict[tuple[str, str], _Target] = OrderedDict()

    async def post(self, config: Object, document: Object, *, timeout_s: float) -> Any:
        place = address_of(config)
        path = f"{place.path}?timeout={_seconds(math.ceil(timeout_s))}"
        target = await self._target(place, config.get("caBundle") or "")
        target.calls += 1
        try:
            async with real_timeout(timeout_s):
                answer = await target.transport.request("POST", path, headers=_HEADERS, body=orjson.dumps(document), timeout_s=None)
        except (OSError, Unreachable) as error:  # TimeoutError is an OSError
            raise CallFailed(f"Post {quoted(place.server + path)}: {failure_words(target.address, error)}") from error
        finally:
            target.calls -= 1
            target.last_used_s = self._clock.monotonic()
            if target.is_forgotten and not target.calls:
                await target.transport.close()
        return answer_of(answer)

    async def close(self) -> None:
        """End all connections; calls under way fail."""
        while self._targets:
            _, target = self._targets.popitem()
            await target.transport.close()

    async def _target(self, place: Place, bundle: str) -> _Target:
        key = place.server, bundle
        found = self._targets.get(key)
        if found is None:
            found = self._targets[key] = self._made(place, bundle)
            await self._forget()
        self._targets.move_to_end(key)
        return found

    def _made(self, place: Place, bundle: str) -> _Target:
        def find() -> Address:
            target.address = self._find(place.service) if place.service is not None else (url.hostname or "", url.port or PORT)
            return target.address

        url = urlsplit(place.server)
        transport = HttpTransport(
            place.server,
            _trusting(bundle),
            limit=CONNECTIONS_MAX,
            requests_max=CONNECTIONS_MAX,
            idle_max=IDLE_MAX,
            find=find,
            answer_bytes_max=ANSWER_BYTES_MAX,
        )
        target = _Target(transport, (url.hostname or "", url.port or PORT), last_used_s=self._clock.monotonic())
        return target

    async def _forget(self) -> None:
        """Those that nobody has called for a while, and the oldest where there are too many. Calls under way are let end."""
        oldest = self._clock.monotonic() - UNUSED_S
        for key, target in list(self._targets.items())[:-1]:
            if len(self._targets) <= TARGETS_MAX and (target.calls or target.last_used_s >= oldest):
                continue
            del self._targets[key]
            target.is_forgotten = True
            if not target.calls:
                await target.transport.close()


def _trusting(bundle: str) -> ssl.SSLContext:
    """TLS that trusts the certificates of a bundle (base64 of PEM), and nobody else, as Go does: each of them, be it a CA's or not. Raises
    CallFailed."""
    try:
        context = ssl.create_default_context(cadata=b64decode(bundle).decode() if bundle else None)
    except (ssl.SSLError, ValueError) as error:
        raise CallFailed("unable to load root certificates: unable to parse bytes as PEM block") from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.hostname_checks_common_name = False
    return context
