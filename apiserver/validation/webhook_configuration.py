"""PLACEHOLDER"""
from __future__ import annotations
from typing import Any
def validate_mutating(*args: Any) -> list[Any]:
    return []
def validate_validating(*args: Any) -> list[Any]:
    return []
