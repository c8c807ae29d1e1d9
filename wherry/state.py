"""What is known of a running cluster from its data directory: `run.json`, written by `wherry up`, read by the other commands."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """A running `wherry up`: its own process id, those of its children, and what it was asked for."""

    pid: int
    started: str
    """Identifies the process, so that another one with the same id is not taken for it."""
    nodes: int
    url: str
    children: dict[str, int]


def process_start(pid: int) -> str:
    """When a process started, as the kernel counts; "" when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "?" if _exists(pid) and not Path("/proc/self").exists() else ""
    return text.rpartition(")")[2].split()[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def save(data_dir: Path, run: Run) -> None:
    path = data_dir / "run.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(run)))
    os.replace(temporary, path)


def load(data_dir: Path) -> Run | None:
    """The run that is alive, or None."""
    try:
        run = Run(**json.loads((data_dir / "run.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return run if run.started and process_start(run.pid) == run.started else None


def update(data_dir: Path, children: dict[str, int]) -> None:
    """Write down the children's new process ids, if this process's run is written down."""
    run = load(data_dir)
    if run is not None and run.pid == os.getpid():
        save(data_dir, replace(run, children=children))


def clear(data_dir: Path) -> None:
    """Forget this process's run (another's stays)."""
    run = load(data_dir)
    if run is None or run.pid == os.getpid():
        (data_dir / "run.json").unlink(missing_ok=True)
