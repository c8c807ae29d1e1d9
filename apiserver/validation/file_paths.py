"""Paths inside volumes and mounts: relative, without `..`. Source: kubernetes `pkg/apis/core/validation/validation.go`."""

from __future__ import annotations

from kube.errors import FieldError, invalid

FILE_MODE_MAX = 0o777
_MODE_RULE = "must be a number between 0 and 0777 (octal), both inclusive"


def no_backsteps(value: str, path: str) -> list[FieldError]:
    """No element of the path is `..`."""
    return [invalid(path, value, "must not contain '..'")] if ".." in value and ".." in value.split("/") else []


def local_descending(value: str, path: str) -> list[FieldError]:
    """Relative, and without `..`."""
    errors = [invalid(path, value, "must be a relative path")] if value.startswith("/") else []
    return errors + no_backsteps(value, path)


def local_non_reserved(value: str, path: str) -> list[FieldError]:
    """Also not beginning with `..`, which volumes of files keep for themselves."""
    errors = local_descending(value, path)
    if value.startswith("..") and not value.startswith("../"):
        errors.append(invalid(path, value, "must not start with '..'"))
    return errors


def file_mode(mode: int | None, path: str) -> list[FieldError]:
    return [invalid(path, mode, _MODE_RULE)] if mode is not None and not 0 <= mode <= FILE_MODE_MAX else []
