"""docs/conformance.md says the truth about the tests: it is what the generator writes, and each test that it names is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from docs import conformance
from tests.component.conformance_kinds import LIFE_CYCLES

ROOT = Path(__file__).resolve().parents[2]
ROWS = conformance.rows()
BEHAVIOURS = 446
"""Of upstream's conformance.yaml of v1.36."""


def test_the_page_is_what_the_generator_writes() -> None:
    assert (ROOT / "docs/conformance.md").read_text(encoding="utf-8") == conformance.document(ROWS), "run `python -m docs.conformance`"


def test_each_behaviour_has_one_row() -> None:
    assert len(ROWS) == BEHAVIOURS
    assert len({(row.area, row.behaviour) for row in ROWS}) == BEHAVIOURS


def test_each_row_has_an_area_a_topic_and_a_state() -> None:
    assert [row for row in ROWS if row.state not in conformance.STATES or row.area not in conformance.AREAS or not row.topic] == []


def test_what_holds_is_shown_by_a_test_and_the_rest_is_explained() -> None:
    assert [row.behaviour for row in ROWS if row.state == "holds" and not row.tests] == []
    assert [row.behaviour for row in ROWS if row.state != "holds" and not row.note] == []


def test_each_test_that_is_named_is_there() -> None:
    assert sorted({test for row in ROWS for test in row.tests if not is_there(test)}) == []


def is_there(test: str) -> bool:
    path, _, name = test.partition("::")
    function, _, case = name.partition("[")
    cases = {f"{each.id}]" for each in LIFE_CYCLES}
    return function.startswith("test_") and function in functions_of(path) and (not case or case in cases)


@cache
def functions_of(path: str) -> frozenset[str]:
    """The functions of a test file."""
    file = ROOT / path
    tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])
    return frozenset(each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
