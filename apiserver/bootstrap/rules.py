"""RBAC rules in one line each, and which rules cover which. Pure.

    read | nodes pods                                      verbs | resources of the core group
    get update | coordination.k8s.io | leases | my-lease   verbs | groups | resources | names
    get | url | /healthz /version                          verbs | url | paths

Words for verbs: `read` is get, list and watch; `edit` is create, delete, deletecollection, patch and update; `all` is both. The core
group is called `core`. Everything comes out sorted, as upstream's rules are. Source of `uncovered`: kubernetes
`component-helpers/auth/rbac/validation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from kube.objects import Object

_READ = ("get", "list", "watch")
_EDIT = ("create", "delete", "deletecollection", "patch", "update")
_VERBS = {"read": _READ, "edit": _EDIT, "all": (*_READ, *_EDIT)}
EVENTS = "create patch update | core events.k8s.io | events"


def rule(line: str) -> Object:
    """The rule of a line; see the module. Raises ValueError for a line of another form."""
    parts = [part.split() for part in line.split("|")]
    if len(parts) not in (2, 3, 4):
        raise ValueError(f"not a rule: {line!r}")
    verbs = sorted({verb for word in parts[0] for verb in _VERBS.get(word, (word,))})
    if parts[1] == ["url"]:
        return {"verbs": verbs, "nonResourceURLs": sorted(parts[2])}
    groups, resources = (["core"], parts[1]) if len(parts) == 2 else (parts[1], parts[2])
    out: Object = {"verbs": verbs, "apiGroups": sorted("" if each == "core" else each for each in groups), "resources": sorted(resources)}
    if len(parts) == 4:
        out["resourceNames"] = sorted(parts[3])
    return out


def rules(lines: Iterable[str]) -> list[Object]:
    """The rules of several lines."""
    return [rule(line) for line in lines]


def uncovered(present: Sequence[Object], wanted: Sequence[Object]) -> list[Object]:
    """What `wanted` allows and `present` does not, one verb and resource (or path) a rule."""
    missing: list[Object] = []
    for each in wanted:
        if each not in present:
            missing.extend(simple for simple in _simple(each) if not any(_covers(other, simple) for other in present))
    return missing


def _simple(whole: Object) -> Iterator[Object]:
    """A rule taken apart into rules of one verb and one resource or path."""
    for group in whole.get("apiGroups") or ():
        for resource in whole.get("resources") or ():
            for verb in whole.get("verbs") or ():
                one = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
                names = whole.get("resourceNames")
                yield from ({**one, "resourceNames": [name]} for name in names) if names else (one,)
    for url in whole.get("nonResourceURLs") or ():
        for verb in whole.get("verbs") or ():
            yield {"verbs": [verb], "nonResourceURLs": [url]}


def _covers(owner: Object, simple: Object) -> bool:
    """Whether a rule allows what a simple one does."""
    if not _has(owner, "verbs", simple["verbs"][0]):
        return False
    if "nonResourceURLs" in simple:
        return any(_covers_url(each, simple["nonResourceURLs"][0]) for each in owner.get("nonResourceURLs") or ())
    resource, names = simple["resources"][0], owner.get("resourceNames")
    if not _has(owner, "apiGroups", simple["apiGroups"][0]):
        return False
    if not (_has(owner, "resources", resource) or _is_subresource_of_all(owner, resource)):
        return False
    return not names or ("resourceNames" in simple and simple["resourceNames"][0] in names)


def _has(owner: Object, field: str, value: str) -> bool:
    values = owner.get(field) or ()
    return value in values or "*" in values


def _is_subresource_of_all(owner: Object, resource: str) -> bool:
    _, slash, subresource = resource.partition("/")
    return bool(slash) and f"*/{subresource}" in (owner.get("resources") or ())


@lru_cache(maxsize=256)
def _covers_url(owner: str, url: str) -> bool:
    return owner in ("*", url) or (owner.endswith("*") and url.startswith(owner.rstrip("*")))
