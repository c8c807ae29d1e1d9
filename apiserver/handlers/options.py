"""Query parameters of lists and watches, read and checked. Pure. Source: apimachinery `internalversion/validation/validation.go`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from apiserver.handlers.request import Request
from apiserver.registry.cache import Entry, ResourceCache
from apiserver.registry.registry import Served
from kube import errors, fields, labels
from kube.errors import BadRequest, FieldError

_TRUE: Final = frozenset({"1", "t", "true", "y", "yes", "on"})
_FALSE: Final = frozenset({"0", "f", "false", "n", "no", "off"})
_INTEGER: Final = re.compile(r"[+-]?[0-9]+\Z")
_PLAIN_SELECTORS: Final = frozenset({"metadata.name", "metadata.namespace"})


def _integer(request: Request, name: str, default: int | None = None) -> int | None:
    if name not in request.query:
        return default
    text = request.query[name][0]
    if not _INTEGER.match(text):
        raise BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    value = int(text)
    if not -(1 << 63) <= value < 1 << 63:
        raise BadRequest(f'strconv.ParseInt: parsing "{text}": value out of range')
    return value


def boolean(request: Request, name: str) -> bool:
    """A flag: present and not a word for no. An empty value is true, as upstream's conversion has it."""
    if name not in request.query:
        return False
    return request.query[name][0].lower() not in _FALSE


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a list, a watch or a deletecollection asks for. `send_initial_events` is None where it was not given."""

    label_selector: labels.Selector
    field_selector: fields.FieldSelector
    limit: int
    continue_: str
    resource_version: str
    resource_version_match: str
    timeout_s: int | None
    bookmarks: bool
    send_initial_events: bool | None
    name: str = ""

    @property
    def selects(self) -> bool:
        """Whether anything is filtered out at all."""
        return not (self.label_selector.is_empty and self.field_selector.is_empty)

    def matches(self, cache: ResourceCache, entry: Entry) -> bool:
        return self.label_selector.matches(entry.labels) and self.field_selector.matches(lambda name: cache.field(entry, name))


def field_selector(served: Served, text: str) -> fields.FieldSelector:
    """A field selector that this kind can answer, in the hub's names. Raises BadRequest in upstream's words."""
    if not text:
        return fields.EVERYTHING
    try:
        parsed = fields.parse(text)
    except fields.FieldSelectorError as error:
        raise BadRequest(str(error)) from error
    return fields.FieldSelector(each._replace(field=_hub_name(served, each.field)) for each in parsed.requirements)


def _hub_name(served: Served, name: str) -> str:
    selectable, conversion = served.registry.kind.selectable, served.conversion
    if name in _PLAIN_SELECTORS:
        return name
    if conversion is not None and conversion.selectors is not None:
        found = conversion.selectors.get(name)
    else:
        found = name if name in selectable else None
    if found is not None:
        return found
    if selectable or served.registry.kind.custom is not None:
        raise BadRequest(f"field label not supported: {name}")
    raise BadRequest(f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"')


def list_options(request: Request, served: Served, *, watch: bool = False) -> ListOptions:
    """The options of a list or watch. Raises BadRequest (cannot be read) or Invalid (contradict each other)."""
    try:
        label_selector = labels.parse(request.param("labelSelector"))
    except labels.LabelSelectorError as error:
        raise BadRequest(str(error)) from error
    selector = field_selector(served, request.param("fieldSelector"))
    options = ListOptions(
        label_selector=label_selector,
        field_selector=selector,
        limit=max(_integer(request, "limit", 0) or 0, 0),
        continue_=request.param("continue"),
        resource_version=request.param("resourceVersion"),
        resource_version_match=request.param("resourceVersionMatch"),
        timeout_s=_integer(request, "timeoutSeconds"),
        bookmarks=boolean(request, "allowWatchBookmarks"),
        send_initial_events=boolean(request, "sendInitialEvents") if "sendInitialEvents" in request.query else None,
        name=selector.exact("metadata.name") or "",
    )
    problems = _contradictions(options, watch=watch)
    if problems:
        raise errors.invalid_object("ListOptions", "meta.k8s.io", "", problems)
    return options


def _contradictions(options: ListOptions, *, watch: bool) -> list[FieldError]:
    return list(_watch_contradictions(options) if watch else _list_contradictions(options))


def _no_match(why: str) -> FieldError:
    return errors.not_allowed("resourceVersionMatch", f"resourceVersionMatch is forbidden {why}")


def _watch_contradictions(options: ListOptions) -> Iterator[FieldError]:
    match, initial = options.resource_version_match, options.send_initial_events
    if match and initial is None:
        yield _no_match("for watch unless sendInitialEvents is provided")
    if initial is not None and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        yield errors.not_allowed("resourceVersionMatch", why)
    if match and match != "NotOlderThan":
        yield errors.not_supported("resourceVersionMatch", match, ["NotOlderThan"])
    if options.continue_:
        yield _no_match("when continue is provided")


def _list_contradictions(options: ListOptions) -> Iterator[FieldError]:
    match = options.resource_version_match
    if match:
        if not options.resource_version:
            yield _no_match("unless resourceVersion is provided")
        if options.continue_:
            yield _no_match("when continue is provided")
        if match not in ("Exact", "NotOlderThan"):
            yield errors.not_supported("resourceVersionMatch", match, ["Exact", "NotOlderThan", ""])
        elif match == "Exact" and options.resource_version == "0":
            why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            yield errors.not_allowed("resourceVersionMatch", why)
    if options.send_initial_events is not None:
        yield errors.not_allowed("sendInitialEvents", "sendInitialEvents is forbidden for list")


def version_number(text: str) -> int:
    """The resourceVersion of a get or watch, 0 for none. Raises upstream's 500 for anything that is no number."""
    if not text:
        return 0
    try:
        return parse_version(text)
    except BadRequest as error:
        raise errors.ApiError(error.message.removeprefix("invalid resource version: "), code=500, reason="") from error


def parse_version(text: str) -> int:
    """The resourceVersion of a list. Raises BadRequest."""
    why = ""
    if not (text.isascii() and text.isdigit()):
        why = "invalid syntax"
    elif int(text) >= 1 << 64:
        why = "value out of range"
    if why:
        raise BadRequest(f'invalid resource version: resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": {why}')
    return int(text)


def too_large(asked: int, current: int) -> errors.Timeout:
    """The 504 for a resourceVersion that has not happened yet."""
    return errors.Timeout(
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1},
    )
