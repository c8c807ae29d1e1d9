"""The `wherry` command below its processes: the command line, what a cluster consists of, what is remembered of a run, the supervisor."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from apiserver import settings as server_settings
from kubelet.__main__ import parser as kubelet_parser
from wherry import state
from wherry.access import roles
from wherry.kubectl import kubectl
from wherry.main import main, parser
from wherry.plan import Options, Process, node_names, processes
from wherry.supervisor import ComponentFailed, Supervisor, log_tail

# --- the command line -------------------------------------------------------------------------------------------------------


def test_up_has_upstreams_port_three_nodes_and_its_own_directory_by_default() -> None:
    flags = parser().parse_args(["up"])
    assert (flags.data_dir, flags.nodes, flags.secure_port, flags.bind_address) == (Path(".wherry"), 3, 6443, "127.0.0.1")
    assert (flags.storage, flags.runtime, flags.emulated_version, flags.detach) == ("sqlite", "simulated", "1.36", False)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param([], "required: COMMAND", id="no command at all"),
        pytest.param(["go"], "invalid choice: 'go'", id="a command that there is not"),
        pytest.param(["up", "--nodes", "-1"], "a number of nodes from 0 to 1000", id="a negative number of nodes"),
        pytest.param(["up", "--nodes", "1001"], "a number of nodes from 0 to 1000", id="too many nodes"),
        pytest.param(["up", "--nodes", "three"], "a number of nodes from 0 to 1000", id="a word for a number of nodes"),
        pytest.param(["up", "--secure-port", "65536"], "is not a port", id="a port past the last"),
        pytest.param(["up", "--secure-port", "https"], "is not a port", id="a word for a port"),
        pytest.param(["up", "--runtime", "magic"], "invalid choice: 'magic'", id="a runtime that there is not"),
        pytest.param(["up", "--stor", "memory"], "unrecognized arguments", id="a flag cut short"),
        pytest.param(["explain", "node", "wherry-1"], "invalid choice: 'node'", id="explaining something else than a pod"),
        pytest.param(["explain", "pod"], "required: name", id="explaining a pod without a name"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_why(line: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(line)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_port_0_and_no_nodes_are_fine() -> None:
    flags = parser().parse_args(["up", "--secure-port", "0", "--nodes", "0"])
    assert (flags.secure_port, flags.nodes) == (0, 0)


def test_what_follows_kubectl_is_kubectls_even_if_it_looks_like_ours() -> None:
    flags = parser().parse_args(["kubectl", "--data-dir", "/d", "get", "pods", "--nodes", "-n", "x", "--help"])
    assert flags.data_dir == Path("/d")
    assert flags.arguments == ["get", "pods", "--nodes", "-n", "x", "--help"]


def test_explain_looks_in_the_namespace_default_unless_told() -> None:
    flags = parser().parse_args(["explain", "pod", "web"])
    assert (flags.what, flags.name, flags.namespace) == ("pod", "web", "default")
    assert parser().parse_args(["explain", "pod", "web", "-n", "shop"]).namespace == "shop"


@pytest.mark.parametrize("command", [["down"], ["status"], ["explain", "pod", "web"]], ids=" ".join)
def test_commands_that_need_a_cluster_end_with_1_where_there_is_none(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, f"--data-dir={tmp_path}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("wherry: no cluster ")
    assert str(tmp_path) in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("runtime", ["process", "cri", "docker"])
def test_a_runtime_that_is_not_there_yet_is_refused_by_name(runtime: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data_dir = tmp_path / "data"
    assert main(["up", f"--runtime={runtime}", f"--data-dir={data_dir}"]) == 2
    assert f"--runtime {runtime}: not implemented yet" in capsys.readouterr().err
    assert not data_dir.exists()


def test_without_kubectl_it_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kubectl(tmp_path, ["get", "pods"]) == 127
    assert "kubectl is not installed" in capsys.readouterr().err


# --- what a cluster consists of ---------------------------------------------------------------------------------------------


def test_the_server_comes_first_and_each_node_is_a_process(tmp_path: Path) -> None:
    planned = processes(Options(tmp_path, nodes=2))
    loops = ["controller-manager", "scheduler", "cloud-controller-manager", "metrics-server", "kube-dns"]
    assert [each.name for each in planned] == ["apiserver", "kubelet wherry-1", "kubelet wherry-2", *loops]
    assert [each.name for each in planned if not each.is_needed_first] == loops[2:], "these can wait until the nodes are Ready"
    assert len({each.log for each in planned}) == len(planned)
    assert all(each.log.parent == tmp_path / "logs" for each in planned)
    assert [each.name for each in processes(Options(tmp_path, nodes=0))] == ["apiserver", *loops]


def test_the_server_understands_the_command_and_issues_every_kubeconfig_that_is_waited_for(tmp_path: Path) -> None:
    server, *components = processes(Options(tmp_path, nodes=2, secure_port=0, storage="memory", emulated_version="1.30", verbosity=4))
    settings = server_settings.read(list(server.command[3:]))
    assert (settings.data_dir, settings.secure_port, settings.storage) == (tmp_path, 0, "memory")
    assert (settings.emulated_version, settings.v) == ("1.30", 4)
    assert {each.path for each in settings.issue_kubeconfig} == {each.kubeconfig for each in components}
    issued = {each.user: each.groups for each in settings.issue_kubeconfig}
    assert issued["system:node:wherry-2"] == ("system:nodes",)
    assert issued["system:kube-scheduler"] == issued["system:cloud-controller-manager"] == ()
    assert (settings.authorization_mode, settings.enable_admission_plugins) == (("Node", "RBAC"), ("NodeRestriction",))
    assert not any("system:masters" in groups for groups in issued.values())


def test_what_is_granted_is_granted_to_whom_kubeconfigs_are_issued(tmp_path: Path) -> None:
    issued = {each.user for each in server_settings.read(list(processes(Options(tmp_path))[0].command[3:])).issue_kubeconfig}
    bindings = [each for each in roles() if each["kind"].endswith("Binding")]
    assert {subject["name"] for each in bindings for subject in each["subjects"]} == {
        "system:metrics-server",
        "system:cloud-controller-manager",
        "system:kube-dns",
    }
    assert all(subject["kind"] == "User" and subject["name"] in issued for each in bindings for subject in each["subjects"])
    names = {(each["kind"], each["metadata"]["name"]) for each in roles()}
    own = [each["roleRef"] for each in bindings if each["roleRef"]["name"].endswith(("metrics-server", "manager", "kube-dns"))]
    assert all((each["kind"], each["name"]) in names for each in own)


def test_the_kubelets_understand_their_commands(tmp_path: Path) -> None:
    kubelets = [each for each in processes(Options(tmp_path, nodes=3)) if each.name.startswith("kubelet")]
    read = [kubelet_parser().parse_args(each.command[3:]) for each in kubelets]
    assert [each.hostname_override for each in read] == [["wherry-1"], ["wherry-2"], ["wherry-3"]]
    assert {(each.runtime, each.port) for each in read} == {("simulated", 0)}
    assert [Path(each.kubeconfig) for each in read] == [each.kubeconfig for each in kubelets]


def test_every_process_is_this_python_unless_another_is_given(tmp_path: Path) -> None:
    assert {each.command[0] for each in processes(Options(tmp_path))} == {sys.executable}
    assert {each.command[0] for each in processes(Options(tmp_path), python="/opt/python")} == {"/opt/python"}


def test_nodes_are_counted_from_one() -> None:
    assert node_names(2) == ["wherry-1", "wherry-2"]
    assert node_names(0) == []


# --- what is remembered of a run ----------------------------------------------------------------------------------------------


def run_of(pid: int, started: str) -> state.Run:
    return state.Run(pid, started, 3, "https://127.0.0.1:6443", {"apiserver": 17})


def test_a_run_that_is_alive_is_found_again(tmp_path: Path) -> None:
    run = run_of(os.getpid(), state.process_start(os.getpid()))
    state.save(tmp_path, run)
    assert state.load(tmp_path) == run
    assert sorted(each.name for each in tmp_path.iterdir()) == ["run.json"]
    state.update(tmp_path, {"apiserver": 18})
    found = state.load(tmp_path)
    assert found is not None
    assert found.children == {"apiserver": 18}
    state.clear(tmp_path)
    state.clear(tmp_path)
    assert state.load(tmp_path) is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="process start times come from /proc")
def test_another_process_with_the_same_id_is_not_taken_for_it(tmp_path: Path) -> None:
    state.save(tmp_path, run_of(os.getpid(), "1"))
    assert state.load(tmp_path) is None
    state.update(tmp_path, {"apiserver": 18})
    assert json.loads((tmp_path / "run.json").read_text())["children"] == {"apiserver": 17}


def test_the_run_of_a_process_that_is_gone_is_not_found(tmp_path: Path) -> None:
    state.save(tmp_path, run_of(2**22 + 1, "123"))  # beyond the largest process id of Linux
    assert state.load(tmp_path) is None


def test_the_run_of_another_process_is_not_cleared(tmp_path: Path) -> None:
    state.save(tmp_path, run_of(os.getppid(), state.process_start(os.getppid())))
    state.clear(tmp_path)
    assert state.load(tmp_path) is not None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"pid": 1}', '{"pid": "x", "started": "", "nodes": 1, "url": "", "children": {}}']
)
def test_a_broken_run_file_is_no_run(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    assert state.load(tmp_path) is None
    state.clear(tmp_path)
    assert not (tmp_path / "run.json").exists()


# --- the supervisor -----------------------------------------------------------------------------------------------------------


class Supervised:
    """A supervisor, and what it has said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.changes: asyncio.Queue[dict[str, int]] = asyncio.Queue()
        self.supervisor = Supervisor(self.said.append, self.changes.put_nowait)


