"""Starting the processes that are measured, asking how much memory they hold, and stopping them."""

from __future__ import annotations

import asyncio
import compileall
import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from kube.client.config import load_kubeconfig, ssl_context

PACKAGES = ("apiserver", "controllers", "kubelet", "kube", "wherry")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the block ends."""
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, *command], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def resident_mb(pid: int) -> float:
    """Resident memory in MB (10^6 bytes)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_s(pid: int) -> float:
    """CPU seconds used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def until_listening(port: int, *, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.01)


def compile_bytecode() -> None:
    """Compile the project's packages, as every first start of them does: what is measured is a start, not a compiler."""
    for package in PACKAGES:
        compileall.compile_dir(Path(__file__).parent.parent / package, quiet=2)


def admin_tls(data_dir: Path) -> ssl.SSLContext:
    """TLS as the admin of a server's data directory."""
    return ssl_context(load_kubeconfig(data_dir / "kubeconfig"))
