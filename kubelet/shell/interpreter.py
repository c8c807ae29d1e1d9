"""Runs shell scripts without a machine: no process, no file of the host, no network; time passes only where a script sleeps.

`run(command, machine)` is a generator of effects, so that one timer is all that a sleeping container costs:

    Sleep(seconds)      go on after that long (`math.inf`: never)
    Out(text, stream)   text on "stdout" or "stderr"
    Ask(server, name)   go on when a DNS server has answered, or not

and it returns the exit code. A command that is not known raises `NotSimulated` before anything else of it happens; `knows` says so
beforehand for a whole script. `machine.py` has the effects, `commands.py` the commands, `syntax.py` the language.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Generator, Sequence
from typing import Any

from kubelet.shell import syntax
from kubelet.shell.commands import COMMANDS
from kubelet.shell.machine import Effect, Effects, Machine, Out, absolute
from kubelet.shell.names import RESOLVING
from kubelet.shell.syntax import Command, For, Group, If, Loop, Node, Pipeline, Redirect, Sequence_
from kubelet.shell.words import Part, ShellSyntaxError, Word

STEPS_MAX = 20_000
"""Commands between two sleeps; a script that needs more is stopped."""
WORD_CHARS_MAX = 1 << 20
_SHELLS = frozenset({"sh", "bash", "ash", "dash", "/bin/sh", "/bin/bash", "/bin/ash", "/bin/dash", "/usr/bin/bash", "/usr/bin/sh"})


class NotSimulated(Exception):
    """A command (its name is the message) that nobody knows here."""


class _Exit(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


def run(command: Sequence[str], machine: Machine) -> Effects:
    """Run an argument vector. Raises NotSimulated."""
    if is_shell(command) and len(command) > 2 and command[1].startswith("-") and "c" in command[1]:
        return (yield from run_script(command[2], machine))
    return (yield from _run_words(list(command), machine))


def run_script(text: str, machine: Machine) -> Effects:
    """Run a script's text. Raises NotSimulated (ShellSyntaxError is one exit code, as in a real shell)."""
    try:
        tree = syntax.parse(text)
    except ShellSyntaxError as error:
        raise NotSimulated(f"the script ({error})") from error
    try:
        return (yield from _node(tree, machine))
    except _Exit as error:
        return error.code
    except (_Break, _Continue):
        return 0


def is_shell(command: Sequence[str]) -> bool:
    return bool(command) and command[0] in _SHELLS


def knows(command: Sequence[str], *, resolves: bool = False) -> bool:
    """Whether every command that `command` may run is known here; `resolves`: those that ask DNS are."""
    if not command:
        return False
    if is_shell(command):
        if len(command) < 3 or not (command[1].startswith("-") and "c" in command[1]):
            return False
        try:
            names = set(_names(syntax.parse(command[2])))
        except ShellSyntaxError:
            return False
        return all(name in COMMANDS or name in _SPECIAL or (resolves and name in RESOLVING) for name in names)
    name = base_name(command[0])
    return name in COMMANDS or (resolves and name in RESOLVING)


def base_name(path: str) -> str:
    """`/bin/sleep` -> `sleep`, for the usual places of commands."""
    folder, _, name = path.rpartition("/")
    return name if folder in ("", "/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin") else path


def _names(node: Node | None) -> Generator[str, None, None]:
    """Every command name in a tree; "?" for one that is computed."""
    if isinstance(node, Command):
        if node.words:
            plain = all(part.kind == "literal" for part in node.words[0])
            yield base_name("".join(part.value for part in node.words[0])) if plain else "?"
        for word in (*node.words, *(value for _, value in node.assignments)):
            for part in word:
                if part.kind == "command":
                    yield from _names(syntax.parse(part.value))
    elif isinstance(node, Pipeline):
        for each in node.commands:
            yield from _names(each)
    elif isinstance(node, Sequence_):
        for _, each in node.items:
            yield from _names(each)
    elif isinstance(node, If):
        for child in (node.condition, node.body, node.otherwise):
            yield from _names(child)
    elif isinstance(node, Loop):
        yield from _names(node.condition)
        yield from _names(node.body)
    elif isinstance(node, For | Group):
        yield from _names(node.body)


# --- running a tree ---------------------------------------------------------------------------------------------------------


