"""PLACEHOLDER"""
from __future__ import annotations
from typing import Any
def validate_csi_driver(*args: Any) -> list[Any]:
    return []
def validate_csi_node(*args: Any) -> list[Any]:
    return []
def validate_csi_storage_capacity(*args: Any) -> list[Any]:
    return []
def validate_storage_class(*args: Any) -> list[Any]:
    return []
def validate_volume_attachment(*args: Any) -> list[Any]:
    return []
def validate_volume_attributes_class(*args: Any) -> list[Any]:
    return []
