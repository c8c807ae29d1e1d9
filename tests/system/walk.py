"""What the walks with kubectl share: a namespace for each, and the questions they ask often. Nothing here is a test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.system.kubectl import Kubectl
from tests.system.running import wait_until


@contextmanager
def own_namespace(kubectl: Kubectl, topic: str) -> Iterator[Kubectl]:
    """`kubectl` in a new namespace that is ready for pods; the namespace is deleted at the end, in the background."""
    name = re.sub(r"[^a-z0-9]+", "-", f"{kubectl.program.name}-{topic}".lower()).strip("-")
    assert kubectl("create", "namespace", name).out == f"namespace/{name} created\n"
    inside = kubectl.within(name)
    try:
        wait_until(lambda: inside("get", "serviceaccount", "default", code=None).code == 0, f"the default ServiceAccount of {name}")
        yield inside
    finally:
        kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found", code=None)


def rolled_out(kubectl: Kubectl, name: str) -> None:
    """`rollout status` until it is done, which it must say in the usual words."""
    out = kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s").out
    assert out.endswith(f'deployment "{name}" successfully rolled out\n')


def nothing_left(kubectl: Kubectl, *kinds: str) -> bool:
    """Whether `get` of these finds nothing in the namespace."""
    ran = kubectl("get", ",".join(kinds))
    return ran.out == "" and ran.err == f"No resources found in {kubectl.namespace} namespace.\n"


def jsonpath(kubectl: Kubectl, template: str, *what: str) -> str:
    """`get -o jsonpath`."""
    return kubectl("get", *what, "-o", f"jsonpath={template}").out
