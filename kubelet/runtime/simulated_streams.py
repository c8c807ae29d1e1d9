"""What simulated containers answer those who come in: exec, attach, port-forward, probes; and how Stages see them.

A command that `kubelet/shell` does not know is answered with a sentence that says so, and exit code 126.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing

from kube.objects import Object, name_of, namespace_of
from kubelet.images import Reference
from kubelet.observed import is_sidecar
from kubelet.runtime.base import ByteStream, CommandTimeout, ExecResult, ExecStreams, LogOptions, ProbeResult
from kubelet.runtime.simulated_container import SimulatedContainer
from kubelet.runtime.simulated_pod import container_annotations
from kubelet.runtime.simulated_program import Program
from kubelet.shell import interpreter
from kubelet.shell.interpreter import NotSimulated
from kubelet.shell.machine import Ask, Effects, Out

NOT_SIMULATED_EXIT_CODE = 126
_HEAD_BYTES_MAX = 64 * 1024
_LINE_BYTES_MAX = 64 * 1024
_PROMPT = "/ # "


def refusal(what: object) -> str:
    return f"Wherry simulates this container: no program runs in it, and {what} is not among the few commands that it can imitate\n"


# --- exec -----------------------------------------------------------------------------------------------------------------


async def exec_sync(program: Program, container: SimulatedContainer, command: Sequence[str], *, timeout_s: float) -> ExecResult:
    written: dict[str, list[str]] = {"stdout": [], "stderr": []}

    async def write(effect: Out) -> None:
        written[effect.stream].append(effect.text)

    try:
        async with asyncio.timeout(timeout_s):
            code = await _played(program, program.start(command), write)
    except TimeoutError as error:
        raise CommandTimeout(f"command timed out after {timeout_s:g}s") from error
    return ExecResult(code, "".join(written["stdout"]).encode(), "".join(written["stderr"]).encode())


async def _played(program: Program, effects: Effects, write: object) -> int:
    """Carry out effects in real (or virtual) time."""
    assert callable(write)
    while True:
        try:
            effect = next(effects)
        except StopIteration as stop:
            return int(stop.value)
        except NotSimulated as error:
            await write(Out(refusal(error), "stderr"))
            return NOT_SIMULATED_EXIT_CODE
        if isinstance(effect, Out):
            await write(effect)
        elif isinstance(effect, Ask):
            effect.reply = await program.ask(effect)
        else:
            await asyncio.sleep(min(effect.seconds, 1e9))


async def exec_stream(program: Program, container: SimulatedContainer, command: Sequence[str], streams: ExecStreams) -> int:
    """Run a command, or a shell that reads commands line by line, until it ends or the container does."""
    running = asyncio.ensure_future(_exec(program, command, streams))
    gone = asyncio.ensure_future(container.ended())
    try:
        await asyncio.wait([running, gone], return_when=asyncio.FIRST_COMPLETED)
        return running.result() if running.done() else 137
    finally:
        running.cancel()
        gone.cancel()
        await asyncio.gather(running, gone, return_exceptions=True)


async def _exec(program: Program, command: Sequence[str], streams: ExecStreams) -> int:
    async def write(effect: Out) -> None:
        data = effect.text.replace("\n", "\r\n").encode() if streams.tty else effect.text.encode()
        await (streams.write_stderr(data) if effect.stream == "stderr" and not streams.tty else streams.write_stdout(data))

    if interpreter.is_shell(command) and not any(each.startswith("-") and "c" in each for each in command[1:2]):
        return await _shell(program, streams, write)
    if streams.has_stdin and tuple(command) in (("cat",), ("tee",)):
        return await _echo_back(streams)
    return await _played(program, program.start(command), write)


async def _echo_back(streams: ExecStreams) -> int:
    while data := await streams.read_stdin():
        await streams.write_stdout(data)
    return 0


async def _shell(program: Program, streams: ExecStreams, write: object) -> int:
    """A shell on stdin. On a terminal it echoes what is typed, as the terminal of a real one would."""
    assert callable(write)
    if not streams.has_stdin:
        return 0
    if streams.tty:
        await write(Out(_PROMPT))
    code, text = 0, ""
    while True:
        data = await streams.read_stdin()
        if not data or "\x04" in (typed := data.decode("utf-8", "replace")):
            return code
        if streams.tty:
            await streams.write_stdout(typed.replace("\r", "\r\n").encode())
        text = (text + typed.replace("\r", "\n"))[-_LINE_BYTES_MAX:]
        while "\n" in text:
            line, _, text = text.partition("\n")
            if line.split()[:1] == ["exit"]:
                return int(line.split()[1]) if line.split()[1:2] and line.split()[1].isdigit() else code
            code = await _played(program, interpreter.run_script(line, program.machine), write) if line.strip() else code
            if streams.tty:
                await write(Out(_PROMPT))


async def attach(container: SimulatedContainer, streams: ExecStreams) -> None:
    """The log so far, and what follows, until the container has ended; stdin goes nowhere."""
    async with aclosing(container.log.read(LogOptions(follow=True))) as lines:
        async for data in lines:
            await streams.write_stdout(data.replace(b"\n", b"\r\n") if streams.tty else data)


# --- port-forward -----------------------------------------------------------------------------------------------------------


async def answer_http(pod: Object, port: int, stream: ByteStream) -> None:
    """Answer one HTTP request with a page that says what this is."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES_MAX:
        data = await stream.read()
        if not data:
            return
        head += data
    images = ", ".join(str(each.get("image")) for each in pod["spec"].get("containers") or ())
    where = f"pod:    {namespace_of(pod)}/{name_of(pod)}\nport:   {port}\nnode:   {pod['spec'].get('nodeName', '')}\nimages: {images}\n"
    body = f"Wherry simulates this pod: nothing listens here.\n\n{where}".encode()
    kind = "Content-Type: text/plain; charset=utf-8\r\nServer: wherry-simulated\r\nConnection: close"
    answer = f"HTTP/1.1 200 OK\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    await stream.write(answer.encode() + (b"" if head.startswith(b"HEAD ") else body))


