"""The built-in kinds, one module (or package) per API group: data first, pure hooks after.

Read `apiserver/registry/kind.py` first. Every module here exports `KINDS`; `all_kinds` joins them in the order of discovery.
"""

from __future__ import annotations

import importlib

from apiserver.registry.kind import Kind

CORE = (
    "component_status",
    "config",
    "endpoints",
    "event",
    "namespace",
    "node",
    "pod",
    "pod_template",
    "quota",
    "replication_controller",
    "service",
    "service_account",
    "volume",
)

GROUPS = (
    "apiregistration",
    "apps",
    "authentication",
    "authorization",
    "autoscaling",
    "batch",
    "certificates",
    "networking",
    "policy",
    "rbac",
    "storage",
    "admissionregistration",
    "apiextensions",
    "scheduling",
    "coordination",
    "node_group",
    "discovery",
    "resource_claims",
    "flowcontrol",
    "storagemigration",
)
"""In the order in which upstream lists its groups."""


def all_kinds() -> list[Kind]:
    """Every built-in kind: the core group first, then the groups in the order of discovery; sorted by resource within a group."""
    core = [kind for name in CORE for kind in _kinds(f"core.{name}")]
    return [*_sorted(core), *(kind for name in GROUPS for kind in _sorted(_kinds(name)))]


def _sorted(kinds: list[Kind]) -> list[Kind]:
    return sorted(kinds, key=lambda kind: kind.resource.plural)


def _kinds(module: str) -> list[Kind]:
    kinds: list[Kind] = importlib.import_module(f"{__name__}.{module}").KINDS
    return kinds
