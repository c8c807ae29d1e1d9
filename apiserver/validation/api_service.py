"""APIServices. Source: kube-aggregator `pkg/apis/apiregistration/validation/validation.go`."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from apiserver.validation.metadata import complaints
from apiserver.validation.names import is_dns1035_label, is_dns1123_subdomain, is_path_segment_name, is_valid_port_num
from kube.errors import FieldError, invalid, not_supported, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

CONDITION_STATUSES = ("True", "False", "Unknown")
GROUP_PRIORITY_MAX, VERSION_PRIORITY_MAX = 20_000, 1000


def validate(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    spec, name = new.get("spec") or {}, new["metadata"].get("name") or ""
    group, version = spec.get("group") or "", spec.get("version") or ""
    errors: list[FieldError] = []
    wanted = f"{version}.{group}"
    if name and name != wanted and not is_path_segment_name(name):
        errors.append(invalid("metadata.name", name, f'must be `spec.version+"."+spec.group`: {json.dumps(wanted)}'))
    if group:
        errors += complaints("spec.group", group, is_dns1123_subdomain(group))
    elif version != "v1":
        errors.append(required("spec.group", "only v1 may have an empty group and it better be legacy kube"))
    errors += complaints("spec.version", version, is_dns1035_label(version))
    for field, limit in (("groupPriorityMinimum", GROUP_PRIORITY_MAX), ("versionPriority", VERSION_PRIORITY_MAX)):
        value = spec.get(field) or 0
        if not 0 < value <= limit:
            errors.append(invalid(f"spec.{field}", value, f"must be positive and less than {limit}"))
    return errors + _where(spec)


def _where(spec: Object) -> list[FieldError]:
    service, bundle, is_open = spec.get("service"), spec.get("caBundle") or "", bool(spec.get("insecureSkipTLSVerify"))
    errors: list[FieldError] = []
    if service is None:
        if bundle:
            errors.append(invalid("spec.caBundle", f"{len(base64.b64decode(bundle))} bytes", "local APIServices may not have a caBundle"))
        if is_open:
            errors.append(invalid("spec.insecureSkipTLSVerify", is_open, "local APIServices may not have insecureSkipTLSVerify"))
        return errors
    errors += [required(f"spec.service.{field}") for field in ("namespace", "name") if not service.get(field)]
    port = service.get("port", 443)
    found = is_valid_port_num(port)
    if found:
        errors.append(invalid("spec.service.port", port, "port is not valid: " + ",".join(found)))
    if is_open and bundle:
        errors.append(invalid("spec.insecureSkipTLSVerify", is_open, "may not be true if caBundle is present"))
    return errors


def validate_status(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    conditions = (new.get("status") or {}).get("conditions") or []
    given = [(f"status.conditions[{index}].status", condition.get("status") or "") for index, condition in enumerate(conditions)]
    return [not_supported(path, value, CONDITION_STATUSES) for path, value in given if value not in CONDITION_STATUSES]
