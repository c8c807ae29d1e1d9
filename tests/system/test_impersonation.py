"""kubectl as somebody else, at an API server whose roles and bindings say who may what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kube.client.config import ClientConfig, write_kubeconfig
from tests.system.alone import TOKEN, server_alone
from tests.system.kubectl import ENDS, Kubectl, parameters

OPS = ("--as=ann", "--as-group=ops")
ACCOUNT = "system:serviceaccount:default:robot"


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The admin's way to a server with RBAC, where the group `ops` and the account `robot` may view what is in the namespace default."""
    path = tmp_path_factory.mktemp("alone") / "kubeconfig"
    with server_alone("memory") as server:
        write_kubeconfig(path, ClientConfig(server=server.url, token=TOKEN, insecure_skip_tls_verify=True))
        if ENDS:
            kubectl = Kubectl(ENDS[-1], path, path.parent)
            kubectl("create", "role", "viewer", "--verb=get,list,watch", "--resource=configmaps,pods,pods/log")
            kubectl("create", "rolebinding", "viewers", "--role=viewer", "--group=ops", "--serviceaccount=default:robot")
            kubectl("create", "serviceaccount", "robot")
            kubectl("create", "configmap", "c", "--from-literal=a=b")
            kubectl("create", "clusterrole", "bobs", "--verb=impersonate", "--resource=users", "--resource-name=bob")
            kubectl("create", "clusterrolebinding", "bobs", "--clusterrole=bobs", "--serviceaccount=default:robot")
        yield path
        assert server.failures() == 0


@pytest.fixture(params=parameters(ENDS))
def kubectl(request: pytest.FixtureRequest, kubeconfig: Path, kubectl_home: Path) -> Kubectl:
    return Kubectl(request.param, kubeconfig, kubectl_home)


def test_a_user_has_the_rights_of_its_groups(kubectl: Kubectl) -> None:
    assert kubectl("get", "configmap", "c", *OPS, "--output=jsonpath={.data.a}").out == "b"
    refused = kubectl("get", "configmap", "c", "--as=ann", code=1).err
    assert refused == (
        'Error from server (Forbidden): configmaps "c" is forbidden: User "ann" cannot get resource "configmaps" in API group "" '
        'in the namespace "default"\n'
    )
    assert 'User "ann" cannot delete resource "configmaps"' in kubectl("delete", "configmap", "c", *OPS, code=1).err


@pytest.mark.parametrize(
    ("who", "verb", "resource", "answer"),
    [
        (OPS, "list", "pods", "yes"),
        (OPS, "list", "secrets", "no"),
        (OPS, "create", "pods", "no"),
        ((f"--as={ACCOUNT}",), "get", "pods/log", "yes"),
        (("--as=ann",), "list", "pods", "no"),
        ((), "delete", "nodes", "yes"),
    ],
)
def test_what_somebody_can(kubectl: Kubectl, who: tuple[str, ...], verb: str, resource: str, answer: str) -> None:
    asked = kubectl("auth", "can-i", verb, resource, *who, code=0 if answer == "yes" else 1)
    assert asked.out.splitlines()[-1].split()[0] == answer


def test_all_that_somebody_can(kubectl: Kubectl) -> None:
    rows = [row for row in kubectl("auth", "can-i", "--list", *OPS).rows if row and row[0] == "configmaps"]
    assert rows == [["configmaps", "[]", "[]", "[get", "list", "watch]"]]


def test_whom_an_account_may_be(kubectl: Kubectl) -> None:
    bearer = f"--token={kubectl('create', 'token', 'robot').out.strip()}"
    as_robot = Kubectl(kubectl.program, anonymous(kubectl.kubeconfig), kubectl.home)
    assert as_robot("get", "configmap", "c", bearer, "--output=name").out == "configmap/c\n"
    assert 'User "bob" cannot get resource "configmaps"' in as_robot("get", "configmap", "c", bearer, "--as=bob", code=1).err
    refused = as_robot("get", "configmap", "c", bearer, "--as=eve", code=1).err
    assert f'users "eve" is forbidden: User "{ACCOUNT}" cannot impersonate resource "users" in API group ""' in refused


def anonymous(kubeconfig: Path) -> Path:
    """The same server, and nobody's credentials."""
    path = kubeconfig.with_name("nobody")
    server = next(line.split()[-1] for line in kubeconfig.read_text().splitlines() if "server:" in line)
    write_kubeconfig(path, ClientConfig(server=server, insecure_skip_tls_verify=True))
    return path


@pytest.mark.parametrize("program", parameters(ENDS[-1:]))
def test_who_one_is(program: Path, kubeconfig: Path, kubectl_home: Path) -> None:
    kubectl = Kubectl(program, kubeconfig, kubectl_home)
    assert kubectl("auth", "whoami", "--output=jsonpath={.status.userInfo.username}").out == "admin"
    shown = kubectl("auth", "whoami", *OPS, "--as-uid=7", "--as-group=dev").rows
    assert shown[1:] == [["Username", "ann"], ["UID", "7"], ["Groups", "[ops", "dev", "system:authenticated]"]]
    assert ["Groups", "[system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated]"] in kubectl(
        "auth", "whoami", f"--as={ACCOUNT}"
    ).rows
