"""PodSecurity, the part about Namespaces: the labels that say how strict a namespace is are what they may be.

A namespace whose labels were bad already may be changed in other ways. Source: `k8s.io/pod-security-admission` (api/helpers.go,
admission/admission.go).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from apiserver.registry.admission import Attributes
from kube.errors import FieldError, invalid, invalid_object
from kube.objects import labels_of

PREFIX: Final = "pod-security.kubernetes.io/"
MODES: Final = ("enforce", "audit", "warn")
LEVELS: Final = ("privileged", "baseline", "restricted")
_version_re: Final = re.compile(r"latest|v1\.(0|[1-9][0-9]*)", re.ASCII)


def label_errors(labels: Mapping[str, str]) -> list[FieldError]:
    """What is wrong with a namespace's policy labels, mode by mode."""
    errors: list[FieldError] = []
    for mode in MODES:
        level, version = labels.get(f"{PREFIX}{mode}"), labels.get(f"{PREFIX}{mode}-version")
        if level is not None and level not in LEVELS:
            errors.append(invalid(f"metadata.labels[{PREFIX}{mode}]", level, f"must be one of {', '.join(LEVELS)}"))
        if version is not None and not _version_re.fullmatch(version):
            errors.append(invalid(f"metadata.labels[{PREFIX}{mode}-version]", version, 'must be "latest" or "v1.x"'))
    return errors


class PodSecurityLabels:
    """See the module."""

    resources = frozenset({("", "namespaces")})

    async def validate(self, attributes: Attributes) -> None:
        if attributes.operation not in ("CREATE", "UPDATE") or attributes.subresource or attributes.obj is None:
            return
        errors = label_errors(labels_of(attributes.obj))
        if errors and (attributes.old is None or errors != label_errors(labels_of(attributes.old))):
            raise invalid_object("Namespace", "", attributes.name, errors)