def _node(node: Node, machine: Machine) -> Effects:
    machine.steps += 1
    if machine.steps > STEPS_MAX:
        raise NotSimulated("a script that never sleeps")
    if isinstance(node, Command):
        machine.last = yield from _command(node, machine)
    elif isinstance(node, Sequence_):
        yield from _sequence(node, machine)
    elif isinstance(node, Pipeline):
        machine.last = yield from _pipeline(node, machine)
    elif isinstance(node, If):
        code = yield from _node(node.condition, machine)
        chosen = node.body if code == 0 else node.otherwise
        machine.last = (yield from _node(chosen, machine)) if chosen else 0
    elif isinstance(node, Loop):
        yield from _loop(node, machine)
    elif isinstance(node, For):
        yield from _for(node, machine)
    else:
        machine.last = yield from _redirected(_node(node.body, machine), node.redirects, machine)
    return machine.last


def _sequence(node: Sequence_, machine: Machine) -> Effects:
    for joint, each in node.items:
        if (joint == "&&" and machine.last != 0) or (joint == "||" and machine.last == 0):
            continue
        yield from _node(each, machine)
    return machine.last


def _loop(node: Loop, machine: Machine) -> Effects:
    while ((yield from _node(node.condition, machine)) == 0) is node.wants:
        try:
            yield from _node(node.body, machine)
        except _Continue:
            continue
        except _Break:
            break
    machine.last = 0
    return 0


def _for(node: For, machine: Machine) -> Effects:
    for value in (yield from _expand_all(node.words, machine)):
        machine.env[node.name] = value
        try:
            yield from _node(node.body, machine)
        except _Continue:
            continue
        except _Break:
            break
    return machine.last


def _pipeline(node: Pipeline, machine: Machine) -> Effects:
    code, text = 0, machine.stdin
    for each in node.commands[:-1]:
        machine.stdin = text
        text, code = yield from _captured(_node(each, machine))
    machine.stdin = text
    code = yield from _node(node.commands[-1], machine)
    machine.stdin = ""
    return int(code == 0) if node.negated else code


def _captured(effects: Effects) -> Generator[Effect, None, tuple[str, int]]:
    """(what it wrote to stdout, its exit code); everything else passes through."""
    written: list[str] = []
    while True:
        try:
            effect = next(effects)
        except StopIteration as stop:
            return "".join(written), stop.value
        if isinstance(effect, Out) and effect.stream == "stdout":
            written.append(effect.text)
        else:
            yield effect


def _command(node: Command, machine: Machine) -> Effects:
    values = []
    for name, word in node.assignments:
        values.append((name, " ".join((yield from _expand(word, machine))) if word else ""))
    words = yield from _expand_all(node.words, machine)
    if not words:
        machine.env.update(values)
        return machine.last if any(part.kind == "command" for _, word in node.assignments for part in word) else 0
    saved = dict(machine.env) if values else machine.env
    machine.env.update(values)
    try:
        return (yield from _redirected(_run_words(words, machine), node.redirects, machine))
    finally:
        machine.env = saved if values else machine.env


def _redirected(effects: Effects, redirects: Sequence[Redirect], machine: Machine) -> Effects:
    """Run with stdout and stderr going where `redirects` says."""
    if not redirects:
        return (yield from effects)
    targets: dict[str, str | None] = {}
    for each in redirects:
        target = "".join((yield from _expand(each.target, machine)))
        if each.operator == "<":
            machine.stdin = machine.files.get(absolute(target, machine), "")
        elif each.operator == ">&":
            targets["stderr" if each.descriptor == 2 else "stdout"] = f"&{target}"
        else:
            path = absolute(target, machine)
            if each.operator == ">" and path != "/dev/null":
                machine.files[path] = ""
            targets["stderr" if each.descriptor == 2 else "stdout"] = path
    return (yield from _sent(effects, targets, machine))


def _sent(effects: Effects, targets: dict[str, str | None], machine: Machine) -> Effects:
    while True:
        try:
            effect = next(effects)
        except StopIteration as stop:
            return int(stop.value)
        target = targets.get(effect.stream) if isinstance(effect, Out) else None
        if target in ("&1", "&2") and isinstance(effect, Out):
            stream = "stdout" if target == "&1" else "stderr"
            target = targets.get(stream) if stream != effect.stream else None
            effect = Out(effect.text, stream)
        if target is None or target.startswith("&") or not isinstance(effect, Out):
            yield effect
        elif target in ("/dev/stdout", "/proc/1/fd/1"):
            yield Out(effect.text)
        elif target != "/dev/null":
            machine.append(target, effect.text)


