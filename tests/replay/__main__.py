"""Replays recordings of a real kube-apiserver against this one: `RECORDINGS=DIR python -m tests.replay [AREA ...]`.

DIR holds `*.jsonl` files, one an area, and the tool that plays them, `replay.py`. The API server is started alone and empty, on a memory
store and then on SQLite; both must score the same. Exit status: 0 when they do, 1 when they differ, 2 when there is nothing to replay.
What counts as an area: a file's name without its ending, or its beginning (`machinery`, `machinery-watch`). Not for CI: the recordings
are not part of this project.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.replay.scores import Score, chosen, differing, scores, table
from tests.system.alone import TOKEN, server_alone

STORES: Final = ("memory", "sqlite")


def main(arguments: Sequence[str] | None = None) -> int:
    flags = _parser().parse_args(arguments)
    if flags.recordings is None:
        print("which recordings? Set RECORDINGS=DIR or say --recordings DIR", file=sys.stderr)
        return 2
    tool: Path = flags.recordings / "replay.py"
    files = chosen(sorted(flags.recordings.glob("*.jsonl")), flags.areas)
    if not tool.is_file() or not files:
        print(
            f"nothing to replay: {tool if not tool.is_file() else ' '.join(flags.areas) or flags.recordings} is not there", file=sys.stderr
        )
        return 2
    found = {store: _replay(store, tool, files, flags) for store in STORES}
    print(table(found))
    different = differing(found)
    for line in different:
        print(f"the stores differ: {line}", file=sys.stderr)
    return 1 if different else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.replay", description=(__doc__ or "").split("\n\n")[0])
    at = os.environ.get("RECORDINGS")
    parser.add_argument("--recordings", type=Path, default=Path(at) if at else None, metavar="DIR", help="default: $RECORDINGS")
    parser.add_argument("--headers", action="store_true", help="compare the recorded headers, too")
    parser.add_argument("--quiet", action="store_true", help="print the scores alone")
    parser.add_argument("areas", nargs="*", metavar="AREA", help="e.g. machinery or machinery-watch; all where there is none")
    return parser


def _replay(store: str, tool: Path, files: Sequence[Path], flags: argparse.Namespace) -> dict[str, Score]:
    """The scores of one store, by area; what the tool says besides goes on to stdout."""
    with server_alone(store) as server:
        command = [sys.executable, str(tool), "--server", server.url, "--token", TOKEN, "--insecure"]
        command += ["--headers"] * flags.headers + ["--quiet"] * flags.quiet + [str(each) for each in files]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        if failures := server.failures():
            print(f"{store}: {failures} requests failed inside the server", file=sys.stderr)
    found, rest = scores(said.stdout)
    if said.stderr:
        print(said.stderr, file=sys.stderr)
    if rest and not flags.quiet:
        print(f"--- {store}\n{rest}")
    return found


if __name__ == "__main__":
    sys.exit(main())
