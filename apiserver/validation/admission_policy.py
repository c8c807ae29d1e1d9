"""PLACEHOLDER"""
from __future__ import annotations
from typing import Any
def validate_mutating_binding(*args: Any) -> list[Any]:
    return []
def validate_mutating_policy(*args: Any) -> list[Any]:
    return []
def validate_policy_status(*args: Any) -> list[Any]:
    return []
def validate_validating_binding(*args: Any) -> list[Any]:
    return []
def validate_validating_policy(*args: Any) -> list[Any]:
    return []
