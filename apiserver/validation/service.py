"""PLACEHOLDER"""
from __future__ import annotations
from typing import Any
def validate(*args: Any) -> list[Any]:
    return []
def validate_cluster_ips(*args: Any) -> list[Any]:
    return []
def validate_status(*args: Any) -> list[Any]:
    return []
