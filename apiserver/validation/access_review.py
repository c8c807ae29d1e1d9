"""PLACEHOLDER"""
from __future__ import annotations
from typing import Any
def validate_local_subject_review(*args: Any) -> list[Any]:
    return []
def validate_self_subject_review(*args: Any) -> list[Any]:
    return []
def validate_subject_review(*args: Any) -> list[Any]:
    return []
