"""Counters, gauges and histograms: how they count, and how Prometheus reads them."""

from __future__ import annotations

import math
import os
import re
import sys

import pytest

from kube.runtime import metrics, process_metrics
from kube.runtime.instruments import Counter, Family, Gauge, Histogram, number

NUMBERS = {
    0: "0",
    1: "1",
    -3: "-3",
    0.005: "0.005",
    0.0001: "0.0001",
    0.00001: "1e-05",
    1e-8: "1e-08",
    999999: "999999",
    999999.5: "999999.5",
    1_000_000: "1e+06",
    12_345_678: "1.2345678e+07",
    -1234567.25: "-1.23456725e+06",
    1e16: "1e+16",
    1.5e300: "1.5e+300",
    math.inf: "+Inf",
    -math.inf: "-Inf",
}


@pytest.mark.parametrize(("value", "text"), NUMBERS.items(), ids=NUMBERS.values())
def test_numbers_are_written_as_go_writes_them(value: float, text: str) -> None:
    assert number(value) == text
    assert float(text) == value


def test_no_number_is_one() -> None:
    assert number(math.nan) == "NaN"


def counters(*labels: str) -> Family[Counter]:
    return Family("things", "All\nthe \\ things", labels, Counter, Counter.kind)


def test_a_counter_without_labels_is_there_from_the_start() -> None:
    family = counters()
    head = ["# HELP things_total All\\nthe \\\\ things", "# TYPE things_total counter"]
    assert list(family.lines()) == [*head, "things_total 0"]
    family.labels().inc()
    family.labels().inc(2.5)
    assert list(family.lines()) == [*head, "things_total 3.5"]


def test_each_set_of_label_values_has_its_own_number_and_labels_are_sorted_and_escaped() -> None:
    family = counters("verb", "code")
    assert len(list(family.lines())) == 2
    family.labels("GET", "200").inc()
    family.labels('a"b\\c\nd', "").inc(2)
    assert family.labels("GET", "200").value == 1
    assert list(family.lines())[2:] == [
        'things_total{code="200",verb="GET"} 1',
        'things_total{code="",verb="a\\"b\\\\c\\nd"} 2',
    ]


@pytest.mark.parametrize("values", [(), ("GET",), ("GET", "200", "x")])
def test_label_values_that_do_not_fit_are_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="has the labels"):
        counters("verb", "code").labels(*values)


def test_a_gauge_goes_up_and_down_or_asks() -> None:
    family = Family("level", "Level", (), Gauge, Gauge.kind)
    gauge = family.labels()
    gauge.inc(3)
    gauge.dec()
    assert gauge.value == 2
    asked = iter([7.0, 8.0])
    gauge.set_function(lambda: next(asked))
    assert [list(family.lines())[-1] for _ in range(2)] == ["level 7", "level 8"]
    gauge.set(1)
    assert gauge.value == 1


def test_a_histogram_counts_what_is_at_most_so_large() -> None:
    family = Family("size", "Size", ("of",), lambda: Histogram((0.5, 1, 10)), Histogram.kind)
    histogram = family.labels("x")
    for value in (0.1, 0.5, 0.6, 10, 11):
        histogram.observe(value)
    assert list(family.lines())[1:] == [
        "# TYPE size histogram",
        'size_bucket{of="x",le="0.5"} 2',
        'size_bucket{of="x",le="1"} 3',
        'size_bucket{of="x",le="10"} 4',
        'size_bucket{of="x",le="+Inf"} 5',
        'size_sum{of="x"} 22.2',
        'size_count{of="x"} 5',
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_tells_what_it_uses() -> None:
    told = dict(line.rsplit(" ", 1) for line in process_metrics.lines() if not line.startswith("#"))
    assert float(told['python_gc_collections_total{generation="0"}']) >= 0
    assert any(name.startswith("python_info{") for name in told)
    with open("/proc/self/status") as status:
        rss_kib = int(next(line.split()[1] for line in status if line.startswith("VmRSS:")))
    assert 0.5 < float(told["process_resident_memory_bytes"]) / (rss_kib * 1024) < 2
    assert float(told["process_virtual_memory_bytes"]) > float(told["process_resident_memory_bytes"])
    assert abs(float(told["process_open_fds"]) - len(os.listdir("/proc/self/fd"))) < 10
    assert float(told["process_cpu_seconds_total"]) > 0


def test_every_line_is_one_that_prometheus_reads() -> None:
    metrics.QUEUE_WAIT.labels("read").observe(0.5)
    text = metrics.exposition().decode()
    assert text.endswith("\n")
    form = re.compile(r'# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"\n]*"(,\w+="[^"\n]*")*\})? [-+.\w]+')
    assert [line for line in text.splitlines() if not form.fullmatch(line)] == []
    names = re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE)
    assert len(names) == len(set(names))
