"""The files of a SQLite store: who may open them, with which modes, and by how many processes (one). No SQL here.

Everything that is wrong with a path ends as `StoreUnusable` with a text that says what to do about it.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from apiserver.store.base import StoreUnusable


class FileLock:
    """Held by the one process that has the database open. The kernel drops it when that process ends, however it ends."""

    def __init__(self, database: Path) -> None:
        """Raises StoreUnusable, naming the holder's process id where it is known."""
        self._path = database.with_name(database.name + ".lock")
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            who = f"process {holder}" if holder.isdigit() else "another process"
            raise StoreUnusable(f"{database} is in use by {who}: stop that one first, or use another data directory") from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others open the database. The file stays: removing it would race with the next holder."""
        os.close(self._file)


def prepare(path: Path) -> None:
    """Make the file (0600) and its folder (0700) where they are missing, and refuse what must not be opened. Raises StoreUnusable."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_regular(path)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        _check_owner(path)
        for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            if each.exists() and stat.S_IMODE(each.stat().st_mode) & 0o077:
                each.chmod(0o600)
    except OSError as error:
        raise StoreUnusable(f"{path} cannot be opened ({error.strerror}): check the owner and mode of it and of its folder") from error


def _check_regular(path: Path) -> None:
    if path.is_dir():
        raise StoreUnusable(f"{path} is a directory: give the path of the database file, or move the directory away")
    if path.exists() and not path.is_file():
        raise StoreUnusable(f"{path} is not a regular file: move it away, or use another data directory")


def _check_owner(path: Path) -> None:
    owner, user = path.stat().st_uid, os.geteuid()
    if owner != user:
        raise StoreUnusable(f"{path} belongs to user {owner}, this process runs as user {user}: run as its owner, or change its owner")
