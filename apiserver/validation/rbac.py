"""PLACEHOLDER"""
from __future__ import annotations
from typing import Any
def validate_cluster_role(*args: Any) -> list[Any]:
    return []
def validate_cluster_role_binding(*args: Any) -> list[Any]:
    return []
def validate_role(*args: Any) -> list[Any]:
    return []
def validate_role_binding(*args: Any) -> list[Any]:
    return []
