"""PLACEHOLDER"""
from __future__ import annotations
from typing import Any
def validate_flow_schema(*args: Any) -> list[Any]:
    return []
def validate_flow_schema_status(*args: Any) -> list[Any]:
    return []
def validate_priority_level(*args: Any) -> list[Any]:
    return []
def validate_priority_level_status(*args: Any) -> list[Any]:
    return []
