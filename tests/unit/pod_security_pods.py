"""Pods for the tests of PodSecurity, and what is said of them. No test itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apiserver.admission.pod_security.labels import LevelVersion
from apiserver.admission.pod_security.subject import Subject
from apiserver.admission.pod_security.table import NEWEST, told, violations
from kube.objects import Object

TIGHT: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""The security context of a container that any level lets pass."""


def container(name: str = "a", context: Object | None = None, **fields: Any) -> Object:
    return {"name": name, "image": "app:1", **({} if context is None else {"securityContext": context}), **fields}


def tight(name: str = "a", **context: Any) -> Object:
    """A container that is restricted, but for what is said otherwise; None leaves a field out."""
    return container(name, {key: value for key, value in {**TIGHT, **context}.items() if value is not None})


def pod(*containers: Object, annotations: Mapping[str, str] | None = None, **spec: Any) -> Object:
    return {"metadata": {"name": "p", "annotations": dict(annotations or {})}, "spec": {"containers": list(containers), **spec}}


def said(level: str, of: Object, minor: int | None = None, *, newest: int = NEWEST) -> str:
    """What a level has to say of a pod, in version 1.`minor` or the latest; empty: nothing."""
    return told(violations(LevelVersion(level, minor), Subject(of), newest=newest))
