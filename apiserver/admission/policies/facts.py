"""A write as policies see it: what is written, in each version that there is of it, and the AdmissionRequest.

Source: apiserver `pkg/admission/plugin/cel/condition.go` (CreateAdmissionRequest), `pkg/admission/conversion.go`, `pkg/endpoints/handlers`
(what the attributes of each verb are).
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from apiserver.registry.admission import Attributes
from apiserver.registry.converting import ConvertingStore
from apiserver.registry.kind import Kind, Subresource, no_defaults
from apiserver.registry.scale import DEFINITION as SCALE_DEFINITION
from apiserver.registry.scale import scale_of
from kube.errors import forbidden
from kube.objects import Object, labels_of
from kube.resources import Resource
from kube.schema.types import StructType

_OPTIONS: Final = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}
_OPTIONS_VERSION: Final = "meta.k8s.io/v1"


class GroupKind(NamedTuple):
    """A kind in a version of its group."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        """As messages name it."""
        return f"{self.group}/{self.version}, Kind={self.kind}"


def _same(obj: Object) -> None:
    """A conversion that has nothing to do."""


@dataclass(frozen=True, slots=True)
class Form:
    """One version of what is written. `from_hub` and `to_hub` convert in place; `default` fills in."""

    resource: Resource
    kind: GroupKind
    type: Callable[[], StructType]
    from_hub: Callable[[Object], None] = _same
    to_hub: Callable[[Object], None] = _same
    default: Callable[[Object], None] = _same

    @property
    def is_foreign(self) -> bool:
        """Whether the kind is of another group or version than the resource, whose schemas do not tell of it (a Scale of Deployments)."""
        return self.kind.api_version != self.resource.api_version

    def of(self, obj: Object | None) -> Object | None:
        """An object of the hub in this version. May share with it; leaves it as it is."""
        if obj is None:
            return None
        shown = obj if self.from_hub is _same else copy.deepcopy(obj)
        self.from_hub(shown)
        return {**shown, "apiVersion": self.kind.api_version, "kind": self.kind.kind}


class Facts:
    """See the module. `obj` and `old` are as the registry holds them, but a Scale where the scale is written."""

    __slots__ = (
        *("_converted", "_converting", "attributes", "forms", "is_scale", "name", "namespace", "obj", "old", "operation", "resource"),
        "subresource",
    )

    def __init__(self, attributes: Attributes) -> None:
        kind, ctx = attributes.kind, attributes.ctx
        self.attributes, self.operation, self.subresource = attributes, attributes.operation, ctx.subresource
        self.is_scale = ctx.subresource == "scale" and kind.scale is not None
        self.obj, self.old = _shown(kind, attributes.obj, self.is_scale), _shown(kind, attributes.old, self.is_scale)
        self.forms = _forms(attributes)
        self.resource = self.forms[0].resource
        self._converting = _converting(attributes)
        self._converted: dict[tuple[str, str], tuple[Object, Object]] = {}
        self.name = "" if ctx.verb == "deletecollection" else attributes.name
        self.namespace = attributes.namespace
        if (kind.resource.group, kind.resource.plural) == ("", "namespaces"):
            self.namespace = self.name

    @property
    def is_namespace(self) -> bool:
        """Whether a Namespace itself is written: such a write is of no namespace."""
        return self.forms[0].kind == ("", "v1", "Namespace")

    @property
    def labels(self) -> list[dict[str, str]]:
        """Those of the object and of what it replaces."""
        return [labels_of(each) for each in (self.obj, self.old) if each is not None and "metadata" in each]

    async def see(self, form: Form) -> None:
        """To be waited for before `shown`: a webhook may have to convert the objects. Raises ApiError where it does not."""
        if not self._is_converted(form):
            return
        assert self._converting is not None
        version = form.kind.api_version
        for name, obj in (("object", self.obj), ("oldObject", self.old)):
            known = self._converted.get((version, name))
            if obj is not None and (known is None or known[0] is not obj):
                self._converted[version, name] = obj, await self._converting.in_version(obj, version)

    def shown(self, form: Form) -> dict[str, Object | None]:
        """`object` and `oldObject` in a version. May share with them; they are to stay as they are."""
        return {name: self._in_version(form, name, obj) for name, obj in (("object", self.obj), ("oldObject", self.old))}

    def _in_version(self, form: Form, name: str, obj: Object | None) -> Object | None:
        source, converted = self._converted.get((form.kind.api_version, name), (None, None))
        return converted if obj is not None and source is obj else form.of(obj)

    async def held(self, form: Form, obj: Object) -> Object:
        """An object of a version as the registry holds it; it may be changed. Raises ApiError."""
        if not self._is_converted(form):
            form.to_hub(obj)
            return obj
        assert self._converting is not None
        kind = self.attributes.kind
        made = await self._converting.in_version(obj, kind.resource.api_version)
        kind.default(made)
        return made

    def _is_converted(self, form: Form) -> bool:
        own = self.attributes.kind.resource
        return (
            self._converting is not None and (form.kind.api_version, form.kind.kind) != (own.api_version, own.kind) and not form.is_foreign
        )

    def request(self, resource: Resource, kind: GroupKind) -> Object:
        """The AdmissionRequest, of a resource and kind that a policy has matched."""
        attributes, asked = self.attributes, self.forms[0]
        optional = {
            "subResource": self.subresource,
            "requestSubResource": self.subresource,
            "name": self.name,
            "namespace": self.namespace,
        }
        return {
            "uid": "",
            "kind": kind._asdict(),
            "resource": _resource(resource),
            "requestKind": asked.kind._asdict(),
            "requestResource": _resource(asked.resource),
            **{name: value for name, value in optional.items() if value},
            "operation": self.operation,
            "userInfo": _user(attributes),
            "object": None,
            "oldObject": None,
            "dryRun": attributes.ctx.dry_run,
            "options": _options(attributes),
        }

    def refusal(self, why: str) -> Any:
        """A Forbidden about this write, to be filled in."""
        resource = self.resource
        return forbidden(resource.plural, resource.group, self.name or _name_of(self.obj), why)


def _name_of(obj: Object | None) -> str:
    """What to call an object that has no name yet."""
    if obj is None:
        return "Unknown"
    if "metadata" not in obj:
        return "Unknown/errorGettingName"
    return obj["metadata"].get("name") or obj["metadata"].get("generateName") or "Unknown"


def _shown(kind: Kind, obj: Object | None, is_scale: bool) -> Object | None:
    return scale_of(kind, obj) if obj is not None and is_scale else obj


def _resource(of: Resource) -> Object:
    return {"group": of.group, "version": of.version, "resource": of.plural}


def _user(attributes: Attributes) -> Object:
    user = attributes.ctx.user
    info: Object = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    if user.extra:
        info["extra"] = {name: list(values) for name, values in user.extra.items()}
    return {name: value for name, value in info.items() if value}


def _options(attributes: Attributes) -> Object | None:
    kind = _OPTIONS.get(attributes.operation)
    if kind is None:
        return None
    given = {name: value for name, value in attributes.options.items() if name not in ("force", "kind", "apiVersion")}
    return {"kind": kind, "apiVersion": _OPTIONS_VERSION, **given}


# --- versions ---------------------------------------------------------------------------------------------------------


def _forms(attributes: Attributes) -> list[Form]:
    """Every version of what is written, the one that the client speaks first."""
    kind, ctx, types = attributes.kind, attributes.ctx, attributes.registries.definitions.type
    part = next((each for each in kind.subresources if each.name == ctx.subresource), None)
    own = _own_kind(kind.resource, part)
    if own is not None and part is not None:
        definition = SCALE_DEFINITION if own.kind == "Scale" else part.definition
        found = [Form(each, own, functools.partial(types, definition)) for each in _versions(kind)]
    elif kind.custom is not None:
        found = [_custom(kind, each) for each in _versions(kind)]
    else:
        found = _built_in(kind, part, types)
    asked = ctx.api_version
    return sorted(found, key=lambda form: form.resource.api_version != asked) if asked and len(found) > 1 else found


def _versions(kind: Kind) -> list[Resource]:
    """The resource in each version, the hub's first."""
    hub = kind.resource
    if kind.custom is None:
        return [hub, *(each.resource for each in kind.conversions)]
    others = [each.rpartition("/")[2] for each in kind.custom.types if each != hub.api_version]
    return [hub, *(replace(hub, version=each) for each in others)]


