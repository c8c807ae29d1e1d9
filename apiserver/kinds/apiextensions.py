"""apiextensions.k8s.io: CustomResourceDefinitions as data (serving what they define is not here). Source: apiextensions-apiserver
`pkg/registry/customresourcedefinition`; rules in `validation/custom_resource_definition.py`.
"""

from __future__ import annotations

from apiserver.kinds.strategy import CREATED_AT, created_at_row, keep, status_subresource
from apiserver.registry.kind import Context, Kind
from apiserver.validation import custom_resource_definition as validation
from kube.objects import Object
from kube.resources import Resource


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


CUSTOM_RESOURCE_DEFINITION = Kind(
    resource=Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False),
    definition="io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    singular="customresourcedefinition",
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    storage="apiextensions.k8s.io/customresourcedefinitions",
    subresources=(status_subresource(validation.validate_status, keeps_metadata=True),),
    columns=CREATED_AT,
    row=created_at_row,
    default=default,
    prepare=_prepare,
    validate=validation.validate,
    has_generation=True,
    unconditional_update=False,
    legacy_finalizers=False,
)

KINDS = [CUSTOM_RESOURCE_DEFINITION]
