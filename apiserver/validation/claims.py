"""Templates of PersistentVolumeClaims inside pod specs. Source: kubernetes `pkg/apis/core/validation/validation.go`."""

from __future__ import annotations

from apiserver.validation.metadata import validate_annotations, validate_labels
from apiserver.validation.volume_claim import validate_claim_spec
from kube.errors import FieldError, not_allowed
from kube.objects import Object

_UNUSED = {
    "name": "name",
    "generateName": "generateName",
    "namespace": "namespace",
    "selfLink": "selfLink",
    "uid": "uID",
    "resourceVersion": "resourceVersion",
    "generation": "generation",
    "creationTimestamp": "creationTimestamp",
    "deletionTimestamp": "deletionTimestamp",
    "deletionGracePeriodSeconds": "deletionGracePeriodSeconds",
    "ownerReferences": "ownerReferences",
    "finalizers": "finalizers",
    "managedFields": "managedFields",
}
"""The rest of the metadata, in the order of its Go fields, as upstream's paths call them."""


def validate_claim_template(template: Object, path: str) -> list[FieldError]:
    """An ephemeral volume's claim template: only labels and annotations of the metadata are used, so only those may be set."""
    meta, at = template.get("metadata") or {}, f"{path}.metadata"
    errors = validate_annotations(meta.get("annotations"), f"{at}.annotations") + validate_labels(meta.get("labels"), f"{at}.labels")
    errors += [not_allowed(f"{at}.{shown}", "cannot be set") for name, shown in _UNUSED.items() if _is_set(name, meta.get(name))]
    return errors + validate_claim_spec(template.get("spec") or {}, f"{path}.spec")


def _is_set(name: str, value: object) -> bool:
    return value is not None if name == "deletionGracePeriodSeconds" else value not in (None, "", 0, [])
