"""/version: which Kubernetes version this server plays."""

from __future__ import annotations

from typing import Final

from kube.schema.definitions import Definitions

_VERSION_INFO: Final = "io.k8s.apimachinery.pkg.version.Info"
_PATCHES: Final = {"1.36": 2}


def version_document(played: Definitions) -> dict[str, str]:
    """The document, with the fields that version.Info has in that version."""
    major, minor = played.version.split(".")
    document = {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": git_version(played.version),
        "gitCommit": "wherry",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "go1.25.0",
        "compiler": "gc",
        "platform": "linux/amd64",
    }
    known = played.raw[_VERSION_INFO]["properties"]
    return {name: value for name, value in document.items() if name in known}


def git_version(played: str) -> str:
    """`v1.36.2`: the whole number of a minor version."""
    return f"v{played}.{_PATCHES.get(played, 0)}"
