"""What a cluster's own components may do beyond what the API server itself grants at its first start: applied by `wherry up`.

By hand, or in a container: `python -m wherry.access --kubeconfig FILE`, as somebody who may grant it; it waits for the API server.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from importlib.resources import files
from typing import Any, Final

import yaml

from kube.client.client import Client
from kube.client.config import ConfigError, load_kubeconfig
from kube.errors import ApiError
from kube.resources import Resource

MANAGER: Final = "wherry"
WAIT_S: Final = 60.0
_AGAIN_S: Final = 0.2
_PLURALS: Final = {
    "ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings", "Role": "roles", "RoleBinding": "rolebindings",
}  # fmt: skip


def roles() -> list[Any]:
    """The roles and bindings of the metrics server, of the cloud controller manager and of cluster DNS."""
    texts = [(files(package) / "access.yaml").read_text() for package in ("controllers.metrics", "controllers.cloud", "kubelet.dns")]
    return [each for text in texts for each in yaml.safe_load_all(text)]


async def grant(client: Client) -> None:
    """Make it so. Raises ApiError, OSError."""
    for each in roles():
        group, _, version = each["apiVersion"].partition("/")
        resource = Resource(group, version, _PLURALS[each["kind"]], each["kind"], namespaced="namespace" in each["metadata"])
        await client.apply(resource, each, field_manager=MANAGER, force=True)


async def _grant_when_ready(kubeconfig: str) -> None:
    """Raises ConfigError, ApiError, OSError: the last failure, once the server has not been ready for a minute."""
    deadline = time.monotonic() + WAIT_S
    client = Client.from_config(load_kubeconfig(kubeconfig), user_agent=MANAGER)
    try:
        while True:
            try:
                await client.raw("GET", "/readyz")
                break
            except (ApiError, OSError):
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_AGAIN_S)
        await grant(client)
    finally:
        await client.close()


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m wherry.access`."""
    p = argparse.ArgumentParser(
        prog="python -m wherry.access", description="Grant Wherry's own components their rights.", allow_abbrev=False
    )
    p.add_argument("--kubeconfig", required=True, metavar="FILE", help="of somebody who may grant them (system:masters)")
    return p


def main() -> int:
    flags = parser().parse_args()
    try:
        asyncio.run(_grant_when_ready(flags.kubeconfig))
    except (ConfigError, ApiError, OSError) as error:
        print(f"wherry.access: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