# --- probes -----------------------------------------------------------------------------------------------------------------


def probe_failure(probe: Object, annotation: str) -> str:
    """What a failing probe prints: the usual words of its kind, and why it fails here."""
    if "httpGet" in probe:
        return f"HTTP probe failed with statuscode: 503 (annotation {annotation})"
    if "tcpSocket" in probe:
        return f"dial tcp :{probe['tcpSocket'].get('port')}: connect: connection refused (annotation {annotation})"
    return f"probe failed (annotation {annotation})"


async def exec_probe(program: Program, probe: Object) -> ProbeResult | None:
    """The result of an exec probe whose command is known; None for every other probe."""
    command = (probe.get("exec") or {}).get("command")
    if not command or not program.knows(command):
        return None
    written: list[str] = []
    effects = program.start(command)
    try:
        while True:
            effect = next(effects)
            if isinstance(effect, Out):
                written.append(effect.text)
            elif isinstance(effect, Ask):
                effect.reply = await program.ask(effect)
            elif effect.seconds > float(probe.get("timeoutSeconds") or 1):
                return ProbeResult(False, f"command timed out: {' '.join(command)!r} timed out after {probe.get('timeoutSeconds', 1)}s")
    except StopIteration as stop:
        return ProbeResult(stop.value == 0, "".join(written))
    except NotSimulated:
        return None


# --- how Stages see images and containers -------------------------------------------------------------------------------------


def image_object(pod: Object, annotations: Mapping[str, str], image: Reference) -> Object:
    described = {"name": str(image), "domain": image.domain, "path": image.path, "repository": image.repository}
    described |= {key: value for key, value in (("tag", image.tag), ("digest", image.digest)) if value}
    return {"metadata": pod["metadata"] | {"annotations": annotations}, "spec": pod["spec"], "image": described}


def container_object(pod: Object, container: SimulatedContainer, *, is_known: bool) -> Object:
    sidecar = container.config.is_init and is_sidecar(container.spec)
    described = {
        "name": container.name,
        "image": container.spec.get("image", ""),
        "restartCount": container.config.attempt,
        "runsOnce": container.config.is_init and not sidecar,
        "isSidecar": sidecar,
        "known": is_known,
    }
    annotations = container_annotations(pod, container.name)
    return {"metadata": pod["metadata"] | {"annotations": annotations}, "spec": pod["spec"], "container": described}
