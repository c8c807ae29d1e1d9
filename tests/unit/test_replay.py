"""What the replay runner chooses, reads and compares."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.replay.__main__ import main
from tests.replay.scores import Score, chosen, differing, scores, table

FILES = [Path(f"{name}.jsonl") for name in ("auth-rbac", "machinery-watch", "machinery-watch-list")]

CHOICES: dict[str, tuple[list[str], list[str]]] = {
    "no area is all": ([], ["auth-rbac", "machinery-watch", "machinery-watch-list"]),
    "a beginning": (["machinery"], ["machinery-watch", "machinery-watch-list"]),
    "a whole name also begins others": (["machinery-watch"], ["machinery-watch", "machinery-watch-list"]),
    "half a word is no beginning": (["mach", "auth-rb"], []),
    "several": (["auth-rbac", "machinery-watch-list"], ["auth-rbac", "machinery-watch-list"]),
}


@pytest.mark.parametrize(("areas", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_areas(areas: list[str], expected: list[str]) -> None:
    assert [each.stem for each in chosen(FILES, areas)] == expected


def test_the_tools_output_is_scores_and_differences() -> None:
    found, rest = scores("auth-rbac #3 GET /api\n    .status: 500, reference has 200\nauth-rbac: 4/5\ntotal: 4/5 exchanges match\n")
    assert found == {"auth-rbac": Score(4, 5)}
    assert rest == "auth-rbac #3 GET /api\n    .status: 500, reference has 200"


def test_stores_that_score_differently_are_told_area_by_area() -> None:
    found = {"memory": {"a": Score(5, 5), "b": Score(1, 2)}, "sqlite": {"a": Score(4, 5), "b": Score(1, 2)}}
    assert differing(found) == ["a: memory 5/5, sqlite 4/5"]
    assert table(found) == "a: memory 5/5, sqlite 4/5\nb: memory 1/2, sqlite 1/2\ntotal: memory 6/7, sqlite 5/7"


def test_an_area_that_one_store_has_no_score_of_differs() -> None:
    assert differing({"memory": {"a": Score(5, 5)}, "sqlite": {}}) == ["a: memory 5/5, sqlite nothing"]


def test_without_recordings_it_says_how_to_name_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("RECORDINGS", raising=False)
    assert main([]) == 2
    assert "RECORDINGS=DIR" in capsys.readouterr().err


def test_an_area_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "replay.py").touch()
    assert main(["--recordings", str(tmp_path), "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
