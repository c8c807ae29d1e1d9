"""apiextensions.k8s.io: CustomResourceDefinitions as data. What they define is served by `loops/custom_resource.py`.

Source: apiextensions-apiserver `pkg/registry/customresourcedefinition`; rules in `validation/custom_resource_definition.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from apiserver.kinds.custom.names import terminating
from apiserver.kinds.custom.warnings import warnings_of
from apiserver.kinds.strategy import CREATED_AT, created_at_row, keep, status_subresource
from apiserver.registry.kind import Context, Kind
from apiserver.validation import custom_resource_definition as validation
from kube.errors import FieldError
from kube.objects import Object, is_deleting, name_of, resource_version_of
from kube.resources import Resource

CLEANUP: Final = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer of a definition whose objects are being deleted."""

_PENDING: Final = ("InstanceDeletionPending", "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon")


def default(crd: Object) -> None:
    """Names follow from the kind; no conversion; the port of a webhook."""
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if not names.get("singular") and names.get("kind"):
        names["singular"] = names["kind"].lower()
    if not names.get("listKind") and names.get("kind"):
        names["listKind"] = names["kind"] + "List"
    conversion = spec.get("conversion")
    if conversion is None:
        spec["conversion"] = {"strategy": "None"}
        return
    service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None and service.get("port") is None:
        service["port"] = 443


def _prepare(new: Object, old: Object | None, _ctx: Context) -> None:
    """The status is the server's; it remembers every version that was ever stored."""
    if old is None:
        new["status"] = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": None}
    else:
        keep(new, old, "status")
    stored = list(new["status"].get("storedVersions") or [])
    for version in new["spec"].get("versions") or ():
        if version.get("storage") and version.get("name") not in stored:
            stored.append(version["name"])
    if stored:
        new["status"] = {**new["status"], "storedVersions": stored}


def _mark_deleting(definition: Object) -> None:
    """A definition waits for its objects to be deleted. Its generation stays as it is."""
    meta = definition["metadata"]
    meta["generation"] -= 1
    finalizers = meta.get("finalizers") or []
    if CLEANUP not in finalizers:
        meta["finalizers"] = [*finalizers, CLEANUP]
    status = definition.setdefault("status", {})
    status["conditions"] = terminating(definition, *_PENDING, meta["deletionTimestamp"], status="True")


def _validate(new: Object, old: Object | None, ctx: Context) -> Sequence[FieldError]:
    ctx.warnings.extend(warnings_of(new, old))
    return validation.validate(new, old, ctx)


async def _settle(definition: Object, registries: Any) -> None:
    """Whoever makes or changes a definition finds it served when the answer arrives."""
    if registries.definition_settled is not None:
        await registries.definition_settled(name_of(definition), int(resource_version_of(definition)))


CUSTOM_RESOURCE_DEFINITION = Kind(
    resource=Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False),
    definition="io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    singular="customresourcedefinition",
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    storage="apiextensions.k8s.io/customresourcedefinitions",
    subresources=(status_subresource(validation.validate_status),),
    columns=CREATED_AT,
    row=created_at_row,
    default_table=True,
    default=default,
    prepare=_prepare,
    validate=_validate,
    has_generation=True,
    unconditional_update=False,
    legacy_finalizers=False,
    marks_grace=False,
    holds_deletion=lambda definition: not is_deleting(definition),
    marks_deletion=True,
    propagates=False,
    mark_deleting=_mark_deleting,
    settle=_settle,
)

KINDS = [CUSTOM_RESOURCE_DEFINITION]