@asynccontextmanager
async def supervised() -> AsyncIterator[Supervised]:
    made = Supervised()
    try:
        async with asyncio.timeout(60):
            yield made
    finally:
        made.supervisor.failed.cancel()
        await made.supervisor.stop()


def shell(name: str, script: str, tmp_path: Path) -> Process:
    return Process(name, ("/bin/sh", "-c", script), tmp_path / "logs" / f"{name}.log")


async def until_logged(process: Process, text: str) -> None:
    while not process.log.exists() or text not in process.log.read_text():
        await asyncio.sleep(0.01)


async def test_what_a_process_prints_goes_to_its_log_which_only_the_owner_reads(tmp_path: Path) -> None:
    process = shell("talker", "echo out; echo err >&2; exec sleep 60", tmp_path)
    async with supervised() as each:
        await each.supervisor.start(process)
        await until_logged(process, "err")
        assert process.log.read_text() == "out\nerr\n"
        assert process.log.stat().st_mode & 0o777 == 0o600
        assert process.log.parent.stat().st_mode & 0o777 == 0o700


async def test_stopping_ends_every_process_and_the_server_last(tmp_path: Path) -> None:
    order = tmp_path / "order"
    script = "trap 'echo {0} >> {1}; exit 0' TERM; echo up; while :; do sleep 0.01; done"
    names = ["apiserver", "scheduler", "kubelet"]
    planned = [shell(name, script.format(name, order), tmp_path) for name in names]
    async with supervised() as each:
        for process in planned:
            await each.supervisor.start(process)
        for process in planned:
            await until_logged(process, "up")
        pids = each.supervisor.pids()
        assert list(pids) == names
        await each.supervisor.stop()
        assert [state.process_start(pid) for pid in pids.values()] == ["", "", ""]
    ended = order.read_text().split()
    assert sorted(ended[:2]) == ["kubelet", "scheduler"]
    assert ended[2:] == ["apiserver"]


