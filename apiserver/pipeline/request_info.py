"""What a request is about, read from its method and path alone. Pure. Source: apiserver `pkg/endpoints/request/requestinfo.go`."""

from __future__ import annotations

from typing import Final, NamedTuple

_VERBS: Final = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES: Final = frozenset({"status", "finalize"})


class RequestInfo(NamedTuple):
    """A resource request (`resource` set), or any other path (`resource` "")."""

    path: str
    verb: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    """What follows the subresource: the path behind `proxy`."""
    by_path: bool = False
    """A watch that its path asks for (`/api/v1/watch/pods`), as it was done before there was `?watch=1`."""

    @property
    def is_resource(self) -> bool:
        return bool(self.resource)


def request_info(method: str, path: str, *, watch: bool = False) -> RequestInfo:
    """The RequestInfo of a request; `watch`: the query asks for one. Paths that are no resource's have only `path` and, as `verb`,
    the method."""
    verb = _VERBS.get(method, method.lower())
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return RequestInfo(path, method.lower())
    namespace = ""
    prefixed = rest[0] == "watch" and len(rest) > 1  # the deprecated /watch/ paths
    if prefixed:
        rest, watch = rest[1:], True
    if rest[0] == "namespaces" and len(rest) >= 3 and not (len(rest) == 3 and rest[2] in _NAMESPACE_SUBRESOURCES and not group):
        namespace, rest = rest[1], rest[2:]
    resource = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if not name:
        if verb == "get":
            verb = "watch" if watch else "list"
        elif verb == "delete":
            verb = "deletecollection"
    elif verb == "get" and prefixed and not subresource:
        verb = "watch"
    if resource == "namespaces" and name and not group:
        namespace = name
    return RequestInfo(path, verb, group, version, namespace, resource, name, subresource, "/".join(rest[3:]), prefixed)
