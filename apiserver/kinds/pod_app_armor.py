"""AppArmor profiles of new pods: what an old annotation says goes into the container's field.

Source: kubernetes `pkg/registry/core/pod/strategy.go` (applyAppArmorVersionSkew).
"""

from __future__ import annotations

from apiserver.registry.kind import Context
from apiserver.validation.metadata import same
from apiserver.validation.pod_annotations import APP_ARMOR
from apiserver.validation.pod_warnings import APP_ARMOR_WARNING
from apiserver.validation.security_context import containers_with_paths
from kube.objects import Object, annotations_of

_LOCAL = "localhost/"
_PROFILE_CHARS_MAX = 4095


def sync_app_armor(pod: Object, ctx: Context) -> None:
    """Changes the containers in place; warns of each annotation that stands alone."""
    annotations, spec = annotations_of(pod), pod["spec"]
    if (spec.get("os") or {}).get("name") == "windows" or not any(key.startswith(APP_ARMOR) for key in annotations):
        return
    of_pod = (spec.get("securityContext") or {}).get("appArmorProfile")
    for container, _ in containers_with_paths(spec, "spec"):
        key = APP_ARMOR + (container.get("name") or "")
        if key not in annotations or (container.get("securityContext") or {}).get("appArmorProfile") is not None:
            continue
        profile = profile_of(annotations[key])
        if profile is None or not same(profile, of_pod):
            ctx.warnings.append(f"metadata.annotations[{key}]: {APP_ARMOR_WARNING}")
        if profile is not None and not same(profile, of_pod):
            container["securityContext"] = {**(container.get("securityContext") or {}), "appArmorProfile": profile}


def profile_of(annotation: str) -> Object | None:
    """The field's form of an annotation; None for what is no valid profile."""
    if annotation == "unconfined":
        return {"type": "Unconfined"}
    if annotation == "runtime/default":
        return {"type": "RuntimeDefault"}
    name = annotation.removeprefix(_LOCAL)
    if name == annotation or not name.strip() or name != name.strip() or len(name) > _PROFILE_CHARS_MAX:
        return None
    return {"type": "Localhost", "localhostProfile": name}
