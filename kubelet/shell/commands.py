"""The commands that simulated containers know, each a generator of effects. Small on purpose: what tutorials and probes use.

Adding one: a function `(arguments, machine) -> Effects`, and its name in COMMANDS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC

from kubelet.shell.machine import Effects, Machine, Out, Sleep, absolute

CommandFunction = Callable[[Sequence[str], Machine], Effects]
_SUFFIX_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", "r": "\r", "a": "\a", "0": "\0"}


def _true(_arguments: Sequence[str], _machine: Machine) -> Effects:
    yield from ()
    return 0


def _false(_arguments: Sequence[str], _machine: Machine) -> Effects:
    yield from ()
    return 1


def _echo(arguments: Sequence[str], _machine: Machine) -> Effects:
    words, end, escapes = list(arguments), "\n", False
    while words and words[0] in ("-n", "-e", "-ne", "-en", "-E"):
        flag = words.pop(0)
        end = "" if "n" in flag else end
        escapes = escapes or "e" in flag
    text = " ".join(words)
    yield Out((_unescaped(text) if escapes else text) + end)
    return 0


def _unescaped(text: str) -> str:
    out, at = [], 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in _ESCAPES:
            out.append(_ESCAPES[text[at + 1]])
            at += 2
        else:
            out.append(text[at])
            at += 1
    return "".join(out)


def _printf(arguments: Sequence[str], _machine: Machine) -> Effects:
    if not arguments:
        yield Out("printf: usage: printf FORMAT [ARGUMENT]...\n", "stderr")
        return 2
    text, rest = _unescaped(arguments[0]), list(arguments[1:])
    while "%s" in text or "%d" in text:
        at = min(index for index in (text.find("%s"), text.find("%d")) if index >= 0)
        text = text[:at] + (rest.pop(0) if rest else "") + text[at + 2 :]
    yield Out(text.replace("%%", "%"))
    return 0


def _sleep(arguments: Sequence[str], machine: Machine) -> Effects:
    try:
        total_s = sum(_duration_s(each) for each in arguments)
    except ValueError:
        yield Out(f"sleep: invalid time interval '{' '.join(arguments)}'\n", "stderr")
        return 1
    if total_s > 0:
        machine.steps = 0
    yield Sleep(total_s)
    return 0


def _duration_s(text: str) -> float:
    if text in ("inf", "infinity"):
        return math.inf
    scale = _SUFFIX_S.get(text[-1:], 0.0)
    value = float(text[:-1]) * scale if scale else float(text)
    if value < 0:
        raise ValueError(text)
    return value


def _cat(arguments: Sequence[str], machine: Machine) -> Effects:
    if not arguments:
        yield Out(machine.stdin)
        return 0
    code = 0
    for name in arguments:
        text = machine.files.get(absolute(name, machine))
        if text is None:
            yield Out(f"cat: {name}: No such file or directory\n", "stderr")
            code = 1
        else:
            yield Out(text)
    return code


def _touch(arguments: Sequence[str], machine: Machine) -> Effects:
    yield from ()
    for name in arguments:
        machine.append(absolute(name, machine), "")
    return 0


def _rm(arguments: Sequence[str], machine: Machine) -> Effects:
    flags = "".join(each[1:] for each in arguments if each.startswith("-"))
    code = 0
    for name in (each for each in arguments if not each.startswith("-")):
        path = absolute(name, machine).rstrip("/")
        below = [each for each in machine.files if each == path or each.startswith(path + "/")]
        for each in below:
            del machine.files[each]
        if not below and "f" not in flags:
            yield Out(f"rm: cannot remove '{name}': No such file or directory\n", "stderr")
            code = 1
    return code


def _nothing(_arguments: Sequence[str], _machine: Machine) -> Effects:
    yield from ()
    return 0


def _ls(arguments: Sequence[str], machine: Machine) -> Effects:
    names = [each for each in arguments if not each.startswith("-")] or [machine.cwd]
    code = 0
    for name in names:
        path = absolute(name, machine).rstrip("/")
        if path in machine.files:
            yield Out(f"{name}\n")
            continue
        below = {each[len(path) + 1 :].split("/")[0] for each in machine.files if each.startswith(path + "/")}
        if below or path == "" or path in machine.directories():
            yield Out("".join(f"{each}\n" for each in sorted(below)))
        else:
            yield Out(f"ls: {name}: No such file or directory\n", "stderr")
            code = 1
    return code


def _env(arguments: Sequence[str], machine: Machine) -> Effects:
    wanted = list(arguments)
    if wanted:
        for name in wanted:
            if name not in machine.env:
                return 1
            yield Out(machine.env[name] + "\n")
        return 0
    yield Out("".join(f"{name}={value}\n" for name, value in machine.env.items()))
    return 0


def _hostname(arguments: Sequence[str], machine: Machine) -> Effects:
    yield Out((machine.ip if "-i" in arguments or "-I" in arguments else machine.hostname) + "\n")
    return 0


def _date(arguments: Sequence[str], machine: Machine) -> Effects:
    now = machine.now().astimezone(UTC)
    form = next((each[1:] for each in arguments if each.startswith("+")), "%a %b %e %H:%M:%S UTC %Y")
    yield Out(now.strftime(form.replace("%s", str(int(now.timestamp())))) + "\n")
    return 0


def _pwd(_arguments: Sequence[str], machine: Machine) -> Effects:
    yield Out(machine.cwd + "\n")
    return 0


def _whoami(_arguments: Sequence[str], _machine: Machine) -> Effects:
    yield Out("root\n")
    return 0


def _id(_arguments: Sequence[str], _machine: Machine) -> Effects:
    yield Out("uid=0(root) gid=0(root) groups=0(root)\n")
    return 0


def _uname(arguments: Sequence[str], machine: Machine) -> Effects:
    yield Out(f"Linux {machine.hostname} wherry-simulated\n" if "-a" in arguments else "Linux\n")
    return 0


def _tail(arguments: Sequence[str], machine: Machine) -> Effects:
    if any(each in ("-f", "-F") or (each.startswith("-") and "f" in each) for each in arguments):
        yield Sleep(math.inf)
        return 0
    return (yield from _ends(arguments, machine, last=True))


def _head(arguments: Sequence[str], machine: Machine) -> Effects:
    return (yield from _ends(arguments, machine, last=False))


def _ends(arguments: Sequence[str], machine: Machine, *, last: bool) -> Effects:
    words, count = list(arguments), 10
    if "-n" in words and words.index("-n") + 1 < len(words):
        at = words.index("-n")
        text = words[at + 1]
        del words[at : at + 2]
        count = int(text) if text.isdigit() else count
    elif words and words[0][1:].isdigit():
        count = int(words.pop(0)[1:])
    text = machine.files.get(absolute(words[0], machine), "") if words else machine.stdin
    lines = text.splitlines(keepends=True)
    yield Out("".join(lines[-count:] if last and count else lines[:count]))
    return 0


def _wc(arguments: Sequence[str], machine: Machine) -> Effects:
    names = [each for each in arguments if not each.startswith("-")]
    text = machine.files.get(absolute(names[0], machine), "") if names else machine.stdin
    counts = {"-l": text.count("\n"), "-w": len(text.split()), "-c": len(text.encode())}
    chosen = [counts[each] for each in arguments if each in counts] or list(counts.values())
    yield Out(" ".join(map(str, chosen)) + "\n")
    return 0


def _grep(arguments: Sequence[str], machine: Machine) -> Effects:
    words = [each for each in arguments if not each.startswith("-")]
    if not words:
        return 2
    text = machine.files.get(absolute(words[1], machine), "") if len(words) > 1 else machine.stdin
    found = [line for line in text.splitlines() if words[0] in line]
    if "-q" not in arguments:
        yield Out("".join(f"{line}\n" for line in found))
    return 0 if found else 1


def _tee(arguments: Sequence[str], machine: Machine) -> Effects:
    for name in (each for each in arguments if not each.startswith("-")):
        path = absolute(name, machine)
        if "-a" not in arguments:
            machine.files.pop(path, None)
        machine.append(path, machine.stdin)
    yield Out(machine.stdin)
    return 0


def _seq(arguments: Sequence[str], _machine: Machine) -> Effects:
    try:
        numbers = [int(each) for each in arguments]
    except ValueError:
        return 1
    first, step, last = (
        (1, 1, numbers[0]) if len(numbers) == 1 else (numbers[0], 1, numbers[1]) if len(numbers) == 2 else tuple(numbers[:3])
    )
    yield Out("".join(f"{each}\n" for each in range(first, last + 1, step or 1)[:10_000]))
    return 0


def _test(arguments: Sequence[str], machine: Machine) -> Effects:
    yield from ()
    words = list(arguments)
    negated = bool(words) and words[0] == "!"
    return int(_holds(words[1:] if negated else words, machine) is negated)


def _holds(words: Sequence[str], machine: Machine) -> bool:
    if len(words) == 3:
        return _compare(*words)
    if len(words) == 2 and words[0] in ("-f", "-e", "-s", "-r"):
        return absolute(words[1], machine) in machine.files
    if len(words) == 2 and words[0] == "-d":
        path = absolute(words[1], machine).rstrip("/")
        return path in machine.directories() or any(each.startswith(path + "/") for each in machine.files)
    if len(words) == 2 and words[0] in ("-z", "-n"):
        return (words[1] == "") is (words[0] == "-z")
    return len(words) == 1 and words[0] != ""


def _compare(left: str, sign: str, right: str) -> bool:
    if sign in ("=", "=="):
        return left == right
    if sign == "!=":
        return left != right
    try:
        a, b = int(left), int(right)
    except ValueError:
        return False
    return {"-eq": a == b, "-ne": a != b, "-lt": a < b, "-le": a <= b, "-gt": a > b, "-ge": a >= b}.get(sign, False)


def _bracket(arguments: Sequence[str], machine: Machine) -> Effects:
    return (yield from _test(arguments[:-1] if arguments and arguments[-1] in ("]", "]]") else arguments, machine))


def _pause(_arguments: Sequence[str], _machine: Machine) -> Effects:
    yield Sleep(math.inf)
    return 0


COMMANDS: dict[str, CommandFunction] = {
    ":": _true,
    "true": _true,
    "false": _false,
    "echo": _echo,
    "printf": _printf,
    "sleep": _sleep,
    "cat": _cat,
    "touch": _touch,
    "rm": _rm,
    "mkdir": _nothing,
    "chmod": _nothing,
    "chown": _nothing,
    "sync": _nothing,
    "ls": _ls,
    "env": _env,
    "printenv": _env,
    "hostname": _hostname,
    "date": _date,
    "pwd": _pwd,
    "whoami": _whoami,
    "id": _id,
    "uname": _uname,
    "tail": _tail,
    "head": _head,
    "wc": _wc,
    "grep": _grep,
    "tee": _tee,
    "seq": _seq,
    "test": _test,
    "[": _bracket,
    "[[": _bracket,
    "pause": _pause,
    "/pause": _pause,
}
