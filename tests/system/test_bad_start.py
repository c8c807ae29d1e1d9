"""What cannot start says so: one line that names the flag or the file, and an exit code (2 for a bad command line, 1 for the rest)."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.client import Api
from tests.system.running import ROOT, Processes, Up, free_port, running_up, wait_until, wherry
from wherry.plan import Process

LIMIT_S = 30.0
APISERVER = ("apiserver", "--secure-port=0")
KUBELET = ("kubelet", "--hostname-override=node", "--port=0", "--healthz-port=0")
MANAGER = ("controllers", "manager", "--healthz-port=0")


def run(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a component in `directory`; it must end by itself."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", *command]
    return subprocess.run(argv, cwd=directory, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def complaint(ran: subprocess.CompletedProcess[str], code: int) -> str:
    """The last line on stderr, after checking that it is the only one (but for argparse's usage) and the exit code."""
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    lines = [line for line in ran.stderr.splitlines() if not line.startswith(("usage:", " "))]
    assert len(lines) == 1, ran.stderr
    return lines[0]


IMPOSSIBLE_FLAGS = [
    ("apiserver --nonsense", "unrecognized arguments: --nonsense"),
    ("apiserver --secure-port=99999", "--secure-port 99999: must be at most 65535"),
    ("apiserver --secure-port=http", "argument --secure-port: invalid int value: 'http'"),
    ("apiserver --bind-address=nowhere", "--bind-address nowhere: 'nowhere' does not appear to be an IPv4 or IPv6 address"),
    ("apiserver --emulated-version=1.12", "--emulated-version 1.12: must be one of 1.25 to 1.37"),
    (
        "apiserver --kubelet-preferred-address-types=InternalIP,Moon",
        "--kubelet-preferred-address-types InternalIP,Moon: each must be one of Hostname, InternalDNS, InternalIP, ExternalDNS, ExternalIP",
    ),
    ("apiserver --service-cluster-ip-range=10.0.0.0/31", "--service-cluster-ip-range 10.0.0.0/31: must hold at least 8 addresses"),
    ("apiserver --issue-kubeconfig=someone", "--issue-kubeconfig someone: expected USER[,GROUP...][@SERVER]=FILE"),
    ("apiserver --storage=floppy", "argument --storage: invalid choice: 'floppy'"),
    ("apiserver --v=99", "--v 99: must be at most 10"),
    ("controllers", "the following arguments are required: command"),
    ("controllers manager", "the following arguments are required: --kubeconfig"),
    (
        "controllers manager --kubeconfig=x --controllers=nonsense",
        '--controllers nonsense: "nonsense" is not in the list of known controllers',
    ),
    ("controllers manager --kubeconfig=x --cluster-cidr=pods", "--cluster-cidr pods: 'pods' does not appear to be an IPv4 or IPv6 network"),
    ("controllers manager --kubeconfig=x --node-eviction-rate=fast", "argument --node-eviction-rate: 'fast' is not a number above 0"),
    ("controllers manager --kubeconfig=x --leader-elect=maybe", "argument --leader-elect: 'maybe' is neither true nor false"),
    ("controllers scheduler --kubeconfig=x --healthz-port=99999", "argument --healthz-port: '99999' is not a port (0 to 65535)"),
    ("kubelet --kubeconfig=x --hostname-override=Bad_Name", "argument --hostname-override: 'Bad_Name' is not a node name"),
    ("kubelet --kubeconfig=x --hostname-override=n --port=99999", "argument --port: '99999' is not a port (0 to 65535)"),
    ("kubelet --kubeconfig=x --hostname-override=n --address=nowhere", "argument --address: 'nowhere' is not an IP address"),
    ("kubelet --kubeconfig=x --hostname-override=n --node-ip=nowhere", "argument --node-ip: 'nowhere' is not an IP address"),
    ("kubelet --kubeconfig=x --hostname-override=n --max-pods=-1", "argument --max-pods: '-1' is not a number of 0 or more"),
    ("kubelet --kubeconfig=x --hostname-override=n --runtime=cri", "--runtime cri: not implemented yet"),
    ("wherry", "the following arguments are required: COMMAND"),
    ("wherry dance", "argument COMMAND: invalid choice: 'dance'"),
    ("wherry up --nodes=-1", "argument --nodes: '-1': a number of nodes from 0 to 1000"),
    ("wherry up --secure-port=http", "argument --secure-port: 'http' is not a port"),
    ("wherry up --bind-address=1.2.3", "--bind-address 1.2.3: '1.2.3' does not appear to be an IPv4 or IPv6 address"),
    ("wherry up --emulated-version=9.9", "--emulated-version 9.9: must be one of 1.25 to 1.37"),
    ("wherry up --v=99", "--v 99: must be at most 10"),
]


@pytest.mark.parametrize(("command", "text"), [pytest.param(*case, id=case[0]) for case in IMPOSSIBLE_FLAGS])
def test_an_impossible_command_line(tmp_path: Path, command: str, text: str) -> None:
    assert text in complaint(run(tmp_path, *command.split()), 2)
    assert list(tmp_path.iterdir()) == [], "a refused command line leaves nothing behind"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield int(sock.getsockname()[1])


def test_a_port_in_use(tmp_path: Path, cluster: Up, taken: int) -> None:
    reason = f"cannot listen on 127.0.0.1:{taken}: Address already in use. Choose another with "
    configs = cluster.data_dir / "kubeconfigs"
    for command, flag in (
        (("apiserver", f"--secure-port={taken}"), "--secure-port (or --bind-address)"),
        (("wherry", "up", f"--secure-port={taken}"), "--secure-port (or --bind-address)"),
        (
            ("controllers", "scheduler", f"--kubeconfig={configs / 'scheduler'}", f"--healthz-port={taken}"),
            "--healthz-port (or --bind-address)",
        ),
        (
            ("kubelet", f"--kubeconfig={configs / 'wherry-1'}", "--hostname-override=wherry-1", f"--port={taken}", "--healthz-port=0"),
            "--port (or --address)",
        ),
    ):
        assert complaint(run(tmp_path, *command), 1).endswith(reason + flag)


BAD_KUBECONFIGS = [
    ("that is not there", None, "No such file or directory"),
    ("that is not YAML", "a: [1\n", "not YAML: "),
    ("that is binary", b"\xff\xfe\x00", "not YAML: "),
    ("that is empty", "", "not a kubeconfig"),
    ("without a context", "apiVersion: v1\nkind: Config\n", "current-context: there is none"),
    ("with a context that is not there", "current-context: home\ncontexts: []\n", "contexts"),
    ("with a server that is no URL", (r"server: .*", "server: nonsense"), ".cluster.server: 'nonsense' is not an http(s) URL"),
    (
        "with a CA that is no certificate",
        (r"certificate-authority-data: .*", "certificate-authority-data: aGVsbG8="),
        "certificate-authority",
    ),
    ("with a key that is not base64", (r"client-key-data: .*", "client-key-data: '%%%'"), ".user.client-key-data: not base64"),
    (
        "with a key that is no key",
        (r"client-key-data: .*", "client-key-data: aGVsbG8="),
        "the certificate and key do not fit or are not PEM",
    ),
    ("without a certificate", (r"client-(key|certificate)-data: .*", ""), "it must hold the cluster's CA and a client certificate"),
]


@pytest.mark.parametrize(("change", "text"), [pytest.param(*case[1:], id=f"a kubeconfig {case[0]}") for case in BAD_KUBECONFIGS])
def test_a_kubeconfig_that_cannot_be_used(tmp_path: Path, cluster: Up, change: str | bytes | tuple[str, str] | None, text: str) -> None:
    file = tmp_path / "kubeconfig"
    if isinstance(change, tuple):
        file.write_text(re.sub(*change, (cluster.data_dir / "kubeconfigs" / "wherry-1").read_text()))
    elif change is not None:
        file.write_bytes(change if isinstance(change, bytes) else change.encode())
    said = complaint(run(tmp_path, *KUBELET, "--kubeconfig=kubeconfig"), 1)
    assert said.startswith("kubelet: --kubeconfig")
    assert text in said
    if change is None:
        assert complaint(run(tmp_path, *MANAGER, "--kubeconfig=kubeconfig"), 1).startswith(
            "kube-controller-manager: --kubeconfig kubeconfig: "
        )


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of an API server that has run and ended. Copy it."""
    data = tmp_path_factory.mktemp("used") / "data"
    command = (sys.executable, "-m", *APISERVER, f"--data-dir={data}")
    server = Processes([Process("apiserver", command, data.with_name("log"))])
    try:
        server.start("apiserver")
        wait_until(lambda: "serving on" in server.log("apiserver"), "the API server serves")
    finally:
        server.stop()
    return data


@pytest.fixture
def data(used: Path, tmp_path: Path) -> Path:
    """A copy of `used`."""
    return Path(shutil.copytree(used, tmp_path / "data"))


def refused(data: Path) -> str:
    """What the API server says about this data directory; `wherry up` must say the same, without trying again and again."""
    said = complaint(run(data.parent, *APISERVER, "--data-dir=data"), 1)
    up = wherry("up", f"--data-dir={data}", "--secure-port=0")
    assert up.returncode == 1
    assert said.split("apiserver: ")[1].replace("data/", "") in (up.stdout + up.stderr).replace(f"{data}/", "")
    return said


def test_a_database_of_a_newer_version(data: Path) -> None:
    with sqlite3.connect(data / "state.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    assert refused(data).startswith("apiserver: data/state.db was written by a newer version (schema 99, ")


@pytest.mark.parametrize("where", [0, 4096], ids=["in its header", "in its tables"])
def test_a_corrupt_database(data: Path, where: int) -> None:
    file = data / "state.db"
    content = bytearray(file.read_bytes())
    content[where : where + 4096] = b"\x07" * 4096
    file.write_bytes(content)
    assert re.match(
        r"apiserver: data/state\.db (is corrupt|cannot be read) \(.*\): restore it from a backup, or move it away", refused(data)
    )


def test_a_truncated_database(data: Path) -> None:
    os.truncate(data / "state.db", 5000)
    assert "data/state.db cannot be read (database disk image is malformed)" in refused(data)


def test_an_unreadable_identity(data: Path) -> None:
    (data / "pki" / "ca.crt").write_text("junk")
    assert refused(data).startswith("apiserver: data/pki: cannot read the cluster's CA (")


def test_half_an_identity_is_not_replaced(data: Path) -> None:
    (data / "pki" / "ca.key").unlink()
    assert refused(data).startswith("apiserver: data/pki/ca.key is missing: restore it, ")


def test_a_damaged_certificate_that_can_be_issued_again(data: Path) -> None:
    (data / "pki" / "apiserver.key").write_text("junk")
    with running_up(data, f"--secure-port={free_port()}") as up:
        assert Api.of(up.kubeconfig).is_ready()


def test_a_data_directory_in_use(data: Path) -> None:
    server = Processes([Process("apiserver", (sys.executable, "-m", *APISERVER, f"--data-dir={data}"), data.with_name("log"))])
    try:
        server.start("apiserver")
        wait_until(lambda: "serving on" in server.log("apiserver"), "the API server serves")
        assert " is in use by process " in refused(data)
    finally:
        server.stop()


def test_a_file_in_place_of_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a directory")
    assert "Not a directory" in complaint(run(tmp_path, *APISERVER, "--data-dir=data"), 1)
    assert complaint(run(tmp_path, "wherry", "up", "--data-dir=data"), 1) == "wherry: --data-dir data is not a directory"
    assert complaint(run(tmp_path, "wherry", "up", "--data-dir=data/below"), 1) == "wherry: --data-dir data/below is not a directory"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory to another user")
def test_a_data_directory_of_another_user(data: Path) -> None:
    os.chown(data, 12345, 12345)
    said = complaint(run(data.parent, "wherry", "up", "--data-dir=data"), 1)
    assert said.startswith("wherry: --data-dir data belongs to another user (uid 12345); ")
    os.chown(data / "state.db", 12345, 12345)
    assert "data/state.db belongs to user 12345, this process runs as user 0" in complaint(
        run(data.parent, *APISERVER, "--data-dir=data"), 1
    )
