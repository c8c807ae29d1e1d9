"""Pod specs and pod templates: the defaults that every kind with a pod template shares.

For what no client wrote: image pull policies, probe periods, file modes. It does not validate (see `validation/podspec.py`) and
does not drop fields behind feature gates (see `pod_features.py`). What only a Pod itself gets is in `core/pod.py`.
Source: kubernetes `pkg/apis/core/v1/defaults.go` and the `+default` markers of `k8s.io/api/core/v1/types.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from apiserver.kinds.image import default_pull_policy
from kube import quantity
from kube.objects import Object

FILE_MODE = 0o644
TOKEN_LIFETIME_S = 3600
CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


def default_template(owner_spec: Object) -> None:
    """Defaults of `owner_spec["template"]`, where there is one."""
    template = owner_spec.get("template")
    if template is not None:
        template.setdefault("metadata", {})
        default_pod_spec(template.setdefault("spec", {}))


def default_pod_spec(spec: Object) -> None:
    """Defaults of a PodSpec, in place. Safe to call twice."""
    _default_scalars(spec)
    _sync_service_account(spec)
    for container in spec.get("containers") or ():
        default_container(container)
    for container in spec.get("initContainers") or ():
        default_container(container)
    for container in spec.get("ephemeralContainers") or ():
        default_container(container)
    for volume in spec.get("volumes") or ():
        default_volume(volume)
    if spec.get("overhead"):
        round_resources(spec["overhead"])
    if spec.get("resources"):
        _round_requirements(spec["resources"])


def _default_scalars(spec: Object) -> None:
    if not spec.get("dnsPolicy"):
        spec["dnsPolicy"] = "ClusterFirst"
    if not spec.get("restartPolicy"):
        spec["restartPolicy"] = "Always"
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = 30
    if not spec.get("schedulerName"):
        spec["schedulerName"] = "default-scheduler"


def _sync_service_account(spec: Object) -> None:
    """The deprecated `serviceAccount` follows `serviceAccountName`, and gives it its value where that is empty."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = name
        spec["serviceAccount"] = name


def default_container(container: Object) -> None:
    """Defaults of a container of any of the three lists."""
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = default_pull_policy(container.get("image") or "")
    if not container.get("terminationMessagePath"):
        container["terminationMessagePath"] = "/dev/termination-log"
    if not container.get("terminationMessagePolicy"):
        container["terminationMessagePolicy"] = "File"
    resources = container.setdefault("resources", {})
    if resources:
        _round_requirements(resources)
    for port in container.get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
    for variable in container.get("env") or ():
        if variable.get("valueFrom"):
            _default_env_source(variable["valueFrom"])
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name) is not None:
            _default_probe(container[name])
    for handler in (container.get("lifecycle") or {}).values():
        if isinstance(handler, dict) and handler.get("httpGet") is not None:
            _default_http_get(handler["httpGet"])


def _default_env_source(source: Object) -> None:
    if source.get("fieldRef") is not None:
        _default_field_ref(source["fieldRef"])
    if source.get("fileKeyRef") is not None and source["fileKeyRef"].get("optional") is None:
        source["fileKeyRef"]["optional"] = False
    if source.get("resourceFieldRef") is not None:
        source["resourceFieldRef"].setdefault("divisor", "0")


def _default_field_ref(ref: Object) -> None:
    if not ref.get("apiVersion"):
        ref["apiVersion"] = "v1"


def _default_probe(probe: Object) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(name):
            probe[name] = value
    if probe.get("httpGet") is not None:
        _default_http_get(probe["httpGet"])
    if probe.get("grpc") is not None and probe["grpc"].get("service") is None:
        probe["grpc"]["service"] = ""


def _default_http_get(action: Object) -> None:
    if not action.get("path"):
        action["path"] = "/"
    if not action.get("scheme"):
        action["scheme"] = "HTTP"


# --- resources --------------------------------------------------------------------------------------------------------


def _round_requirements(requirements: Object) -> None:
    for name in ("limits", "requests"):
        if requirements.get(name):
            round_resources(requirements[name])


def round_resources(resources: Object) -> None:
    """Amounts finer than a thousandth are rounded up to one (upstream's SetDefaults_ResourceList)."""
    for name, text in resources.items():
        if isinstance(text, str) and text[-1:] in "nu0123456789" and not text.isdigit():
            amount = quantity.parse(text)
            milli = amount.milli_value()
            if quantity.parse(f"{milli}m") != amount:
                resources[name] = str(quantity.parse(f"{milli}m"))


# --- volumes ----------------------------------------------------------------------------------------------------------


def _default_items_mode(source: Object) -> None:
    if source.get("defaultMode") is None:
        source["defaultMode"] = FILE_MODE


def _default_downward_items(source: Object) -> None:
    for item in source.get("items") or ():
        if item.get("fieldRef") is not None:
            _default_field_ref(item["fieldRef"])
        if item.get("resourceFieldRef") is not None:
            item["resourceFieldRef"].setdefault("divisor", "0")


def _default_downward_api(source: Object) -> None:
    _default_items_mode(source)
    _default_downward_items(source)


def _default_projected(source: Object) -> None:
    _default_items_mode(source)
    for projection in source.get("sources") or ():
        if projection.get("downwardAPI") is not None:
            _default_downward_items(projection["downwardAPI"])
        token = projection.get("serviceAccountToken")
        if token is not None and token.get("expirationSeconds") is None:
            token["expirationSeconds"] = TOKEN_LIFETIME_S


def _default_ephemeral(source: Object) -> None:
    template = source.get("volumeClaimTemplate")
    if template is not None:
        template.setdefault("metadata", {})
        default_claim_spec(template.setdefault("spec", {}))


def default_claim_spec(spec: Object) -> None:
    """Defaults of a PersistentVolumeClaimSpec inside a pod spec or a StatefulSet."""
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    spec.setdefault("resources", {})
    if spec["resources"]:
        _round_requirements(spec["resources"])


def _default_image(source: Object) -> None:
    if not source.get("pullPolicy"):
        source["pullPolicy"] = default_pull_policy(source.get("reference") or "")


def _default_host_path(source: Object) -> None:
    if source.get("type") is None:
        source["type"] = ""


def _fill(values: Mapping[str, Any]) -> Callable[[Object], None]:
    """A defaulter that writes each value where the field is unset or empty (false and "" count as empty)."""

    def fill(source: Object) -> None:
        for name, value in values.items():
            if source.get(name) in (None, ""):
                source[name] = value

    return fill


_VOLUME_DEFAULTS: Mapping[str, Callable[[Object], None]] = {
    "configMap": _default_items_mode,
    "secret": _default_items_mode,
    "downwardAPI": _default_downward_api,
    "projected": _default_projected,
    "ephemeral": _default_ephemeral,
    "image": _default_image,
    "hostPath": _default_host_path,
    "iscsi": _fill({"iscsiInterface": "default"}),
    "rbd": _fill({"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"}),
    "azureDisk": _fill({"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"}),
    "scaleIO": _fill({"storageMode": "ThinProvisioned", "fsType": "xfs"}),
}


def default_volume(volume: Object) -> None:
    """Defaults of one volume; a volume without any source is an emptyDir."""
    source_found = False
    for name, source in volume.items():
        if name == "name" or source is None:
            continue
        source_found = True
        fill = _VOLUME_DEFAULTS.get(name)
        if fill is not None:
            fill(source)
    if not source_found:
        volume["emptyDir"] = {}
