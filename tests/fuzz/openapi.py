"""Fuzzes an API server alone, by its own OpenAPI v3 documents: `python -m tests.fuzz.openapi [GROUP/VERSION ...]`.

Needs schemathesis, as a program: on PATH, beside this Python, or by --schemathesis PATH (it brings so much with it that it is not among
what the tests require). It looks for failures of the server (5xx that are not upstream's own) and for requests that hang. Watches and
streams are left out. Exit status: 0 when all is well, 1 when something was found, 2 when there is no schemathesis.
"""

from __future__ import annotations

import argparse
import json
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.fuzz.answers import Tally, of_har
from tests.system.alone import TOKEN, Alone, server_alone

_SETTINGS: Final = '[parameters]\nwatch = "false"\ntimeoutSeconds = 1\nnamespace = "default"\n'
_STREAMS: Final = "/(exec|attach|portforward|proxy|log)(/|$)"
_LIMIT_S: Final = 1800


def main(arguments: Sequence[str] | None = None) -> int:
    flags = _parser().parse_args(arguments)
    program = flags.schemathesis or shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or shutil.which("schemathesis")
    if program is None:
        print("schemathesis is not installed: pip install schemathesis, or say where it is with --schemathesis PATH", file=sys.stderr)
        return 2
    total = Tally()
    with server_alone(flags.storage) as server, tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        for name in _documents(server, flags.versions):
            tally = Tally()
            tally.add(of_har(_fuzzed(program, server, name, Path(place), flags)))
            total.by_status.update(tally.by_status)
            total.bad += tally.bad
            print(f"{name}: {tally}", flush=True)
            for each in tally.bad[: flags.most]:
                print(f"  {each}", flush=True)
        failures = server.failures()
        _get(server, "/readyz")
    print(f"total: {total}, {failures} failures in the log")
    return 1 if total.bad or failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.openapi", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--schemathesis", metavar="PATH", help="the program")
    parser.add_argument("--storage", choices=["memory", "sqlite"], default="memory")
    parser.add_argument("--examples", type=int, default=20, metavar="N", help="made-up requests an operation (default 20)")
    parser.add_argument("--phases", default="fuzzing", help="default: fuzzing; coverage is ten thousands of requests where there are pods")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=10, metavar="N", help="findings shown a document (default 10)")
    parser.add_argument("versions", nargs="*", metavar="GROUP/VERSION", help="e.g. apps/v1, or v1; all where there is none")
    return parser


def _get(server: Alone, path: str) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(server.url + path, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        body: bytes = answer.read()
        return body


def _documents(server: Alone, wanted: Sequence[str]) -> list[str]:
    """The names of the documents: `api/v1`, `apis/apps/v1`."""
    names: list[str] = sorted(json.loads(_get(server, "/openapi/v3"))["paths"])
    return [each for each in names if not wanted or each.partition("/")[2] in wanted]


def _fuzzed(program: str, server: Alone, name: str, place: Path, flags: argparse.Namespace) -> Any:
    """The HTTP archive of one document's run."""
    settings, archive = place / "schemathesis.toml", place / f"{name.replace('/', '-')}.har"
    settings.write_text(_SETTINGS)
    command = [program, "--config-file", str(settings), "run", f"{server.url}/openapi/v3/{name}", "--tls-verify=false"]
    command += ["--header", f"Authorization: Bearer {TOKEN}", f"--phases={flags.phases}", "--checks=not_a_server_error"]
    command += [f"--max-examples={flags.examples}", f"--seed={flags.seed}", "--continue-on-failure", "--no-shrink", "--request-timeout=30"]
    command += ["--report=har", f"--report-har-path={archive}", "--generation-database=none", "--suppress-health-check=all"]
    command += ["--warnings=off", "--no-color", f"--exclude-path-regex={_STREAMS}"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIMIT_S, cwd=place)
    if not archive.exists():
        raise SystemExit(f"{name}: schemathesis has left no archive:\n{said.stdout[-2000:]}{said.stderr[-2000:]}")
    return json.loads(archive.read_text())


if __name__ == "__main__":
    sys.exit(main())
