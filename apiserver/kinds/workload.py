"""What the kinds that own pods by a template have in common: resetting the status, keeping the spec, the `status` and `scale` subresources.

Source: the strategies under kubernetes `pkg/registry/{apps,batch,core}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from apiserver.kinds.pod_features import drop_disabled_template_fields
from apiserver.kinds.workload_columns import selector_text
from apiserver.registry.kind import Context, Prepare, Scale, Subresource, Validate
from kube.objects import Object


def keep_status(new: Object, old: Object | None, empty: Mapping[str, Any] = MappingProxyType({})) -> None:
    """A write of the object itself: an empty status on create (with the counts that always show), the present one on update."""
    if old is None:
        new["status"] = dict(empty)
    elif "status" in old:
        new["status"] = old["status"]
    else:
        new.pop("status", None)


def template_owner(empty: Mapping[str, Any]) -> Prepare:
    """The prepare hook of kinds that differ in nothing but what their empty status shows."""

    def prepare(new: Object, old: Object | None, _ctx: Context) -> None:
        keep_status(new, old, empty)
        drop_disabled_template_fields(new, old)

    return prepare


def prepare_status(new: Object, old: Object | None, _ctx: Context) -> None:
    """A write of the status subresource: the spec stays."""
    assert old is not None
    new["spec"] = old["spec"]


def keep_labels(new: Object, old: Object) -> None:
    """A status write of Deployments does not touch labels."""
    if "labels" in old["metadata"]:
        new["metadata"]["labels"] = old["metadata"]["labels"]
    else:
        new["metadata"].pop("labels", None)


def status_subresource(
    validate: Validate, prepare: Prepare = prepare_status, *also_kept: tuple[str, ...], metadata_passes: tuple[str, ...] = ("update",)
) -> Subresource:
    """The `status` subresource. `also_kept`: what, besides the spec, `prepare` takes from the present object."""
    fields = (("spec",), *also_kept)
    return Subresource("status", prepare=prepare, validate=validate, reset_fields=fields, metadata_passes=metadata_passes)


SCALE = Subresource("scale", group="autoscaling", version="v1", kind="Scale", definition="io.k8s.api.autoscaling.v1.Scale")
SELECTOR_SCALE = Scale(selector=lambda obj: selector_text(obj["spec"].get("selector")))
