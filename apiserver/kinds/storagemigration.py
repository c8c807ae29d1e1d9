"""storagemigration.k8s.io: StorageVersionMigrations, which ask for all objects of a resource to be written again. Who does it is
`controllers/manager/storage_version_migrator.py`. Off unless the version and the feature gate are switched on.

Source: kubernetes `pkg/registry/storagemigration`; rules in `validation/storage_version_migration.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.strategy import status_is_the_servers, status_subresource
from apiserver.registry.kind import Column, Kind
from apiserver.validation import storage_version_migration as validation
from kube.feature_gates import STORAGE_VERSION_MIGRATOR
from kube.objects import Object
from kube.resources import Resource

STATES = ("Running", "Failed", "Succeeded")


def _row(migration: Object, _now: datetime) -> list[Any]:
    resource = (migration.get("spec") or {}).get("resource") or {}
    name, group = resource.get("resource") or "", resource.get("group") or ""
    conditions = (migration.get("status") or {}).get("conditions") or ()
    states = [each["type"] for each in conditions if each.get("status") == "True" and each.get("type") in STATES]
    return [migration["metadata"].get("name", ""), f"{name}.{group}" if group else name, states[-1] if states else "Unknown"]


STORAGE_VERSION_MIGRATION = Kind(
    resource=Resource("storagemigration.k8s.io", "v1beta1", "storageversionmigrations", "StorageVersionMigration", namespaced=False),
    definition="io.k8s.api.storagemigration.v1beta1.StorageVersionMigration",
    singular="storageversionmigration",
    gate=STORAGE_VERSION_MIGRATOR,
    subresources=(status_subresource(validation.validate_status, keeps_metadata=True),),
    columns=(
        Column("Name", description="The migration's name."),
        Column("Resource", description="GroupResource to migrate"),
        Column("Status", description="Status of the migration"),
    ),
    row=_row,
    prepare=status_is_the_servers({}),
    validate=validation.validate,
    metadata_passes=("create", "update"),
    unconditional_update=False,
)

KINDS = [STORAGE_VERSION_MIGRATION]
