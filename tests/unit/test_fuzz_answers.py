"""Which answers to a fuzzer are findings."""

from __future__ import annotations

import pytest

from tests.fuzz.answers import Answer, Tally, of_har


def answer(status: int, text: str = "", took_s: float = 0.1) -> Answer:
    return Answer("GET", "/api/v1/pods", "", status, text, took_s)


BAD: dict[str, tuple[Answer, bool]] = {
    "an answer": (answer(200), False),
    "a refusal": (answer(422), False),
    "a failure": (answer(500, "an error on the server prevented the request from succeeding"), True),
    "a failure that upstream has, too": (answer(500, 'strconv.ParseUint: parsing "x": invalid syntax'), False),
    "its words with another status": (answer(503, 'strconv.ParseUint: parsing "x": invalid syntax'), True),
    "a version of the future": (answer(504, "Timeout: Too large resource version: 9, current: 1"), False),
    "no answer": (answer(0), True),
    "one that hung": (answer(200, took_s=11), True),
}


@pytest.mark.parametrize(("found", "bad"), BAD.values(), ids=BAD.keys())
def test_findings(found: Answer, bad: bool) -> None:
    assert found.is_bad is bad


def test_an_archive_is_counted() -> None:
    entries = [
        {"request": {"method": "POST", "url": "/a", "postData": {"text": "{}"}}, "response": {"status": 201, "content": {}}, "time": 5.0},
        {"request": {"method": "GET", "url": "/b"}, "response": None, "time": 30_000.0},
    ]
    tally = Tally()
    tally.add(of_har({"log": {"entries": entries}}))
    assert str(tally) == "2 requests (0: 1, 201: 1), 1 bad"
    assert str(tally.bad[0]).startswith("0 after 30.0 s: GET /b")
