"""An API server that runs alone over an empty store, as a process of its own. Nothing here is a test."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.system.running import ROOT, end, free_port, wait_until

TOKEN: Final = "admintoken"
_TOKENS: Final = f'{TOKEN},admin,u1,"system:masters"\n'
_READY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Alone:
    """Where it is, and what it has written to its log so far."""

    url: str
    log: Path

    def failures(self) -> int:
        """How many requests have failed inside."""
        return self.log.read_text().count("Traceback")


@contextmanager
def server_alone(store: str) -> Iterator[Alone]:
    """`store`: memory or sqlite. `TOKEN` is an admin's. Raises SystemExit with its log when it ends before it serves."""
    with tempfile.TemporaryDirectory(prefix="alone-") as place:
        tokens, log, port = Path(place, "tokens.csv"), Path(place, "log"), free_port()
        tokens.write_text(_TOKENS)
        command = [sys.executable, "-m", "apiserver", f"--data-dir={place}/data", f"--secure-port={port}", f"--storage={store}"]
        command += [f"--token-auth-file={tokens}", "--service-cluster-ip-range=10.0.0.0/24"]
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            wait_until(lambda: b"serving on" in log.read_bytes() or process.poll() is not None, "a server that serves", within_s=_READY_S)
            if process.poll() is not None:
                raise SystemExit(f"the API server ended with {process.returncode}:\n{log.read_text()}")
            yield Alone(f"https://127.0.0.1:{port}", log)
        finally:
            end(process)
