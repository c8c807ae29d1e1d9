"""The OpenAPI v2 document in protobuf (gnostic's `openapiv2/OpenAPIv2.proto`): the only form that kubectl asks `/openapi/v2` for.

Only what our document uses is written: no headers, form data, examples or discriminators. Field numbers are gnostic's. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from apiserver.handlers.openapi_schemas import Kept

_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}
_SCHEMA_TEXTS = {"$ref": 1, "format": 2, "title": 3, "description": 4, "pattern": 13}
_SCHEMA_INTS = {"maxLength": 11, "minLength": 12, "maxItems": 14, "minItems": 15, "maxProperties": 17, "minProperties": 18}


def encode(document: Mapping[str, Any]) -> bytes:
    """The Document message of a v2 document."""
    info = document["info"]
    parts = [
        _text(1, document["swagger"]),
        _message(2, _text(1, info["title"]) + _text(2, info["version"])),
        _message(8, _named(2, document["paths"], _once(_path_item))),
        _message(9, _named(1, document["definitions"], _once(_schema))),
        _message(12, _named(1, document["securityDefinitions"], _api_key)),
        *(_message(13, _named(1, each, lambda scopes: b"".join(_text(1, scope) for scope in scopes))) for each in document["security"]),
    ]
    return b"".join(parts)


# --- the wire


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _text(number: int, value: str) -> bytes:
    return _message(number, value.encode()) if value else b""


def _int(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bool(number: int, value: Any) -> bytes:
    return _int(number, 1) if value else b""


def _texts(number: int, values: Iterable[str]) -> bytes:
    return b"".join(_message(number, each.encode()) for each in values)


def _named(number: int, values: Mapping[str, Any], write: Any) -> bytes:
    """Entries {name = 1, value = 2}, which gnostic has instead of maps."""
    return b"".join(_message(number, _text(1, name) + _message(2, write(each))) for name, each in values.items())


def _any(value: Any) -> bytes:
    """An Any that carries its value as YAML; JSON is YAML."""
    return _message(2, orjson.dumps(value))


def _extensions(number: int, values: Mapping[str, Any]) -> bytes:
    return _named(number, {name: each for name, each in values.items() if name.startswith("x-")}, _any)


def _once(write: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """The bytes of what is kept are made once."""

    def kept(value: Any) -> bytes:
        if not isinstance(value, Kept):
            return write(value)
        if value.wire is None:
            value.wire = write(value)
        return value.wire

    return kept


# --- the document's parts


def _api_key(value: Mapping[str, Any]) -> bytes:
    """SecurityDefinitionsItem: api_key_security is its second alternative."""
    return _message(2, _text(1, value["type"]) + _text(2, value["name"]) + _text(3, value["in"]))


def _path_item(item: Mapping[str, Any]) -> bytes:
    operations = [_message(_METHODS[each], _operation(item[each])) for each in _METHODS if each in item]
    return b"".join(operations) + b"".join(_message(9, _parameter(each)) for each in item.get("parameters", ()))


def _operation(operation: Mapping[str, Any]) -> bytes:
    return b"".join(
        (
            _texts(1, operation["tags"]),
            _text(3, operation["description"]),
            _text(5, operation["operationId"]),
            _texts(6, operation["produces"]),
            _texts(7, operation["consumes"]),
            *(_message(8, _parameter(each)) for each in operation["parameters"]),
            _message(9, _named(1, operation["responses"], lambda each: _message(1, _response(each)))),
            _texts(10, operation["schemes"]),
            _extensions(13, operation),
        )
    )


def _parameter(parameter: Mapping[str, Any]) -> bytes:
    """ParametersItem > Parameter > body or non-body > query or path."""
    name, description = parameter["name"], parameter.get("description", "")
    if parameter["in"] == "body":
        body = _text(2, name) + _text(3, "body") + _bool(4, parameter.get("required")) + _message(5, _schema(parameter["schema"]))
        return _message(1, _message(1, body))
    fields = _bool(1, parameter.get("required")) + _text(2, parameter["in"]) + _text(3, description) + _text(4, name)
    if parameter["in"] == "query":
        return _message(1, _message(2, _message(3, fields + _text(6, parameter["type"]))))
    return _message(1, _message(2, _message(4, fields + _text(5, parameter["type"]))))


def _response(response: Mapping[str, Any]) -> bytes:
    """Response { description = 1, schema = 2 (SchemaItem { schema = 1 }) }."""
    schema = response.get("schema")
    return _text(1, response["description"]) + (_message(2, _message(1, _schema(schema))) if schema is not None else b"")


def _schema(schema: Mapping[str, Any]) -> bytes:
    parts = [_text(number, schema[key]) for key, number in _SCHEMA_TEXTS.items() if key in schema]
    parts += [_int(number, int(schema[key])) for key, number in _SCHEMA_INTS.items() if key in schema]
    parts.append(_texts(19, schema.get("required", ())))
    parts += [_message(20, _any(each)) for each in schema.get("enum", ())]
    if "default" in schema:
        parts.append(_message(5, _any(schema["default"])))
    extra = schema.get("additionalProperties")
    if isinstance(extra, Mapping):
        parts.append(_message(21, _message(1, _schema(extra))))
    elif extra is not None:
        parts.append(_message(21, _int(2, int(bool(extra)))))
    if "type" in schema:
        parts.append(_message(22, _texts(1, [schema["type"]] if isinstance(schema["type"], str) else schema["type"])))
    if isinstance(schema.get("items"), Mapping):
        parts.append(_message(23, _message(1, _schema(schema["items"]))))
    if "properties" in schema:
        parts.append(_message(25, _named(1, schema["properties"], _schema)))
    parts.append(_extensions(31, schema))
    return b"".join(parts)
