"""PLACEHOLDER"""

from __future__ import annotations

from typing import Any


def validate_claim(*args: Any) -> list[Any]:
    return []


def validate_claim_status(*args: Any) -> list[Any]:
    return []


def validate_device_class(*args: Any) -> list[Any]:
    return []


def validate_template(*args: Any) -> list[Any]:
    return []
