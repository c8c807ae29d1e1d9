"""ConfigMaps and Secrets. Source: kubernetes `pkg/registry/core/configmap`, `.../secret`; rules in `validation/config.py`."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME
from apiserver.kinds.strategy import field
from apiserver.registry.kind import Column, Kind
from apiserver.validation import config as validation
from kube.objects import Object
from kube.resources import CONFIG_MAPS, SECRETS


def _config_map_row(config_map: Object, now: datetime) -> list[Any]:
    count = len(config_map.get("data") or {}) + len(config_map.get("binaryData") or {})
    return [config_map["metadata"].get("name", ""), count, age(config_map, now)]


def default_secret(secret: Object) -> None:
    """The type, and stringData folded into data (it is never stored, and wins over data)."""
    texts = secret.pop("stringData", None)
    if texts:
        encoded = {key: base64.b64encode(value.encode("utf-8", "surrogatepass")).decode() for key, value in texts.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}
    if not secret.get("type"):
        secret["type"] = "Opaque"


def _secret_row(secret: Object, now: datetime) -> list[Any]:
    return [secret["metadata"].get("name", ""), secret.get("type", ""), len(secret.get("data") or {}), age(secret, now)]


CONFIG_MAP = Kind(
    resource=CONFIG_MAPS,
    definition="io.k8s.api.core.v1.ConfigMap",
    singular="configmap",
    short_names=("cm",),
    columns=(NAME, Column("Data"), AGE),
    row=_config_map_row,
    validate=validation.validate_config_map,
)

SECRET = Kind(
    resource=SECRETS,
    definition="io.k8s.api.core.v1.Secret",
    singular="secret",
    columns=(NAME, Column("Type"), Column("Data"), AGE),
    row=_secret_row,
    selectable={"type": field("type")},
    default=default_secret,
    validate=validation.validate_secret,
    metadata_passes=("update",),
)

KINDS = [CONFIG_MAP, SECRET]
