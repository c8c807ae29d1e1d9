"""OpenAPI v2 (swagger): one document for everything.

Pure; `openapi.py` keeps and serves it, `openapi_protobuf.py` writes its binary form.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from apiserver.handlers.openapi_paths import PARAMETERS, Operation
from apiserver.handlers.openapi_schemas import V2, Kept, Schema

_ANSWERS = ["application/json", "application/yaml"]


def path_items(operations: Iterable[Operation], definitions: Container[str]) -> dict[str, Kept]:
    """The paths of some operations; `definitions` are those that there are."""
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        item = paths.setdefault(each.path, {"parameters": [_in_path(name) for name in each.path_parameters] + [_in_query("pretty")]})
        item[each.method] = _operation(each, definitions)
    return {path: Kept(item) for path, item in paths.items()}


def document(paths: Mapping[str, Schema], definitions: Mapping[str, Schema], *, title: str, version: str) -> Any:
    """The whole document; `definitions` are in v2's dialect."""
    return {
        "swagger": "2.0",
        "info": {"title": title, "version": version},
        "paths": dict(sorted(paths.items())),
        "definitions": dict(sorted(definitions.items())),
        "securityDefinitions": {"BearerToken": {"type": "apiKey", "in": "header", "name": "authorization"}},
        "security": [{"BearerToken": []}],
    }


def _operation(operation: Operation, definitions: Container[str]) -> dict[str, Any]:
    group, version, kind = operation.gvk
    parameters = [_in_query(name) for name in operation.query]
    if operation.body in definitions:
        parameters.insert(0, {"name": "body", "in": "body", "required": True, "schema": {"$ref": V2 + operation.body}})
    ok: dict[str, Any] = {"description": "OK"}
    if operation.answer in definitions:
        ok["schema"] = {"$ref": V2 + operation.answer}
    responses = {"200": ok, "401": {"description": "Unauthorized"}}
    if operation.created:
        responses["201"] = {**ok, "description": "Created"}
    return {
        "consumes": list(operation.body_types),
        "description": operation.description,
        "operationId": operation.operation_id,
        "parameters": parameters,
        "produces": _ANSWERS,
        "responses": responses,
        "schemes": ["https"],
        "tags": [f"{(operation.resource.group or 'core').split('.')[0]}_{operation.resource.version}"],
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": group, "kind": kind, "version": version},
    }


def _in_query(name: str) -> dict[str, Any]:
    kind, description = PARAMETERS[name]
    return {"name": name, "in": "query", "description": description, "type": kind, "uniqueItems": True}


def _in_path(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "description": f"{name} of the object",
        "required": True,
        "type": "string",
        "uniqueItems": True,
    }
