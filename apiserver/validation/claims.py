"""PersistentVolumeClaim specs inside pod specs and StatefulSets. Source: kubernetes `pkg/apis/core/validation/validation.go`.

The PersistentVolumeClaim kind itself has more rules (updates, status), elsewhere.
"""

from __future__ import annotations

from apiserver.validation.metadata import complaints, validate_annotations, validate_label_selector, validate_labels
from apiserver.validation.names import is_dns1123_label, is_dns1123_subdomain
from apiserver.validation.requirements import quantity_value
from kube.errors import FieldError, invalid, not_allowed, not_supported, required
from kube.objects import Object
from kube.quantity import parse

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")


def validate_claim_template(template: Object, path: str) -> list[FieldError]:
    """An ephemeral volume's claim template: only labels and annotations of the metadata are used, so only those may be set."""
    meta = template.get("metadata") or {}
    errors = validate_annotations(meta.get("annotations"), f"{path}.metadata.annotations")
    errors += validate_labels(meta.get("labels"), f"{path}.metadata.labels")
    set_fields = [name for name in meta if name not in ("annotations", "labels") and meta[name] not in (None, "", 0, [], {})]
    errors += [not_allowed(f"{path}.metadata.{name}", "cannot be set") for name in set_fields]
    return errors + validate_claim_spec(template.get("spec") or {}, f"{path}.spec")


def validate_claim_spec(spec: Object, path: str) -> list[FieldError]:
    """A new PersistentVolumeClaimSpec."""
    errors = [] if spec.get("accessModes") else [required(f"{path}.accessModes", "at least 1 access mode is required")]
    if spec.get("selector") is not None:
        errors += validate_label_selector(spec["selector"], f"{path}.selector")
    errors += _access_modes(spec.get("accessModes") or [], f"{path}.accessModes")
    errors += _storage(spec, f"{path}.resources[storage]")
    if spec.get("storageClassName"):
        name = spec["storageClassName"]
        errors += complaints(f"{path}.storageClassName", name, is_dns1123_subdomain(name))
    mode = spec.get("volumeMode")
    if mode is not None and mode not in ("Block", "Filesystem"):
        errors.append(not_supported(f"{path}.volumeMode", mode, ["Block", "Filesystem"]))
    errors += _data_sources(spec, path)
    attributes = spec.get("volumeAttributesClassName")
    if attributes:
        errors += complaints(f"{path}.volumeAttributesClassName", attributes, is_dns1123_subdomain(attributes))
    return errors


def _access_modes(modes: list[str], path: str) -> list[FieldError]:
    errors = [not_supported(path, mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
    known = {mode for mode in modes if mode in ACCESS_MODES}
    if "ReadWriteOncePod" in known and len(known) > 1:
        errors.append(not_allowed(path, "may not use ReadWriteOncePod with other access modes"))
    return errors


def _storage(spec: Object, path: str) -> list[FieldError]:
    text = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if text is None:
        return [required(path)]
    amount = parse(text)
    if amount.nano <= 0:
        return [invalid(path, str(amount), "must be greater than zero")]
    return quantity_value("storage", amount, path)


def _data_sources(spec: Object, path: str) -> list[FieldError]:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    errors: list[FieldError] = []
    if source is not None:
        errors += _data_source(source, f"{path}.dataSource")
    if reference is not None:
        errors += _data_source(reference, f"{path}.dataSourceRef")
    if source is None or reference is None:
        return errors
    if reference.get("namespace"):
        errors.append(invalid(path, f"{path}.dataSource", "may not be specified when dataSourceRef.namespace is specified"))
    elif any(source.get(name) != reference.get(name) for name in ("apiGroup", "kind", "name")):
        errors.append(invalid(path, f"{path}.dataSource", "must match dataSourceRef"))
    return errors


def _data_source(source: Object, path: str) -> list[FieldError]:
    errors = [required(f"{path}.{name}") for name in ("name", "kind") if not source.get(name)]
    group, kind, namespace = source.get("apiGroup") or "", source.get("kind") or "", source.get("namespace") or ""
    if not group and kind != "PersistentVolumeClaim":
        errors.append(invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
    if group:
        errors += complaints(f"{path}.apiGroup", group, is_dns1123_subdomain(group))
    if namespace:
        errors += complaints(f"{path}.namespace", namespace, is_dns1123_label(namespace))
    return errors
