"""Starting and stopping the project's processes, by process id. Nothing here is a test.

`Up` is a `wherry up` as a terminal would run it; `Processes` are components started one by one, with no one to start them again.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from wherry.plan import Process
from wherry.state import process_start

ROOT = Path(__file__).resolve().parents[2]
READY_S = 90.0
STOP_S = 30.0


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_until(true: Callable[[], bool], what: str, *, within_s: float = READY_S) -> None:
    """Ask ten times a second. Raises AssertionError, naming `what`, when it takes too long."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.1)


def wherry(*arguments: str, limit_s: float = READY_S, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the `wherry` command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "wherry", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for one that does not end."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


class Up:
    """A running `wherry up`. What it prints goes to a file beside the data directory."""

    def __init__(self, data_dir: Path, *flags: str) -> None:
        self.data_dir = data_dir
        self.kubeconfig = data_dir / "kubeconfig"
        self._log = data_dir.with_name(f"{data_dir.name}.out")
        self._begin = self._log.stat().st_size if self._log.exists() else 0
        self._children: dict[str, tuple[int, str]] = {}
        with self._log.open("ab") as out:
            command = [sys.executable, "-m", "wherry", "up", f"--data-dir={data_dir}", *flags]
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self._log.read_bytes()[self._begin :].decode()

    def wait_ready(self) -> None:
        """Until it says that the nodes are Ready. Raises AssertionError with what it said when it ends or takes too long."""
        deadline = time.monotonic() + READY_S
        while "KUBECONFIG=" not in self.printed:
            assert self.process.poll() is None, f"`wherry up` ended with {self.process.returncode}:\n{self.printed}"
            assert time.monotonic() < deadline, f"`wherry up` is not ready after {READY_S:.0f} s:\n{self.printed}"
            time.sleep(0.05)
        self._children = {name: (pid, process_start(pid)) for name, pid in self.recorded().items()}

    def recorded(self) -> dict[str, int]:
        """The process ids of the components, by name, as it wrote them down."""
        children: dict[str, int] = json.loads((self.data_dir / "run.json").read_text())["children"]
        return children

    def alive(self) -> list[str]:
        """Which of the components that ran when it was ready still run."""
        return [name for name, (pid, started) in self._children.items() if started and process_start(pid) == started]

    def interrupt(self) -> int:
        """Ctrl-C: SIGINT to its process group, as a terminal does. Its exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(STOP_S)

    def stop(self) -> None:
        """End it, and by force whatever of it is left."""
        end(self.process)
        for pid, started in self._children.values():
            if started and process_start(pid) == started:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@contextmanager
def running_up(data_dir: Path, *flags: str) -> Iterator[Up]:
    """A `wherry up` that is ready; stopped at the end."""
    up = Up(data_dir, *flags)
    try:
        up.wait_ready()
        yield up
    finally:
        up.stop()


class Processes:
    """Components started with their own commands. Each can be killed and started again; `stop` ends what runs."""

    def __init__(self, planned: Sequence[Process], *, environment: Mapping[str, str] | None = None) -> None:
        self._planned = {each.name: each for each in planned}
        self._environment = {**os.environ, **(environment or {})}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start one (again), once the kubeconfig that it reads exists."""
        process = self._planned[name]
        if process.kubeconfig is not None:
            wait_until(lambda: self._is_written(process.kubeconfig), f"{process.kubeconfig} is written")
        process.log.parent.mkdir(parents=True, exist_ok=True)
        with process.log.open("ab") as log:
            self._running[name] = subprocess.Popen(
                process.command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _is_written(self, file: Path | None) -> bool:
        """Raises AssertionError when the process that would write it has ended."""
        ended = self.ended()
        assert not ended, f"{ended}: {[self.log(name)[-2000:] for name in ended]}"
        return file is not None and file.exists()

    def start_all(self) -> None:
        for name in self._planned:
            self.start(name)

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def ended(self) -> dict[str, int]:
        """The exit codes of those that ended by themselves."""
        return {name: process.returncode for name, process in self._running.items() if process.poll() is not None}

    def log(self, name: str) -> str:
        return self._planned[name].log.read_text(errors="replace")

    def stop(self) -> None:
        """End them all, the last started first."""
        for process in reversed(self._running.values()):
            if process.poll() is None:
                process.terminate()
        for process in self._running.values():
            end(process)
        self._running.clear()
