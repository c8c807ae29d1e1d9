"""Writes docs/conformance.md from docs/conformance.tsv: each behaviour of upstream's conformance suite, and how Wherry stands to it.

`python -m docs.conformance`. A row is one behaviour: area (upstream's SIG), topic, behaviour (upstream's name of its test), state, note and
tests (path::name, several separated by blanks). A note says what is missing, or what a real container would have to show.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

DATA = Path(__file__).with_suffix(".tsv")
STATES = {"holds": "holds", "real": "needs real containers", "not yet": "not yet"}
AREAS = {
    "sig-apps": "Workloads",
    "sig-api-machinery": "The API",
    "sig-scheduling": "Scheduling",
    "sig-network": "Network",
    "sig-auth": "Accounts and certificates",
    "sig-storage": "Storage",
    "sig-node": "Pods and nodes",
    "sig-instrumentation": "Events",
    "sig-cli": "kubectl",
    "sig-architecture": "The whole",
}
HEAD = """# What works

Kubernetes says in {total} behaviours what a cluster must do to be called conformant (its `conformance.yaml` of v1.36). This is how Wherry
stands to each of them, by the names of upstream's tests. Nodes are simulated here, as they are by default.

| | | |
|---|---:|---|
| ✔ holds | {holds} | a test of ours goes through the behaviour's steps and would fail if it broke |
| ◐ needs real containers | {real} | only processes, a kernel or a network could show it; what part of it holds already is said |
| – not yet | {not_yet} | what is missing is said |

"""
MARKS = {"holds": "✔", "real": "◐", "not yet": "–"}
FOOT = """
`docs/conformance.tsv` has the rows; `python -m docs.conformance` writes this page.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One behaviour. `state` is one of STATES; `tests` are path::name, with [id] for one case of many."""

    area: str
    topic: str
    behaviour: str
    state: str
    note: str
    tests: Sequence[str]


def rows(data: Path = DATA) -> list[Row]:
    """All rows, in the order of the file."""
    with data.open(encoding="utf-8", newline="") as file:
        found = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            Row(each["area"], each["topic"], each["behaviour"], each["state"], each["note"], tuple(each["tests"].split())) for each in found
        ]


def document(found: Sequence[Row]) -> str:
    """The whole page."""
    counts = Counter(row.state for row in found)
    head = HEAD.format(total=len(found), holds=counts["holds"], real=counts["real"], not_yet=counts["not yet"])
    areas = [(area, list(inside)) for area, inside in groupby(found, key=lambda row: row.area)]
    return head + _overview(areas) + "".join(_area(area, inside) for area, inside in areas) + FOOT


def _overview(areas: Iterable[tuple[str, Sequence[Row]]]) -> str:
    lines = ["| | ✔ | ◐ | – |", "|---|---:|---:|---:|"]
    for area, inside in areas:
        counts = Counter(row.state for row in inside)
        title = AREAS[area]
        numbers = " | ".join(str(counts[state]) if counts[state] else "" for state in STATES)
        lines.append(f"| [{title}](#{_anchor(area)}) | {numbers} |")
    return "\n".join(lines) + "\n"


def _title(area: str) -> str:
    return f"{AREAS[area]} ({area})"


def _anchor(area: str) -> str:
    """The anchor that GitHub gives the area's heading."""
    return _title(area).lower().replace(" ", "-").replace("(", "").replace(")", "")


def _area(area: str, inside: Sequence[Row]) -> str:
    text = f"\n## {_title(area)}\n"
    for topic, of_topic in groupby(inside, key=lambda row: row.topic):
        lines = "\n".join(f"| {MARKS[row.state]} | {_cell(row.behaviour)} | {_said(row)} |" for row in of_topic)
        text += f"\n### {topic}\n\n| | behaviour | |\n|---|---|---|\n{lines}\n"
    return text


def _said(row: Row) -> str:
    """What is said of a behaviour, and the tests that show what holds."""
    lead = "" if row.state == "holds" else f"{STATES[row.state]}: "
    words = f"{lead}{_cell(row.note)}" if row.note else ""
    shown = ", ".join(_link(test) for test in row.tests)
    return (
        "; ".join(each for each in (words, shown) if each) if row.state != "holds" else "; ".join(each for each in (shown, words) if each)
    )


def _link(test: str) -> str:
    """The test as a link to its file; its name is a sentence, and the whole of it shows when pointed at."""
    path, _, name = test.partition("::")
    sentence, _, case = name.removeprefix("test_").partition("[")
    text = sentence.replace("_", " ") + (f" of {case.removesuffix(']')}" if case else "")
    return f'[{text}](../{path} "{test}")'


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    DATA.with_suffix(".md").write_text(document(rows()), encoding="utf-8")
