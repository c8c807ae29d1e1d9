"""DefaultTolerationSeconds: pods bear five minutes of a node that is not ready or unreachable.

Source: `plugin/pkg/admission/defaulttolerationseconds/admission.go`.
"""

from __future__ import annotations

from typing import Any, Final

from apiserver.registry.admission import Attributes

SECONDS: Final = 300
KEYS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def _bears(toleration: dict[str, Any], key: str) -> bool:
    return (toleration.get("key") in (key, None, "")) and toleration.get("effect") in ("NoExecute", None, "")


class DefaultTolerationSeconds:
    """See the module."""

    resources = frozenset({("", "pods")})
    subresources = frozenset({""})

    async def mutate(self, attributes: Attributes) -> None:
        if attributes.subresource or attributes.obj is None:
            return
        spec = attributes.obj.get("spec")
        if not isinstance(spec, dict):
            return
        present = spec.get("tolerations") or []
        missing = [key for key in KEYS if not any(_bears(each, key) for each in present)]
        if missing:
            added = [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS} for key in missing]
            spec["tolerations"] = [*present, *added]
