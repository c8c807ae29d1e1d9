"""Writes docs/deviations.md: what is not there yet (a list here), and every `deviates:` note of the code. `python -m docs.deviations`."""

from __future__ import annotations

import re
from pathlib import Path

PACKAGES = ("apiserver", "controllers", "kubelet", "kube", "wherry")
NOTE = re.compile(r'deviates: (.*?)(?:"""|$)')
HEAD = """# Where Wherry differs from Kubernetes

## Not there yet

A request for one of these gets a clear error (501 with reason NotImplemented, or a message that names it).

- Audit: there is no audit log (so `Audit` of policies and the audit mode of PodSecurity have no effect). Authorization by ABAC or webhook;
  authentication by OIDC, webhook or proxy headers.
- A configuration file for admission plugins (`--admission-control-config-file`).
- Alpha and beta API versions, but for `storagemigration.k8s.io/v1beta1`: `--runtime-config` refuses all others by name.
- Container runtimes other than the simulated one; kube-proxy; the etcd store.
- Answers in protobuf or CBOR (requests in protobuf are read).

## Knowingly different

From the notes in the code (`make docs` writes this list):

"""


def notes(root: Path) -> list[tuple[str, str]]:
    """(file, note) of every `deviates:` in the code, by file."""
    found = []
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            for line in path.read_text().splitlines():
                match = NOTE.search(line)
                if match:
                    found.append((str(path.relative_to(root)), match[1].strip()))
    return found


def document(root: Path) -> str:
    """The whole document."""
    return HEAD + "".join(f"- `{file}`: {note}\n" for file, note in notes(root))


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    (root / "docs/deviations.md").write_text(document(root))
