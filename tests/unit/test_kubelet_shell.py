"""The very small shell of simulated containers (`kubelet/shell`)."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelet.shell import interpreter, syntax
from kubelet.shell.interpreter import NotSimulated
from kubelet.shell.machine import Machine, Out, Sleep
from kubelet.shell.words import ShellSyntaxError


def machine(**rest: object) -> Machine:
    made = Machine(
        now=lambda: datetime(2026, 1, 1, 12, tzinfo=UTC), env={"NAME": "world", "EMPTY": ""}, files={"/etc/motd": "hi\n"}, hostname="web-0"
    )
    for key, value in rest.items():
        setattr(made, key, value)
    return made


def ran(script: str, on: Machine | None = None, *, effects_max: int = 1000) -> tuple[str, str, float, int | None]:
    """(stdout, stderr, seconds slept, exit code; None when it was still going after `effects_max` effects)."""
    effects = interpreter.run_script(script, on or machine())
    out: dict[str, str] = {"stdout": "", "stderr": ""}
    slept = 0.0
    for _ in range(effects_max):
        try:
            effect = next(effects)
        except StopIteration as stop:
            return out["stdout"], out["stderr"], slept, int(stop.value)
        if isinstance(effect, Out):
            out[effect.stream] += effect.text
        elif isinstance(effect, Sleep):
            slept += effect.seconds
            if slept == math.inf:
                break
    return out["stdout"], out["stderr"], slept, None


SCRIPTS: dict[str, tuple[str, str, float, int | None]] = {
    "echo": ("echo hello   world", "hello world\n", 0, 0),
    "quotes keep spaces": ("echo 'a  b' \"c  d\"", "a  b c  d\n", 0, 0),
    "variables expand in double quotes only": ("echo \"$NAME\" '$NAME' ${NAME}", "world $NAME world\n", 0, 0),
    "an escaped dollar sign stays": ('echo "\\$NAME"', "$NAME\n", 0, 0),
    "a default for a variable that is empty": ("echo ${EMPTY:-none} ${NOTHING-too}", "none too\n", 0, 0),
    "unquoted variables are split": ("X='a  b'; echo $X; echo \"$X\"", "a b\na  b\n", 0, 0),
    "sleep takes time": ("sleep 3; sleep 1m", "", 63, 0),
    "the exit code is the last command's": ("true; false", "", 0, 1),
    "exit ends it": ("echo a; exit 3; echo b", "a\n", 0, 3),
    "and": ("true && echo yes; false && echo no", "yes\n", 0, 1),
    "or": ("false || echo yes; true || echo no", "yes\n", 0, 0),
    "not": ("! false", "", 0, 0),
    "if": ("if [ -f /etc/motd ]; then echo there; else echo gone; fi", "there\n", 0, 0),
    "elif": ("if false; then echo a; elif true; then echo b; fi", "b\n", 0, 0),
    "for": ("for i in 1 2 3; do echo $i; done", "1\n2\n3\n", 0, 0),
    "while with arithmetic": ("i=0; while [ $i -lt 3 ]; do echo $i; i=$((i+1)); done", "0\n1\n2\n", 0, 0),
    "until and break": ("until false; do echo once; break; done", "once\n", 0, 0),
    "continue": ("for i in 1 2; do continue; echo no; done", "", 0, 0),
    "a line per command": ("echo a\necho b\n", "a\nb\n", 0, 0),
    "comments": ("echo a # not this\n# nor this", "a\n", 0, 0),
    "command substitution": ('echo "it is $(date +%H:%M) on $(hostname)"', "it is 12:00 on web-0\n", 0, 0),
    "backquotes": ("echo `hostname`", "web-0\n", 0, 0),
    "a file is written and read": ("echo a > /tmp/x; echo b >> /tmp/x; cat /tmp/x", "a\nb\n", 0, 0),
    "output goes nowhere": ("echo a > /dev/null; cat /nope 2>/dev/null; echo b", "b\n", 0, 0),
    "errors join the output": ("cat /nope 2>&1", "cat: /nope: No such file or directory\n", 0, 1),
    "a pipe": ("echo 'a\nb' | grep b | wc -l", "1\n", 0, 0),
    "input from a file": ("cat < /etc/motd", "hi\n", 0, 0),
    "a group": ("{ echo a; echo b; } > /tmp/g; cat /tmp/g", "a\nb\n", 0, 0),
    "touch and rm": ("touch /tmp/healthy; ls /tmp; rm -f /tmp/healthy; [ -e /tmp/healthy ] || echo gone", "healthy\ngone\n", 0, 0),
    "printf": ("printf '%s-%s\\n' a b", "a-b\n", 0, 0),
    "an assignment for one command": ("X=1 printenv X; echo [$X]", "1\n[]\n", 0, 0),
    "test with numbers": ("[ 3 -gt 2 ] && [ 2 -le 2 ] && echo ok", "ok\n", 0, 0),
    "exec replaces the shell": ("exec sleep 5; echo never", "", 5, 0),
    "it never ends": ("while true; do echo tick; sleep 1; done", "tick\n" * 500, 500, None),
    "tail -f waits for ever": ("tail -f /dev/null", "", math.inf, None),
    "a for over the output of a command": ("for i in $(seq 1 3); do echo -n $i; done", "123", 0, 0),
    "tee": ("echo a | tee /tmp/t; cat /tmp/t", "a\na\n", 0, 0),
    "a nested shell": ("sh -c 'echo inner; exit 4'; echo $?", "inner\n4\n", 0, 0),
}


@pytest.mark.parametrize(("script", "out", "slept", "code"), SCRIPTS.values(), ids=SCRIPTS.keys())
def test_script(script: str, out: str, slept: float, code: int | None) -> None:
    stdout, _, seconds, exit_code = ran(script)
    assert (stdout, seconds, exit_code) == (out, slept, code)


def test_errors_go_to_stderr() -> None:
    assert ran("cat /nope")[:2] == ("", "cat: /nope: No such file or directory\n")


UNKNOWN = [
    "nginx -g 'daemon off;'",
    "f() { echo; }",
    "case x in x) ;; esac",
    "sleep 1 &",
    "cat <<EOF\nx\nEOF",
    "echo $((2**9999))",
    "echo 'open",
]


@pytest.mark.parametrize("script", UNKNOWN)
def test_what_is_not_known_says_so(script: str) -> None:
    with pytest.raises(NotSimulated):
        ran(script)


def test_a_loop_without_a_sleep_is_stopped() -> None:
    with pytest.raises(NotSimulated, match="never sleeps"):
        ran("while true; do :; done")


def test_a_word_that_grows_without_end_is_stopped() -> None:
    with pytest.raises(NotSimulated, match="megabyte"):
        ran("x=aaaaaaaa; while true; do x=$x$x; done")


def test_a_file_that_grows_without_end_loses_its_beginning() -> None:
    on = machine()
    on.append("/log", "x" * (1 << 20))
    on.append("/log", "end")
    assert len(on.files["/log"]) == 1 << 20
    assert on.files["/log"].endswith("end")


KNOWN = {
    "a known command": (["sleep", "3600"], True),
    "a path to a known command": (["/bin/sleep", "3600"], True),
    "a script of known commands": (["sh", "-c", "while true; do echo $(date); sleep 1; done"], True),
    "a script with an unknown command": (["sh", "-c", "echo a; nginx"], False),
    "an unknown command in a substitution": (["sh", "-c", "echo $(nginx -v)"], False),
    "a computed command": (["sh", "-c", "$CMD"], False),
    "a server": (["nginx", "-g", "daemon off;"], False),
    "a shell without a script": (["sh"], False),
    "nothing": ([], False),
}


@pytest.mark.parametrize(("command", "expected"), KNOWN.values(), ids=KNOWN.keys())
def test_knows(command: list[str], expected: bool) -> None:
    assert interpreter.knows(command) is expected


def test_an_argument_vector_runs_without_a_shell() -> None:
    effects = interpreter.run(["echo", "$NAME"], machine())
    assert next(effects) == Out("$NAME\n")
    assert next(interpreter.run(["sleep", "7"], machine())) == Sleep(7)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab $(){}|&;<>\"'\\`\n!#=0", max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        syntax.parse(text)
    except ShellSyntaxError:
        pass
