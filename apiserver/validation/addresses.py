"""PLACEHOLDER"""
from __future__ import annotations
from typing import Any
def validate_ip_address(*args: Any) -> list[Any]:
    return []
def validate_service_cidr(*args: Any) -> list[Any]:
    return []
def validate_service_cidr_status(*args: Any) -> list[Any]:
    return []
