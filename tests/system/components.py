"""The processes of `wherry up`, without it: a test kills them as it likes. Nothing here is a test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.system.client import Api
from tests.system.running import READY_S, ROOT, Processes, wait_until
from wherry.plan import Options, Process


@contextmanager
def running_components(options: Options, planned: Sequence[Process]) -> Iterator[Processes]:
    """Start them, and wait until the API server is ready and knows all nodes; end them with the block."""
    running = Processes(planned)
    try:
        running.start_all()
        wait_until((options.data_dir / "kubeconfig").exists, "the admin's kubeconfig is written")
        api = Api.of(options.data_dir / "kubeconfig")
        wait_until(api.is_ready, "the API server is ready")
        access = [sys.executable, "-m", "wherry.access", f"--kubeconfig={options.data_dir / 'kubeconfig'}"]
        subprocess.run(access, cwd=ROOT, timeout=READY_S, check=True)
        wait_until(lambda: len(api.get("/api/v1/nodes")["items"]) == options.nodes, f"{options.nodes} nodes are registered")
        yield running
    finally:
        running.stop()
