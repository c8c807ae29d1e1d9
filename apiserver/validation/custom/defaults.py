"""Defaults must obey the schema that they are in: nothing unknown, nothing invalid.

Source: apiextensions-apiserver `schema/defaulting/validation.go`. Not here: defaults against rules (there is no CEL yet).
"""

from __future__ import annotations

import copy
from typing import Final

from apiserver.validation.custom.embedded import embedded_problems
from apiserver.validation.custom.problems import json_equal, problems
from apiserver.validation.custom.pruning import Pruner
from apiserver.validation.custom.schema import Node, additional, items, properties
from kube.errors import FieldError, invalid
from kube.schema import definitions

_OBJECT_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def default_problems(node: Node, path: str) -> list[FieldError]:
    """What is wrong with the defaults of a structural schema, and of all schemas in it."""
    found = _own(node, f"{path}.default") if node.get("default") is not None else []
    rest, inner = additional(node), items(node)
    if rest is not None:
        found += default_problems(rest, f"{path}.additionalProperties")
    if inner is not None:
        found += default_problems(inner, f"{path}.items")
    for name, each in properties(node).items():
        found += default_problems(each, f"{path}.properties[{name}]")
    return found


def _own(node: Node, path: str) -> list[FieldError]:
    given = node["default"]
    pruned = Pruner(definitions.load().type(_OBJECT_META)).value(node, copy.deepcopy(given))
    if not json_equal(pruned, given):
        return [invalid(path, given, "must not have unknown fields")]
    return embedded_problems(node, given, path, root=False) or problems(node, given, path)
