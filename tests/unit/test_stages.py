"""Stages: selectors, templates and the defaults (`kubelet/stages`)."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from kube.objects import Object
from kubelet.stages.query import Query, StageError
from kubelet.stages.stage import StageSet, compiled, defaults, seconds
from kubelet.stages.template import Template

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POD: Object = {
    "metadata": {
        "name": "p",
        "labels": {"app": "web"},
        "annotations": {"wherry.dev/run-for-s": "5"},
        "ownerReferences": [{"kind": "ReplicaSet"}, {"kind": "Job"}],
    },
    "spec": {"containers": [{"name": "a"}, {"name": "b"}], "restartPolicy": "Never"},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "False"}]},
}

QUERIES: dict[str, tuple[str, list[Any]]] = {
    "a path": (".metadata.name", ["p"]),
    "the whole object": (".", [POD]),
    "a path to nothing yields nothing": (".metadata.deletionTimestamp", []),
    "a path through nothing yields nothing": (".a.b.c", []),
    "a key that is no word": ('.metadata.annotations["wherry.dev/run-for-s"]', ["5"]),
    "an index": (".spec.containers[1].name", ["b"]),
    "every element": (".metadata.ownerReferences.[].kind", ["ReplicaSet", "Job"]),
    "every element, jq's usual way": (".metadata.ownerReferences[].kind", ["ReplicaSet", "Job"]),
    "a selection": ('.status.conditions.[] | select( .type == "Ready" ) | .status', ["True"]),
    "a negative selection": ('.status.conditions[] | select(.type != "Ready") | .type', ["Initialized"]),
}


@pytest.mark.parametrize(("expression", "expected"), QUERIES.values(), ids=QUERIES.keys())
def test_query(expression: str, expected: list[Any]) -> None:
    assert Query(expression).values(POD) == expected


@pytest.mark.parametrize("expression", [".a | length", "foo", ".a | select(.b > 1)", '.a | select(.b == "x"', ".a[", ".a + 1"])
def test_an_expression_that_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(StageError, match="expression"):
        Query(expression)


TEMPLATES: dict[str, tuple[str, str]] = {
    "plain text": ("hello", "hello"),
    "a field": ("{{ .metadata.name }}", "p"),
    "a missing field": ("{{ .metadata.nothing.at.all }}", "<no value>"),
    "a pipeline": ("{{ .metadata.name | Quote }}", '"p"'),
    "trimming": ("a  {{- 1 -}}  b", "a1b"),
    "a comment": ("a{{/* no */}}b", "ab"),
    "if and else": ("{{ if .nothing }}yes{{ else }}no{{ end }}", "no"),
    "else if": ('{{ if false }}a{{ else if eq .status.phase "Running" }}b{{ else }}c{{ end }}', "b"),
    "range over a list": ("{{ range .spec.containers }}{{ .name }} {{ end }}", "a b "),
    "range with index and element": ("{{ range $i, $c := .spec.containers }}{{ $i }}{{ $c.name }}{{ end }}", "0a1b"),
    "range over nothing": ("{{ range .nothing }}x{{ else }}none{{ end }}", "none"),
    "a variable": ("{{ $x := .metadata }}{{ $x.name }}", "p"),
    "a variable set inside": ("{{ $x := 1 }}{{ $x = 2 }}{{ $x }}", "2"),
    "the root inside a range": ("{{ range .spec.containers }}{{ $.metadata.name }}{{ end }}", "pp"),
    "with": ("{{ with .spec }}{{ .restartPolicy }}{{ end }}", "Never"),
    "index": ('{{ index .metadata.annotations "wherry.dev/run-for-s" }}', "5"),
    "index into a list": ("{{ (index .spec.containers 1).name }}", "<error>"),
    "or takes the first that is something": ('{{ or .nothing "x" }}', "x"),
    "and, not, eq": ("{{ if and (not .nothing) (eq 1 1) }}ok{{ end }}", "ok"),
    "a function of ours": ("{{ Now }}", "2026"),
    "len": ("{{ len .spec.containers }}", "2"),
    "true and nil": ("{{ true }}{{ nil }}", "true<no value>"),
}
FUNCTIONS = {"Now": lambda: "2026"}


@pytest.mark.parametrize(("text", "expected"), TEMPLATES.values(), ids=TEMPLATES.keys())
def test_template(text: str, expected: str) -> None:
    if expected == "<error>":
        with pytest.raises(StageError):
            Template(text)
        return
    assert Template(text).render(POD, FUNCTIONS) == expected


@pytest.mark.parametrize(
    "text", ["{{ .a", "{{ if .a }}x", '{{ template "x" }}', "{{ nothing 1 }}", "{{ .a | }}", "{{ ( .a }}", "{{ range }}{{ end }}{{ end }}"]
)
def test_a_template_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(StageError):
        Template(text).render(POD, {})


def test_kwoks_own_kind_of_template_renders_to_yaml() -> None:
    text = """
      {{ $now := Now }}
      containerStatuses:
      {{ range $index, $item := .spec.containers }}
      - name: {{ $item.name | Quote }}
        state:
          terminated:
            exitCode: {{ or ( index $.metadata.annotations "exit" ) 1 }}
            finishedAt: {{ $now | Quote }}
      {{ end }}
    """
    status = yaml.safe_load(Template(text).render(POD, FUNCTIONS))
    assert [each["name"] for each in status["containerStatuses"]] == ["a", "b"]
    assert status["containerStatuses"][0]["state"]["terminated"] == {"exitCode": 1, "finishedAt": "2026"}


DURATIONS: dict[str, tuple[Any, float | None]] = {
    "nothing": (None, None),
    "a number of seconds": (2.5, 2.5),
    "digits are seconds": ("30", 30.0),
    "a Go duration": ("1m30s", 90.0),
    "a Go duration with a fraction": ("1.5s", 1.5),
    "milliseconds": ("250ms", 0.25),
    "a time in the future": ("2026-01-01T00:00:10Z", 10.0),
    "a time in the past": ("2025-01-01T00:00:00Z", 0.0),
}


@pytest.mark.parametrize(("given", "expected"), DURATIONS.values(), ids=DURATIONS.keys())
def test_seconds(given: Any, expected: float | None) -> None:
    assert seconds(given, NOW) == expected


def test_a_delay_that_is_neither_a_duration_nor_a_time_is_refused() -> None:
    with pytest.raises(StageError, match="soon"):
        seconds("soon", NOW)


def stage(name: str, *, weight: int | None = None, selector: Object | None = None, **spec: Any) -> Object:
    spec = {"resourceRef": {"kind": "Pod"}, "selector": selector or {}, **spec}
    if weight is not None:
        spec["weight"] = weight
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}


def test_selectors_are_anded() -> None:
    both = {
        "matchLabels": {"app": "web"},
        "matchAnnotations": {"wherry.dev/run-for-s": "5"},
        "matchExpressions": [
            {"key": ".status.phase", "operator": "In", "values": ["Running"]},
            {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
            {"key": ".metadata.name", "operator": "Exists"},
            {"key": ".metadata.name", "operator": "NotIn", "values": ["q"]},
        ],
    }
    assert compiled(stage("s", selector=both)).matches(POD)
    assert not compiled(stage("s", selector={**both, "matchLabels": {"app": "db"}})).matches(POD)


def test_the_next_stage_is_chosen_by_weight() -> None:
    stages = StageSet([compiled(stage("never", weight=0)), compiled(stage("rare", weight=1)), compiled(stage("often", weight=9))])
    rng = random.Random(1)
    chosen = [found.name for _ in range(1000) if (found := stages.next("Pod", POD, rng))]
    assert chosen.count("never") == 0
    assert 50 < chosen.count("rare") < 150


def test_there_is_no_next_stage_for_what_no_selector_matches() -> None:
    stages = StageSet([compiled(stage("s", selector={"matchLabels": {"app": "db"}}))])
    assert stages.next("Pod", POD, random.Random(1)) is None
    assert stages.next("Node", POD, random.Random(1)) is None


def test_a_delay_has_jitter_and_may_come_from_the_object() -> None:
    made = compiled(stage("s", delay={"durationMilliseconds": 1000, "jitterDurationMilliseconds": 3000}))
    delays = [made.delay_s(POD, random.Random(seed), NOW) for seed in range(50)]
    assert all(1 <= each <= 3 for each in delays)
    assert len(set(delays)) > 10
    source = {"expressionFrom": '.metadata.annotations["wherry.dev/run-for-s"]'}
    assert compiled(stage("s", delay={"durationMilliseconds": 1, "durationFrom": source})).delay_s(POD, random.Random(1), NOW) == 5


def test_a_jitter_below_the_duration_is_the_delay() -> None:
    made = compiled(stage("s", delay={"durationMilliseconds": 3000, "jitterDurationMilliseconds": 1000}))
    assert made.delay_s(POD, random.Random(1), NOW) == 1


REFUSED: dict[str, Object] = {
    "not a Stage": {"apiVersion": "v1", "kind": "Pod"},
    "no selector": {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": "s"}, "spec": {}},
    "CEL": stage("s", selector={"matchExpressions": [{"cel": {"expression": "true"}}]}),
    "an unknown operator": stage("s", selector={"matchExpressions": [{"key": ".a", "operator": "Like"}]}),
    "finalizers": stage("s", next={"finalizers": {"empty": True}}),
    "an apply step": stage("s", steps=[{"apply": {}}]),
}


@pytest.mark.parametrize("obj", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_understood_is_refused_by_name(obj: Object) -> None:
    with pytest.raises(StageError):
        compiled(obj)


def test_newer_steps_are_read_like_next() -> None:
    steps = [{"patch": {"subresource": "status", "root": "status", "template": "phase: Failed"}}, {"delete": True}]
    made = compiled(stage("s", steps=steps))
    assert made.status(POD, {}) == {"phase": "Failed"}
    assert made.deletes


# --- the defaults ---------------------------------------------------------------------------------------------------------


def container(*, annotations: dict[str, str] | None = None, owner: str = "ReplicaSet", policy: str = "Always", **described: Any) -> Object:
    metadata = {"annotations": annotations or {}, "ownerReferences": [{"kind": owner}]}
    said = {"runsOnce": False, "isSidecar": False, "known": False, **described}
    return {"metadata": metadata, "spec": {"restartPolicy": policy}, "container": said}


CONTAINERS: dict[str, tuple[Object, str, int | None]] = {
    "a server runs on": (container(), "", None),
    "a Job's container completes": (container(owner="Job", policy="Never"), "job-container-complete", 0),
    "a Job's sidecar runs on": (container(owner="Job", policy="Never", isSidecar=True), "", None),
    "a Job's container with a command that is known follows its command": (container(owner="Job", policy="Never", known=True), "", None),
    "an init container completes": (container(runsOnce=True), "init-container-complete", 0),
    "run-for-s ends it well": (container(annotations={"wherry.dev/run-for-s": "7"}), "container-run-for", 0),
    "run-for-s with an exit code": (
        container(annotations={"wherry.dev/run-for-s": "7", "wherry.dev/exit-code": "3"}, owner="Job", policy="Never"),
        "container-run-for",
        3,
    ),
    "an exit code alone ends it soon": (container(annotations={"wherry.dev/exit-code": "1"}), "container-exit-code", 1),
}


@pytest.mark.parametrize(("given", "name", "code"), CONTAINERS.values(), ids=CONTAINERS.keys())
def test_default_container_stages(given: Object, name: str, code: int | None) -> None:
    found = StageSet(defaults()).next("Container", given, random.Random(1))
    assert (found.name if found else "") == name
    if found:
        assert int(found.status(given, {})["exitCode"]) == code


IMAGES: dict[str, tuple[str, str, dict[str, str], str]] = {
    "an ordinary image is pulled": ("docker.io/library/nginx", "1.27", {}, "image-pull"),
    "a tag that does not exist": ("docker.io/library/nginx", "doesnotexist", {}, "image-tag-not-found"),
    "an image that does not exist": ("invalid.registry.k8s.io/invalid/alpine", "3.1", {}, "image-not-found"),
    "an annotation that says so": ("docker.io/library/nginx", "1.27", {"wherry.dev/image-pull-error": "no: way"}, "image-pull-error"),
}


@pytest.mark.parametrize(("repository", "tag", "annotations", "name"), IMAGES.values(), ids=IMAGES.keys())
def test_default_image_stages(repository: str, tag: str, annotations: dict[str, str], name: str) -> None:
    image = {"name": f"{repository}:{tag}", "repository": repository, "tag": tag}
    obj = {"metadata": {"annotations": annotations}, "spec": {}, "image": image}
    found = StageSet(defaults()).next("Image", obj, random.Random(1))
    assert found is not None
    assert found.name == name
    error = found.status(obj, {}).get("error")
    assert error == {"image-pull": None, "image-pull-error": "no: way"}.get(
        name, f'failed to pull and unpack image "{repository}:{tag}": failed to resolve image: {repository}:{tag}: not found'
    )
