"""What a request is about, read from its method and path alone. Pure. Source: apiserver `pkg/endpoints/request/requestinfo.go`."""

from __future__ import annotations

from typing import Final, NamedTuple

_VERBS: Final = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES: Final = frozenset({"status", "finalize"})
_VERBS_IN_PATHS: Final = frozenset({"watch", "proxy"})


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
    """The path names the verb (`/api/v1/watch/pods`), as it was done before there was `?watch=1`; `proxy`, too, which leads nowhere."""

    @property
    def is_resource(self) -> bool:
        return bool(self.resource)


def request_info(method: str, path: str, *, watch: bool = False) -> RequestInfo:
    """The RequestInfo of a request; `watch`: the query asks for one. Paths that are no resource's have only `path` and, as `verb`,
    the method; methods that are none of a resource's have no verb."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return RequestInfo(path, method.lower())
    verb, by_path = _VERBS.get(method, ""), rest[0] in _VERBS_IN_PATHS and len(rest) > 1
    if by_path:
        verb, rest = rest[0], rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    resource = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 and verb != "proxy" else ""
    if not name and verb == "get":
        verb = "watch" if watch else "list"
    elif not name and verb == "delete":
        verb = "deletecollection"
    return RequestInfo(path, verb, group, version, namespace, resource, name, subresource, "/".join(rest[3:]), by_path)
