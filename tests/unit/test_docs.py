"""What the documents say of the code is true: every path they name is there, and the list of deviations is the code's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.deviations import document

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PATH = re.compile(r"`((?:apiserver|controllers|kubelet|kube|wherry|tests|bench|docs)/[A-Za-z0-9_./-]*)`")
LINK = re.compile(r"\]\(([^)#:]+)\)")


@pytest.mark.parametrize("document_path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_that_a_document_names_is_there(document_path: Path) -> None:
    text = document_path.read_text()
    named = {ROOT / each for each in PATH.findall(text)} | {document_path.parent / each for each in LINK.findall(text)}
    assert [str(each) for each in sorted(named) if not each.exists()] == []


def test_the_list_of_deviations_is_that_of_the_code() -> None:
    assert (ROOT / "docs/deviations.md").read_text() == document(ROOT), "run `make docs`"
