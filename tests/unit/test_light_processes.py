"""What a component loads to run: libraries that are needed seldom, or by other components only, are not among it.

Each is megabytes in each of many processes. Where something here is loaded after all, look for the import that brought it."""

from __future__ import annotations

import subprocess
import sys

import pytest

SELDOM = ("cryptography", "dns", "email", "fastapi", "html", "http.client", "httpx", "jwt", "pydantic", "re2", "rich", "uvicorn", "wsgiref")
PROCESSES = {
    "the controller manager": "controllers.__main__ controllers.manager.manager controllers.manager.accounts",
    "the scheduler": "controllers.__main__ controllers.scheduler.scheduler controllers.scheduler.startup",
    "the cloud's controllers": "controllers.__main__ controllers.cloud.registry controllers.running",
    "the kubelet": "kubelet.__main__",
}


@pytest.mark.parametrize("modules", PROCESSES.values(), ids=PROCESSES.keys())
def test_a_process_does_not_load_what_it_seldom_needs(modules: str) -> None:
    code = f"import sys, {modules.replace(' ', ', ')}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert "kube.runtime.component" in loaded
    assert sorted(set(SELDOM) & set(loaded)) == []
