"""Query parameters of lists and watches, read and checked. Pure. Source: apimachinery `internalversion/validation/validation.go`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from apiserver.handlers.request import Request
from apiserver.handlers.write_options import read_bool, read_int
from apiserver.registry.cache import Entry, ResourceCache
from apiserver.registry.registry import Served
from kube import errors, fields, labels
from kube.errors import BadRequest, FieldError
from kube.schema.goquote import quote

NAME: Final = "metadata.name"
NAMESPACE: Final = "metadata.namespace"


def _integer(request: Request, name: str) -> int | None:
    return read_int(request.query[name][0]) if name in request.query else None


def _boolean(request: Request, name: str) -> bool | None:
    return read_bool(request.query[name][0]) if name in request.query else None


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a list, a watch or a deletecollection asks for. `send_initial_events` is None where it was not given, nor follows from what
    was (`_begins_with_state`)."""

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
    """The only name that the field selector leaves, "" where it leaves more. `namespace`: likewise."""
    namespace: str = ""

    @property
    def selects(self) -> bool:
        """Whether anything is filtered out at all."""
        return not (self.label_selector.is_empty and self.field_selector.is_empty)

    def select(self, cache: ResourceCache, entries: Iterable[Entry]) -> list[Entry]:
        """Those that match. What must have one value is looked at first, all at once: most entries go there."""
        equal = self.label_selector.equal
        for key, value in equal:
            entries = [each for each in entries if each.labels.get(key) == value]
        for requirement in self.field_selector.requirements:
            at = cache.field_index.get(requirement.field)
            if at is not None and requirement.operator == fields.EQUALS:
                entries = [each for each in entries if each.fields[at] == requirement.value]
        return [each for each in entries if self.matches(cache, each)] if self.selects else list(entries)

    def exact_field(self, cache: ResourceCache) -> tuple[str, str] | None:
        """A field of this kind that must have one value, and that value; None where there is no such."""
        for each in self.field_selector.requirements:
            if each.operator == fields.EQUALS and each.field in cache.field_index:
                return each.field, each.value
        return None

    def matches(self, cache: ResourceCache, entry: Entry) -> bool:
        return self.label_selector.matches(entry.labels) and self.field_selector.matches(lambda name: cache.field(entry, name))


def field_selector(served: Served, text: str) -> fields.FieldSelector:
    """A field selector that this kind can answer, in the hub's names. Raises BadRequest in upstream's words."""
    return _of_hub(served, _parsed_fields(text))


def _parsed_fields(text: str) -> fields.FieldSelector:
    if not text:
        return fields.EVERYTHING
    try:
        return fields.parse(text)
    except fields.FieldSelectorError as error:
        raise BadRequest(str(error)) from error


def _of_hub(served: Served, selector: fields.FieldSelector) -> fields.FieldSelector:
    if selector.is_empty:
        return selector
    return fields.FieldSelector(each._replace(field=_hub_name(served, each.field)) for each in selector.requirements)


def _hub_name(served: Served, name: str) -> str:
    kind, conversion = served.registry.kind, served.conversion
    names_its_own = bool(kind.selectable) or kind.custom is not None
    if name == NAME or (name == NAMESPACE and (kind.resource.namespaced or not names_its_own)):
        return name
    if conversion is not None and conversion.selectors is not None:
        found = conversion.selectors.get(name)
    else:
        found = name if name in kind.selectable else None
    if found is not None:
        return found
    if names_its_own:
        raise BadRequest(kind.unknown_field.format(name=name, quoted=quote(name)))
    raise BadRequest(f'{quote(name)} is not a known field selector: only "{NAME}", "{NAMESPACE}"')


def list_options(request: Request, served: Served) -> ListOptions:
    """The options of a list, a watch or a deletecollection, checked in upstream's order. Raises BadRequest (cannot be read, or no such
    field) or Invalid (contradict each other)."""
    timeout_s, limit = _integer(request, "timeoutSeconds"), _integer(request, "limit") or 0
    try:
        label_selector = labels.parse(request.param("labelSelector"))
    except labels.LabelSelectorError as error:
        raise BadRequest(str(error)) from error
    selector = _parsed_fields(request.param("fieldSelector"))
    watch = bool(_boolean(request, "watch"))
    options = ListOptions(
        label_selector=label_selector,
        field_selector=selector,
        limit=max(limit, 0),
        continue_=request.param("continue"),
        resource_version=request.param("resourceVersion"),
        resource_version_match=request.param("resourceVersionMatch"),
        timeout_s=timeout_s,
        bookmarks=bool(_boolean(request, "allowWatchBookmarks")),
        send_initial_events=_boolean(request, "sendInitialEvents"),
    )
    if watch and _begins_with_state(options):
        options = replace(options, send_initial_events=True, resource_version_match="NotOlderThan")
    problems = list(_watch_contradictions(options) if watch else _list_contradictions(options))
    if problems:
        raise errors.invalid_object("ListOptions", "meta.k8s.io", "", problems)
    selector = _of_hub(served, selector)
    return replace(options, field_selector=selector, name=selector.exact(NAME) or "", namespace=selector.exact(NAMESPACE) or "")


def _begins_with_state(options: ListOptions) -> bool:
    """A watch from "now" or "any" that says nothing else sends what there is, first. (A watch by its path alone, `/api/v1/watch/...`,
    does so, too, but without the bookmark that ends it.)"""
    return options.send_initial_events is None and not options.resource_version_match and options.resource_version in ("", "0")


def _no_match(why: str) -> FieldError:
    return errors.not_allowed("resourceVersionMatch", f"resourceVersionMatch is forbidden {why}")


def _watch_contradictions(options: ListOptions) -> Iterator[FieldError]:
    match, initial = options.resource_version_match, options.send_initial_events
    if initial is not None and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        yield errors.not_allowed("resourceVersionMatch", why)
    if match:
        if initial is None:
            yield _no_match("for watch unless sendInitialEvents is provided")
        if match != "NotOlderThan":
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
        if match == "Exact" and options.resource_version == "0":
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


def too_large(asked: int, current: int, *, cached: bool = True) -> errors.Timeout:
    """The 504 for a resourceVersion that has not happened yet. `cached`: upstream would have its watch cache answer, which says when to
    come back; its store does not."""
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return errors.Timeout(
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={"causes": causes, **({"retryAfterSeconds": 1} if cached else {})},
    )
