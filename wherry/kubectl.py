"""`wherry kubectl ...`: the kubectl that is installed, pointed at this cluster."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def kubectl(data_dir: Path, arguments: list[str]) -> int:
    """Replace this process by kubectl."""
    found = shutil.which("kubectl")
    if found is None:
        print("wherry: kubectl is not installed; see https://kubernetes.io/docs/tasks/tools/", file=sys.stderr)
        return 127
    config = data_dir / "kubeconfig"
    if not config.exists():
        print(f"wherry: no cluster has been started in {data_dir}; `wherry up` starts one", file=sys.stderr)
        return 1
    environment = {**os.environ, "KUBECONFIG": str(config.resolve())}
    os.execve(found, [found, *arguments], environment)
