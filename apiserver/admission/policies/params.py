"""The objects that a policy is evaluated with: what a binding's paramRef stands for. Source: `CollectParams` of apiserver
`pkg/admission/plugin/policy/generic/policy_dispatcher.go`, `ensureParamsForPolicyLocked` of `policy_source.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apiserver.registry.kind import Conversion
from kube import labels
from kube.objects import Object

_NOT_FOUND = "no params found for policy binding with `Deny` parameterNotFoundAction"
_OF_CLUSTER = "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
_NO_NAMESPACE = "paramRef.namespace must not be provided for a cluster-scoped `paramKind`"


class ParamError(Exception):
    """A policy or binding that is not set up well; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where parameters come from: a resource, in the version that the policy names."""

    registry: Any
    api_version: str
    kind: str
    conversion: Conversion | None

    def shown(self, obj: Object) -> Object:
        """An object as the policy sees it. `obj` is changed."""
        if self.conversion is not None:
            self.conversion.from_hub(obj)
        return {**obj, "apiVersion": self.api_version, "kind": self.kind}


def source_of(param_kind: Object, registries: Any) -> Source:
    """Raises ParamError where nobody serves that kind."""
    api_version, kind = param_kind.get("apiVersion") or "", param_kind.get("kind") or ""
    for each in registries.kinds:
        for version, conversion in ((each.resource, None), *((one.resource, one) for one in each.conversions)):
            if version.kind == kind and version.api_version == api_version and each.create is None:
                return Source(registries.served(version.group, version.version, version.plural).registry, api_version, kind, conversion)
    group, _, named = api_version.rpartition("/")
    raise ParamError(f"failed to find resource referenced by paramKind: '{group}/{named}, Kind={kind}'")


async def collected(source: Source | None, reference: Object | None, namespace: str) -> list[Object | None]:
    """The parameters, one evaluation each; one None where there are to be none. Raises ParamError."""
    if source is None or reference is None:
        return [None]
    registry, given = source.registry, reference.get("namespace") or ""
    if registry.resource.namespaced:
        namespace = given or namespace
        if not namespace:
            raise ParamError(_OF_CLUSTER)
    elif given:
        raise ParamError(_NO_NAMESPACE)
    else:
        namespace = ""
    await registry.cache.catch_up()
    found = [source.shown(registry.cache.object_of(each)) for each in _entries(registry.cache, reference, namespace)]
    if not found and reference.get("parameterNotFoundAction") == "Deny":
        raise ParamError(_NOT_FOUND)
    return list(found)


def _entries(cache: Any, reference: Object, namespace: str) -> list[Any]:
    if name := reference.get("name"):
        entry = cache.get(namespace, name)
        return [entry] if entry is not None else []
    selector = labels.from_object(reference.get("selector"))
    return [each for each in cache.entries(namespace) if selector.matches(each.labels)]
