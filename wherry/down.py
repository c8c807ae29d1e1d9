"""`wherry down`: stop the cluster of a data directory."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from wherry import state

STOP_S = 25.0


def down(data_dir: Path) -> int:
    """Stop it and wait until it is gone; the exit code."""
    run = state.load(data_dir)
    if run is None:
        print(f"wherry: no cluster is running in {data_dir}", file=sys.stderr)
        return 1
    os.kill(run.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline:
        if state.process_start(run.pid) != run.started:
            print("stopped")
            return 0
        time.sleep(0.05)
    print(f"wherry: process {run.pid} has not ended after {STOP_S:.0f} s", file=sys.stderr)
    return 1
