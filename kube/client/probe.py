"""`python -m kube.client.probe --kubeconfig FILE PATH`: ask the API server for a path; the exit code says whether it answered well.

For health checks of containers, where there is no curl.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from kube.client.client import Client
from kube.client.config import ConfigError, load_kubeconfig
from kube.errors import ApiError


async def probe(kubeconfig: str, path: str) -> str:
    """The body of the answer. Raises ConfigError, ApiError, OSError."""
    client = Client.from_config(load_kubeconfig(kubeconfig), user_agent="probe")
    try:
        return (await client.raw("GET", path)).body.decode(errors="replace")
    finally:
        await client.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m kube.client.probe")
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("path")
    flags = parser.parse_args()
    try:
        print(asyncio.run(probe(flags.kubeconfig, flags.path)))
    except (ConfigError, ApiError, OSError) as error:
        print(f"probe: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
