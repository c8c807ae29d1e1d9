"""The OpenAPI v3 schemas of custom resources: whether a definition may have one.

Read `custom/structure.py` and `custom/standard.py` for what a schema may say. Source: apiextensions-apiserver
`pkg/apis/apiextensions/validation/validation.go` (validateCustomResourceDefinitionValidation).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from apiserver.validation.custom.defaults import default_problems
from apiserver.validation.custom.rule_costs import SchemaRules, Total
from apiserver.validation.custom.rules import evaluate, rule_set
from apiserver.validation.custom.schema import Node
from apiserver.validation.custom.standard import DEPTH_MAX as DEPTH_MAX
from apiserver.validation.custom.standard import schema_problems
from apiserver.validation.custom.structure import structural_problems, unsupported_words
from kube.errors import FieldError, invalid, not_allowed
from kube.objects import Object

_BEFORE_TYPE: Final = ("id", "$schema", "$ref")
_AFTER_TYPE: Final = (
    "nullable",
    "default",
    "enum",
    "maxProperties",
    "minProperties",
    "allOf",
    "oneOf",
    "anyOf",
    "not",
    "additionalProperties",
    "patternProperties",
    "dependencies",
    "additionalItems",
    "definitions",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
)
"""What a root may not say whose status is validated alone, in the order of upstream's struct."""

_ALLOWED: Final = (
    "Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems "
    "UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations"
)


def validate_schema(schema: Object, path: str, *, has_status: bool = False) -> list[FieldError]:
    """Everything wrong with the schema of a custom resource; `has_status`: there is a status subresource."""
    if _is_deep(schema):
        return [not_allowed(path, f"schemas may not be nested deeper than {DEPTH_MAX}")]
    errors = _root_with_status(schema, path) if has_status else []
    if schema.get("nullable"):
        errors.append(not_allowed(f"{path}.nullable", "nullable cannot be true at the root"))
    unsupported = unsupported_words(schema)
    unsound = [] if unsupported else structural_problems(schema, path) or default_problems(schema, path, _broken_by_default)
    total = Total()
    rules = SchemaRules(schema, total) if not unsupported and not unsound else None
    errors += [*unsound, *schema_problems(schema, path, rules)]
    if not errors and unsupported:
        errors.append(invalid(path, "", unsupported))
    return errors + total.problems(path)


def _broken_by_default(node: Node, value: Any, path: str, is_root: bool) -> list[FieldError]:
    """The rules that a default breaks: as a value that is there already, and as one that comes new."""
    rules = rule_set(node, is_root=is_root)
    if rules is None:
        return []
    return evaluate(rules, value, value, path=path).errors or evaluate(rules, value, path=path).errors


def _root_with_status(schema: Object, path: str) -> list[FieldError]:
    """The status is validated by the schema of the property `status`, so nothing around it may say anything of it."""
    why = f"only [{_ALLOWED}] fields are allowed at the root of the schema if the status subresource is enabled"
    if any(_says(schema, name) for name in _BEFORE_TYPE):
        return [invalid(path, schema, why)]
    if schema.get("type") and schema["type"] != "object":
        kind_only = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        return [invalid(f"{path}.type", schema["type"], kind_only)]
    return [invalid(path, schema, why)] if any(_says(schema, name) for name in _AFTER_TYPE) else []


def _says(schema: Object, name: str) -> bool:
    return schema.get(name) not in (None, "", False) or (name == "additionalProperties" and schema.get(name) is False)


def _is_deep(schema: Any) -> bool:
    """Whether anything in a schema is nested too deep for what looks at it; a schema in `properties` is two levels down."""
    level = [schema]
    for _ in range(2 * DEPTH_MAX):
        level = [each for here in level for each in _below(here)]
        if not level:
            return False
    return True


def _below(value: Any) -> list[Any]:
    found = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [each for each in found if isinstance(each, Mapping | list)]
