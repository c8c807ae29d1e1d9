"""JSON Merge Patch (RFC 7396), with the answers of the library behind kube-apiserver (evanphx/json-patch v4).

Both arguments stay as they are; the result shares what did not change with the document, and what is new with the patch.
"""

from __future__ import annotations

from typing import Any

from kube.errors import BadRequest
from kube.patch.json_patch import json_kind


def check_merge_patch(patch: Any) -> None:
    """What field validation asks of a parsed patch. Raises BadRequest when it is no object, in the words of upstream's decoder."""
    if patch is None:
        raise BadRequest("Invalid JSON Patch")
    if not isinstance(patch, dict):
        raise BadRequest(f"error decoding patch: json: cannot unmarshal {json_kind(patch)} into Go value of type map[string]interface {{}}")


def merge_patch(document: dict[str, Any], patch: Any) -> Any:
    """The document with the patch merged in: null deletes, objects merge, everything else replaces. An array replaces the document.
    Raises BadRequest (400) for a patch that is neither."""
    if isinstance(patch, list):
        return _without_nulls(patch)
    if not isinstance(patch, dict):
        raise BadRequest("Invalid JSON Patch")
    return _merged(document, patch)


def _merged(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    out = dict(document)
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
            continue
        old = out.get(name)
        if isinstance(old, dict):
            out[name] = _merged(old, value) if isinstance(value, dict) else value
        else:
            out[name] = _without_nulls(value)
    return out


def _without_nulls(value: Any) -> Any:
    """A value that takes the place of something else, as upstream takes it: objects lose their null members, in lists too (the RFC
    leaves lists alone; upstream does so only where a list replaces an object)."""
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value