async def test_a_process_that_ends_before_all_is_up_fails_the_whole_with_the_end_of_its_log(tmp_path: Path) -> None:
    process = shell("server", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; done; exit 3", tmp_path)
    async with supervised() as each:
        await each.supervisor.start(process)
        with pytest.raises(ComponentFailed) as failed:
            await each.supervisor.failed
    said = str(failed.value)
    assert said.startswith(f"server ended with 3. Its log, {process.log}, ends with:\nline 5\n")
    assert said.endswith("line 12")
    assert each.changes.empty()


async def test_a_process_that_ends_later_is_started_again_and_its_new_id_is_told(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    process = shell("scheduler", f"if [ -e {marker} ]; then exec sleep 60; fi; touch {marker}; sleep 0.05; exit 1", tmp_path)
    async with supervised() as each:
        each.supervisor.restarts = True
        await each.supervisor.start(process)
        first = each.supervisor.pids()["scheduler"]
        second = (await each.changes.get())["scheduler"]
        assert second == each.supervisor.pids()["scheduler"] != first
        assert each.said == [f"scheduler ended with 1; starting it again in 0.2 s (log: {process.log})"]
        assert not each.supervisor.failed.done()


async def test_one_that_keeps_ending_fails_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.supervisor.RESTARTS_MAX", 1)
    async with supervised() as each:
        each.supervisor.restarts = True
        await each.supervisor.start(shell("scheduler", "echo cannot; exit 1", tmp_path))
        with pytest.raises(ComponentFailed, match=r"scheduler ended with 1\."):
            await each.supervisor.failed
        assert len(each.said) == 1


async def test_one_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.supervisor.STOP_S", 0.2)
    process = shell("deaf", "trap '' TERM; echo up; while :; do sleep 0.05; done", tmp_path)
    async with supervised() as each:
        await each.supervisor.start(process)
        await until_logged(process, "up")
        pid = each.supervisor.pids()["deaf"]
        await each.supervisor.stop()
        assert state.process_start(pid) == ""


async def test_a_command_that_there_is_not_is_an_error_at_once(tmp_path: Path) -> None:
    async with supervised() as each:
        with pytest.raises(FileNotFoundError):
            await each.supervisor.start(Process("ghost", (str(tmp_path / "ghost"),), tmp_path / "ghost.log"))


def test_the_tail_of_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert log_tail(Process("none", (), tmp_path / "none.log")) == ""
