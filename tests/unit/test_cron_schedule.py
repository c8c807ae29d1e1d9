"""Cron schedules: what is one, and upstream's words for what is not."""

from __future__ import annotations

import pytest

from apiserver.validation.cron_schedule import CronError, check_duration, check_schedule

FINE = [
    "* * * * *",
    "  0   0 * * *  ",
    "0,15,30-45/5 9-17 ? JAN-MAR MON,WED,fri",
    "1, * * * *",
    "0 0 31 2 *",
    "*/7 1-5/2 * * 0-6",
    "@hourly",
    "@every 1h30m",
    "@every 0",
]
WRONG = [
    ("", "empty spec string"),
    ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
    ("60 * * * *", "end of range (60) above maximum (59): 60"),
    ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
    ("* * * * 7", "end of range (7) above maximum (6): 7"),
    ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
    ("*/0 * * * *", "step of range should be a positive number: */0"),
    ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
    ("1/2/3 * * * *", "too many slashes: 1/2/3"),
    ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
    ("-1 * * * *", 'failed to parse int from : strconv.Atoi: parsing "": invalid syntax'),
    ("99999999999999999999 * * * *", "strconv.Atoi: parsing "),
    ("*/-2 * * * *", "negative number (-2) not allowed: -2"),
    ("@fortnightly", "unrecognized descriptor: @fortnightly"),
    ("@every 5x", 'failed to parse duration @every 5x: time: unknown unit "x" in duration "5x"'),
    ("@every 5", 'failed to parse duration @every 5: time: missing unit in duration "5"'),
    ("@every ", 'failed to parse duration @every : time: invalid duration ""'),
]


@pytest.mark.parametrize("text", FINE, ids=[f"{text!r} is a schedule" for text in FINE])
def test_schedules(text: str) -> None:
    check_schedule(text)


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[f"{text!r} is refused" for text, _ in WRONG])
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(CronError) as caught:
        check_schedule(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["1h0", "h", "1.2.3s", ".s", "1h 30m"])
def test_that_these_are_no_durations(text: str) -> None:
    with pytest.raises(CronError):
        check_duration(text)