# --- commands that are the shell's own ----------------------------------------------------------------------------------------

_SPECIAL = frozenset({"exit", "break", "continue", "exec", "set", "export", "trap", "wait", "cd", "eval", "read", "sh", "bash", "unset"})


def _run_words(words: list[str], machine: Machine) -> Effects:
    name, arguments = base_name(words[0]), words[1:]
    if name == "exit":
        raise _Exit(int(arguments[0]) if arguments and arguments[0].isdigit() else machine.last)
    if name == "break":
        raise _Break
    if name == "continue":
        raise _Continue
    if name == "exec":
        raise _Exit((yield from run(arguments, machine)) if arguments else 0)
    if name in ("set", "trap", "unset"):
        return 0
    if name == "export":
        machine.env.update(dict(each.partition("=")[::2] for each in arguments if "=" in each))
        return 0
    if name == "cd":
        machine.cwd = absolute(arguments[0] if arguments else "/", machine)
        return 0
    if name == "eval":
        return (yield from run_script(" ".join(arguments), machine))
    if name == "read":
        return _read(arguments, machine)
    if name == "wait":
        return 0
    if is_shell(words):
        return (yield from run(words, machine)) if len(words) > 2 else 0
    command = COMMANDS.get(name) or (RESOLVING.get(name) if machine.resolves else None)
    if command is None:
        raise NotSimulated(name)
    return (yield from command(arguments, machine))


def _read(names: Sequence[str], machine: Machine) -> int:
    line, found, machine.stdin = machine.stdin.partition("\n")
    if not line and not found:
        return 1
    machine.env[names[-1] if names else "REPLY"] = line
    return 0


# --- words --------------------------------------------------------------------------------------------------------------------


def _expand_all(words: Sequence[Word], machine: Machine) -> Generator[Effect, None, list[str]]:
    found: list[str] = []
    for word in words:
        found.extend((yield from _expand(word, machine)))
    return found


def _expand(word: Word, machine: Machine) -> Generator[Effect, None, list[str]]:
    """A word's fields: unquoted expansions are split at white space."""
    fields = [""]
    kept = any(part.quoted or part.kind == "literal" for part in word)
    for part in word:
        value = part.value if part.kind == "literal" else (yield from _value(part, machine))
        if part.kind == "literal" or part.quoted:
            fields[-1] += value
            continue
        pieces = value.split()
        if pieces:
            fields[-1] += pieces[0]
            fields.extend(pieces[1:])
    if sum(map(len, fields)) > WORD_CHARS_MAX:
        raise NotSimulated("a word of more than a megabyte")
    return fields if kept or fields != [""] else []


def _value(part: Part, machine: Machine) -> Generator[Effect, None, str]:
    if part.kind == "variable":
        return _variable(part.value, machine)
    if part.kind == "arithmetic":
        return str(arithmetic(part.value, machine.env))
    text, machine.last = yield from _captured(run_script(part.value, machine))
    return text.rstrip("\n")


def _variable(expression: str, machine: Machine) -> str:
    """`name`, `name:-default`, `name-default`, `?`, `$`, `#name`."""
    if expression == "?":
        return str(machine.last)
    if expression == "$":
        return "1"
    name, colon, default = expression.partition(":-")
    if not colon:
        name, _, default = expression.partition("-")
    return machine.env.get(name) or default


_BINARY: dict[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_NUMBER_BITS_MAX = 64


def arithmetic(text: str, env: dict[str, str]) -> int:
    """The value of `$(( text ))`: + - * / % and comparisons of whole numbers and variables. Raises NotSimulated."""
    try:
        tree = ast.parse(text.replace("$", "").replace("/", "//").strip() or "0", mode="eval")
        return _evaluated(tree.body, env)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError) as error:
        raise NotSimulated(f"$(({text}))") from error


def _evaluated(node: Any, env: dict[str, str]) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        value = node.value
    elif isinstance(node, ast.Name):
        value = int(env.get(node.id) or 0)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = -_evaluated(node.operand, env)
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        value = _BINARY[type(node.op)](_evaluated(node.left, env), _evaluated(node.right, env))
    else:
        raise ValueError("not understood")
    if value.bit_length() > _NUMBER_BITS_MAX:
        raise ValueError("too large")
    return value
