"""OpenAPI v3: one document per group version, with its paths and the schemas they lead to. Pure; `openapi.py` keeps and serves them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from apiserver.handlers.openapi_paths import PARAMETERS, Operation
from apiserver.handlers.openapi_schemas import V3, Schema, references

_ANSWERS = ("application/json", "application/yaml")


def document(operations: Iterable[Operation], schema_of: Callable[[str], Schema | None], *, title: str, version: str) -> Any:
    """The document of the given operations. `schema_of` gives a definition by name, None for one that there is not."""
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        item = paths.setdefault(each.path, {"parameters": [_in_path(name) for name in each.path_parameters] + [_in_query("pretty")]})
        item[each.method] = _operation(each, schema_of)
    return {
        "openapi": "3.0.0",
        "info": {"title": title, "version": version},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": _schemas(paths, schema_of),
            "securitySchemes": {"BearerToken": {"type": "apiKey", "in": "header", "name": "authorization"}},
        },
    }


def _schemas(paths: Any, schema_of: Callable[[str], Schema | None]) -> dict[str, Schema]:
    """Everything that the paths refer to, directly or not."""
    found: dict[str, Schema] = {}
    waiting = set(references(paths, V3))
    while waiting:
        name = waiting.pop()
        schema = schema_of(name)
        if schema is not None:
            found[name] = schema
            waiting.update(each for each in references(schema, V3) if each not in found)
    return dict(sorted(found.items()))


def _operation(operation: Operation, schema_of: Callable[[str], Schema | None]) -> dict[str, Any]:
    group, version, kind = operation.gvk
    out: dict[str, Any] = {
        "tags": [f"{(operation.resource.group or 'core').split('.')[0]}_{operation.resource.version}"],
        "description": operation.description,
        "operationId": operation.operation_id,
        "parameters": [_in_query(name) for name in operation.query],
        "responses": _responses(operation, schema_of),
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": group, "kind": kind, "version": version},
    }
    if operation.body and schema_of(operation.body) is not None:
        out["requestBody"] = {"content": {each: {"schema": {"$ref": V3 + operation.body}} for each in operation.body_types}}
    return out


def _responses(operation: Operation, schema_of: Callable[[str], Schema | None]) -> dict[str, Any]:
    ok: dict[str, Any] = {"description": "OK"}
    if operation.answer and schema_of(operation.answer) is not None:
        ok["content"] = {each: {"schema": {"$ref": V3 + operation.answer}} for each in _ANSWERS}
    responses = {"200": ok, "401": {"description": "Unauthorized"}}
    if operation.created:
        responses["201"] = {**ok, "description": "Created"}
    return responses


def _in_query(name: str) -> dict[str, Any]:
    kind, description = PARAMETERS[name]
    return {"name": name, "in": "query", "description": description, "schema": {"type": kind, "uniqueItems": True}}


def _in_path(name: str) -> dict[str, Any]:
    schema = {"type": "string", "uniqueItems": True}
    return {"name": name, "in": "path", "description": f"{name} of the object", "required": True, "schema": schema}