def _own_kind(of: Resource, part: Subresource | None) -> GroupKind | None:
    """The kind of what is written to a subresource that has one of its own."""
    if part is None or part.name == "status":
        return None
    if part.name == "scale":
        return GroupKind("autoscaling", "v1", "Scale")
    if not part.kind or part.kind == of.kind:
        return None
    return GroupKind(part.group if part.version else of.group, part.version or of.version, part.kind)


def _kind_of(of: Resource) -> GroupKind:
    return GroupKind(of.group, of.version, of.kind)


def _custom(kind: Kind, resource: Resource) -> Form:
    """Versions of custom resources differ in nothing but their names and schemas, unless a webhook converts them."""
    assert kind.custom is not None
    known = kind.custom.types[resource.api_version]
    default = no_defaults if kind.custom.is_converted and resource != kind.resource else kind.default
    return Form(resource, _kind_of(resource), lambda: known, _same, functools.partial(_named, kind.resource), default)


def _converting(attributes: Attributes) -> ConvertingStore | None:
    """Who converts between the versions of a custom resource, where a webhook does."""
    custom, resource = attributes.kind.custom, attributes.kind.resource
    if custom is None or not custom.is_converted:
        return None
    served = attributes.registries.served(resource.group, resource.version, resource.plural)
    store: ConvertingStore | None = served.registry.store if served is not None else None
    return store


def _named(hub: Resource, obj: Object) -> None:
    obj["apiVersion"], obj["kind"] = hub.api_version, hub.kind


def _built_in(kind: Kind, part: Subresource | None, types: Callable[[str], StructType]) -> list[Form]:
    hub = kind.resource
    default = kind.default if part is None or part.default is None else part.default
    forms = [Form(hub, _kind_of(hub), functools.partial(types, kind.definition), default=default)]
    for each in kind.conversions:
        to_hub = functools.partial(_to_hub, hub, each.to_hub, default)
        forms.append(
            Form(each.resource, _kind_of(each.resource), functools.partial(types, each.definition), each.from_hub, to_hub, each.default)
        )
    return forms


def _to_hub(hub: Resource, convert: Callable[[Object], None], default: Callable[[Object], None], obj: Object) -> None:
    convert(obj)
    _named(hub, obj)
    default(obj)
