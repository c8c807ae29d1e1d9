"""Jobs: which pods to create and delete, how they are counted, and when a Job is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.manager import job_index
from controllers.manager.job import for_removal, plan, wanted_active
from controllers.manager.job_account import UNCOUNTED_MAX, Account, account
from controllers.manager.job_index import INDEX
from controllers.manager.job_policy import Backoff, finished_at, match, remaining_s, success
from controllers.manager.job_verdict import TRACKING, judge
from controllers.manager.ttl_after_finished import expires_at
from controllers.manager.ttl_after_finished import plan as plan_ttl
from kube.clock import rfc3339
from kube.objects import Object, name_of
from kube.runtime.perform import Create, Delete

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def job(**rest: Any) -> Object:
    status = rest.pop("status", {})
    metadata = {"name": "work", "namespace": "ns", "uid": "job", **rest.pop("metadata", {})}
    template = {"metadata": {"labels": {"job-name": "work"}}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}}
    spec = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": template, **rest}
    return {"kind": "Job", "metadata": metadata, "spec": spec, "status": status}


def indexed(completions: int, **rest: Any) -> Object:
    return job(completions=completions, parallelism=rest.pop("parallelism", completions), completionMode="Indexed", **rest)


def pod(name: str, phase: str = "Running", *, index: int | None = None, ago_s: int = 60, code: int | None = None, **rest: Any) -> Object:
    annotations = {} if index is None else {INDEX: str(index)}
    metadata = {
        "name": name,
        "namespace": "ns",
        "uid": name,
        "finalizers": [TRACKING],
        "annotations": annotations,
        **rest.pop("metadata", {}),
    }
    metadata["annotations"] = {**annotations, **rest.pop("annotations", {})}
    ended = rfc3339(NOW - timedelta(seconds=ago_s))
    exit_code = code if code is not None else 0 if phase == "Succeeded" else 1
    state = {"terminated": {"exitCode": exit_code, "finishedAt": ended}} if phase in ("Succeeded", "Failed") else {"running": {}}
    statuses = [{"name": "c", "state": state, "restartCount": rest.pop("restarts", 0)}]
    status = {"phase": phase, "containerStatuses": statuses, "conditions": rest.pop("conditions", [])}
    return {"metadata": metadata, "spec": {"nodeName": "n"}, "status": status}


def look(
    of: Object, pods: list[Object], *, backoff: Backoff | None = None, now: datetime = NOW
) -> tuple[list[Object], list[str], float | None]:
    """(pods to create, names of pods to delete, when to look again)."""
    todo = plan(of, pods, now, verdict=judge(of, pods, backoff or Backoff(), now))
    created = [each.obj for each in todo.actions if isinstance(each, Create)]
    return created, [each.name for each in todo.actions if isinstance(each, Delete)], todo.again_s


def count(of: Object, pods: list[Object]) -> Account:
    return account(of, pods, judge(of, pods, Backoff(), NOW), NOW, managed=True)


def kinds(status: Object) -> list[str]:
    return [each["type"] for each in status.get("conditions", [])]


# --- pods ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "succeeded", "active", "want"),
    [
        pytest.param(job(parallelism=3, completions=10), 0, 0, 3, id="as many as may run at once"),
        pytest.param(job(parallelism=3, completions=10), 8, 2, 2, id="no more than are left to succeed"),
        pytest.param(job(parallelism=3, completions=10), 11, 0, 0, id="none when more than enough succeeded"),
        pytest.param(job(parallelism=3, completions=None), 0, 1, 3, id="without completions, parallelism counts"),
        pytest.param(job(parallelism=3, completions=None), 1, 2, 2, id="without completions, none new after a success"),
    ],
)
def test_how_many_pods_should_run(of: Object, succeeded: int, active: int, want: int) -> None:
    assert wanted_active(of, succeeded, active) == want


def test_a_new_job_gets_pods_that_will_be_counted() -> None:
    created, _, _ = look(job(parallelism=2, completions=5), [])
    assert len(created) == 2
    assert created[0]["metadata"]["finalizers"] == [TRACKING]
    assert created[0]["metadata"]["generateName"] == "work-"


def test_an_indexed_pod_knows_its_index_everywhere() -> None:
    created, _, _ = look(indexed(3), [pod("b", index=1)])
    assert [each["metadata"]["annotations"][INDEX] for each in created] == ["0", "2"]
    second = created[1]
    assert second["metadata"]["labels"][INDEX] == "2"
    assert second["metadata"]["generateName"] == "work-2-"
    assert second["spec"]["hostname"] == "work-2"
    [variable] = second["spec"]["containers"][0]["env"]
    assert variable == {"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}}


def test_surplus_pods_go_before_anything_is_created() -> None:
    _, deleted, _ = look(job(parallelism=1, completions=5), [pod("a"), pod("b", "Pending")])
    assert deleted == ["b"]


def test_pods_with_doubled_or_bad_indexes_are_removed() -> None:
    pods = [pod("a", index=0), pod("b", "Pending", index=0), pod("c", index=7), pod("d")]
    assert sorted(name_of(each) for each in for_removal(indexed(2), pods, 0, NOW)) == ["b", "c", "d"]


def test_a_suspended_job_has_no_pods() -> None:
    assert look(job(suspend=True), [pod("a")])[:2] == ([], ["a"])


def test_a_job_being_deleted_gets_no_new_pods() -> None:
    assert look(job(metadata={"deletionTimestamp": "x"}), []) == ([], [], None)


def test_a_failed_pod_is_replaced_after_ten_seconds() -> None:
    of, failed = job(), [pod("a", "Failed", ago_s=4)]
    assert look(of, failed) == ([], [], 6)
    assert len(look(of, failed, now=NOW + timedelta(seconds=6))[0]) == 1


@pytest.mark.parametrize(
    ("failures", "want"),
    [
        pytest.param(0, 0, id="no failure, no waiting"),
        pytest.param(1, 10, id="ten seconds after the first"),
        pytest.param(3, 40, id="doubling with each"),
        pytest.param(7, 600, id="ten minutes at most"),
        pytest.param(5000, 600, id="however many there were"),
    ],
)
def test_the_back_off(failures: int, want: float) -> None:
    assert remaining_s(failures, NOW, NOW) == want


def test_a_success_forgets_the_failures_before_it() -> None:
    record = Backoff(3, NOW).after([pod("s", "Succeeded", ago_s=30)], [pod("f", "Failed", ago_s=60), pod("g", "Failed", ago_s=10)])
    assert record == Backoff(1, NOW - timedelta(seconds=10))


def test_a_pod_being_deleted_is_replaced_at_once_unless_only_failed_ones_are() -> None:
    leaving = pod("a", metadata={"deletionTimestamp": rfc3339(NOW - timedelta(minutes=5))})
    assert len(look(job(), [leaving])[0]) == 1
    assert look(job(podReplacementPolicy="Failed"), [leaving])[0] == []


# --- counting -----------------------------------------------------------------------------------------------------------------


def test_a_finished_pod_is_noted_before_it_loses_its_finalizer() -> None:
    told = count(job(completions=2), [pod("a", "Succeeded")])
    assert told.status["uncountedTerminatedPods"] == {"succeeded": ["a"]}
    assert "succeeded" not in told.status
    assert [name_of(each) for each in told.release] == ["a"]


def test_it_is_counted_once_the_finalizer_is_gone() -> None:
    noted = {"uncountedTerminatedPods": {"succeeded": ["a"], "failed": ["b"]}, "succeeded": 1}
    told = count(job(completions=5, status=noted), [pod("a", "Succeeded", metadata={"finalizers": []})])
    assert (told.status["succeeded"], told.status["failed"]) == (2, 1)
    assert told.status["uncountedTerminatedPods"] == {}
    assert told.release == []


def test_looking_again_before_the_finalizer_is_gone_counts_nothing_twice() -> None:
    noted = {"uncountedTerminatedPods": {"succeeded": ["a"]}}
    told = count(job(completions=5, status=noted), [pod("a", "Succeeded")])
    assert told.status["uncountedTerminatedPods"] == {"succeeded": ["a"]}
    assert judge(job(completions=5, status=noted), [pod("a", "Succeeded")], Backoff(), NOW).succeeded == 1


def test_indexes_are_counted_by_number() -> None:
    told = count(indexed(5, status={"completedIndexes": "0"}), [pod("a", "Succeeded", index=0), pod("b", "Succeeded", index=1)])
    assert told.status["completedIndexes"] == "0,1"
    assert told.status["succeeded"] == 2
    assert told.status["uncountedTerminatedPods"] == {}


def test_one_look_notes_no_more_than_fit_in_the_status() -> None:
    pods = [pod(f"p{each}", "Succeeded") for each in range(UNCOUNTED_MAX + 20)]
    told = count(job(completions=len(pods), parallelism=len(pods)), pods)
    assert len(told.status["uncountedTerminatedPods"]["succeeded"]) == UNCOUNTED_MAX
    assert len(told.release) == UNCOUNTED_MAX


def test_the_status_tells_active_ready_and_terminating_pods() -> None:
    ready = [{"type": "Ready", "status": "True"}]
    pods = [pod("a", conditions=ready), pod("b"), pod("c", metadata={"deletionTimestamp": "x"})]
    status = count(job(parallelism=2, completions=5, podReplacementPolicy="Failed"), pods).status
    assert (status["active"], status["ready"], status["terminating"]) == (2, 1, 1)
    assert status["startTime"] == rfc3339(NOW)


# --- endings ------------------------------------------------------------------------------------------------------------------


def test_a_job_is_complete_in_two_steps() -> None:
    first = count(job(), [pod("a", "Succeeded")])
    assert kinds(first.status) == ["SuccessCriteriaMet"]
    released = [pod("a", "Succeeded", metadata={"finalizers": []})]
    second = count(job(status=first.status), released)
    assert kinds(second.status) == ["SuccessCriteriaMet", "Complete"]
    complete = second.status["conditions"][1]
    assert (complete["reason"], complete["message"]) == ("CompletionsReached", "Reached expected number of succeeded pods")
    assert second.status["completionTime"] == rfc3339(NOW)
    assert second.status["succeeded"] == 1
    assert second.events == [("Normal", "Completed", "Job completed")]


def test_a_job_does_not_end_before_it_began_though_the_clock_was_set_back() -> None:
    began = rfc3339(NOW + timedelta(hours=1))
    done = {**pod("a", "Succeeded"), "metadata": {"name": "a", "namespace": "ns", "uid": "a", "annotations": {}}}
    told = count(job(status={"startTime": began, "succeeded": 1}), [done])
    assert (kinds(told.status), told.status["completionTime"]) == (["SuccessCriteriaMet", "Complete"], began)


def test_a_job_is_not_over_while_pods_are_on_their_way_out() -> None:
    met = {"conditions": [{"type": "SuccessCriteriaMet", "status": "True", "reason": "SuccessPolicy", "message": "m"}]}
    leaving = pod("b", metadata={"deletionTimestamp": "x", "finalizers": []})
    assert kinds(count(job(status=met), [leaving]).status) == ["SuccessCriteriaMet"]
    assert kinds(count(job(status=met), []).status) == ["SuccessCriteriaMet", "Complete"]


def ending(of: Object, pods: list[Object]) -> tuple[str, str, str] | None:
    found = judge(of, pods, Backoff(), NOW).ending
    return None if found is None else (found["type"], found["reason"], found["message"])


LIMIT = ("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
ON_FAILURE = {"spec": {"restartPolicy": "OnFailure", "containers": []}}
FAIL_42 = {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]}


@pytest.mark.parametrize(
    ("of", "pods", "want"),
    [
        pytest.param(job(backoffLimit=1), [pod("a", "Failed")], None, id="as many failures as allowed are fine"),
        pytest.param(job(backoffLimit=0), [pod("a", "Failed")], LIMIT, id="one more ends the job"),
        pytest.param(job(backoffLimit=2, template=ON_FAILURE), [pod("a", restarts=2)], LIMIT, id="restarts in place count too"),
        pytest.param(job(backoffLimit=0, template=ON_FAILURE), [pod("a")], None, id="without restarts there is nothing to count"),
        pytest.param(
            job(activeDeadlineSeconds=60, status={"startTime": rfc3339(NOW - timedelta(seconds=60))}),
            [pod("a")],
            ("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline"),
            id="a deadline that is over ends the job",
        ),
        pytest.param(
            job(activeDeadlineSeconds=60, suspend=True, status={"startTime": rfc3339(NOW - timedelta(seconds=60))}),
            [],
            None,
            id="a suspended job has no deadline",
        ),
        pytest.param(
            job(podFailurePolicy=FAIL_42),
            [pod("a", "Failed", code=42)],
            ("FailureTarget", "PodFailurePolicy", "Container c for pod ns/a failed with exit code 42 matching FailJob rule at index 0"),
            id="a failure that the policy names ends the job at once",
        ),
        pytest.param(
            indexed(2, backoffLimitPerIndex=0, maxFailedIndexes=0),
            [pod("a", "Failed", index=0)],
            ("FailureTarget", "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"),
            id="too many failed indexes end the job",
        ),
        pytest.param(
            indexed(2, backoffLimitPerIndex=0),
            [pod("a", "Failed", index=0), pod("b", "Succeeded", index=1)],
            ("FailureTarget", "FailedIndexes", "Job has failed indexes"),
            id="when every index is over and one failed, the job failed",
        ),
        pytest.param(
            indexed(3, successPolicy={"rules": [{"succeededIndexes": "0-1", "succeededCount": 1}]}),
            [pod("a", "Succeeded", index=1)],
            ("SuccessCriteriaMet", "SuccessPolicy", "Matched rules at index 0"),
            id="a success policy that is met ends the job",
        ),
        pytest.param(
            job(status={"conditions": [{"type": "FailureTarget", "status": "True", "reason": "R", "message": "m"}]}),
            [],
            ("Failed", "R", "m"),
            id="what an earlier look decided stays decided",
        ),
    ],
)
def test_what_ends_a_job(of: Object, pods: list[Object], want: tuple[str, str, str] | None) -> None:
    assert ending(of, pods) == want


def test_a_failing_job_takes_its_running_pods_down_and_counts_them_as_failed() -> None:
    of = job(backoffLimit=0, parallelism=2, completions=2)
    pods = [pod("a", "Failed"), pod("b")]
    verdict = judge(of, pods, Backoff(), NOW)
    assert [each.name for each in plan(of, pods, NOW, verdict=verdict).actions if isinstance(each, Delete)] == ["b"]
    assert kinds(account(of, pods, verdict, NOW, managed=True).status) == []  # not while one is still running
    leaving = [pods[0], pod("b", metadata={"deletionTimestamp": "x"})]
    told = account(of, leaving, verdict, NOW, managed=True)
    assert told.status["uncountedTerminatedPods"] == {"failed": ["a", "b"]}
    assert kinds(told.status) == ["FailureTarget"]


def test_a_failed_pod_of_an_index_is_kept_until_it_is_replaced() -> None:
    of = indexed(1, backoffLimitPerIndex=3)
    failed = pod("a", "Failed", index=0, annotations={"batch.kubernetes.io/job-index-failure-count": "1"})
    assert count(of, [failed]).release == []
    [new], _, _ = look(of, [failed])
    assert new["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] == "2"
    assert [name_of(each) for each in count(of, [failed, pod("b", index=0)]).release] == ["a"]


def test_ignored_failures_count_for_nothing() -> None:
    policy = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}
    disrupted = pod("a", "Failed", conditions=[{"type": "DisruptionTarget", "status": "True"}])
    of = job(backoffLimit=0, podFailurePolicy=policy)
    assert ending(of, [disrupted]) is None
    assert count(of, [disrupted]).status["uncountedTerminatedPods"] == {}
    assert match(of, disrupted).action == "Ignore"


@pytest.mark.parametrize(
    ("requirement", "code", "matches"),
    [
        pytest.param({"operator": "In", "values": [1, 2]}, 2, True, id="a listed code matches In"),
        pytest.param({"operator": "In", "values": [1]}, 2, False, id="another does not"),
        pytest.param({"operator": "NotIn", "values": [1]}, 2, True, id="one that is not listed matches NotIn"),
        pytest.param({"operator": "NotIn", "values": [1]}, 0, False, id="success never matches"),
        pytest.param({"operator": "In", "values": [2], "containerName": "other"}, 2, False, id="another container does not matter"),
    ],
)
def test_exit_codes(requirement: Object, code: int, matches: bool) -> None:
    of = job(podFailurePolicy={"rules": [{"action": "FailIndex", "onExitCodes": requirement}]})
    assert (match(of, pod("a", "Failed", code=code)).action == "FailIndex") is matches


def test_suspending_and_resuming_are_told_once_and_restart_the_clock() -> None:
    suspended = count(job(suspend=True), [])
    assert suspended.events == [("Normal", "Suspended", "Job suspended")]
    assert "startTime" not in suspended.status
    assert count(job(suspend=True, status=suspended.status), []).events == []
    resumed = count(job(status={**suspended.status, "startTime": "2020-01-01T00:00:00Z"}), [pod("a")])
    assert resumed.events == [("Normal", "Resumed", "Job resumed")]
    assert resumed.status["startTime"] == rfc3339(NOW)
    assert resumed.status["conditions"][0]["status"] == "False"


def test_a_success_policy_without_successes_is_not_met() -> None:
    of = indexed(3, successPolicy={"rules": [{"succeededCount": 2}]})
    assert success(of, ()) == ""
    assert success(of, ((0, 1),)) == "Matched rules at index 0"


def test_when_a_pod_ended() -> None:
    assert finished_at(pod("a", "Failed", ago_s=5)) == NOW - timedelta(seconds=5)
    ready = [{"type": "Ready", "status": "False", "lastTransitionTime": rfc3339(NOW)}]
    assert finished_at(pod("a", conditions=ready)) == NOW
    deleted = {"deletionTimestamp": rfc3339(NOW), "deletionGracePeriodSeconds": 30}
    assert finished_at(pod("a", metadata=deleted)) == NOW - timedelta(seconds=30)


# --- indexes ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "completions", "want"),
    [
        pytest.param("1,3-5,7", 10, "1,3-5,7", id="as it was"),
        pytest.param("0,1", 10, "0,1", id="two in a row are joined by a comma"),
        pytest.param("0,1,2", 10, "0-2", id="three by a dash"),
        pytest.param("0-9", 5, "0-4", id="cut at the number of completions"),
        pytest.param("x,2,3-y", 5, "2", id="nonsense is left out"),
        pytest.param("", 5, "", id="nothing is nothing"),
    ],
)
def test_indexes_are_read_and_written(text: str, completions: int, want: str) -> None:
    assert job_index.text(job_index.parse(text, completions)) == want


def test_sets_of_indexes() -> None:
    some = job_index.parse("1,3-5", 10)
    assert [each for each in range(7) if job_index.has(some, each)] == [1, 3, 4, 5]
    assert job_index.text(job_index.with_indexes(some, [2, 7])) == "1-5,7"
    assert job_index.overlap(some, job_index.parse("4-9", 10)) == 2
    assert job_index.first_missing(some, 3, 8) == [0, 2, 6]
    assert job_index.first_missing(some, 99, 8) == [0, 2, 6, 7]
    assert job_index.first_missing((), 2, 5) == [0, 1]


# --- afterwards ---------------------------------------------------------------------------------------------------------------


def test_a_finished_job_goes_when_its_time_is_over() -> None:
    done = [{"type": "Complete", "status": "True", "lastTransitionTime": rfc3339(NOW - timedelta(seconds=100))}]
    assert expires_at(job(ttlSecondsAfterFinished=100, status={"conditions": done})) == NOW
    assert expires_at(job(status={"conditions": done})) is None
    assert expires_at(job(ttlSecondsAfterFinished=0)) is None
    [action] = plan_ttl(job(ttlSecondsAfterFinished=100, status={"conditions": done}, metadata={"resourceVersion": "7"}), NOW)
    assert isinstance(action, Delete)
    assert (action.propagation, action.uid, action.resource_version) == ("Foreground", "job", "7")
    assert plan_ttl(job(ttlSecondsAfterFinished=101, status={"conditions": done}), NOW) == []


def test_a_pod_that_ends_after_the_verdict_is_left_to_the_next_look() -> None:
    of = indexed(2, backoffLimitPerIndex=1)
    before = [pod("a", "Succeeded", index=0), pod("b", index=1)]
    verdict = judge(of, before, Backoff(), NOW)
    for phase in ("Succeeded", "Failed"):
        told = account(of, [before[0], pod("b", phase, index=1)], verdict, NOW, managed=True)
        assert [name_of(each) for each in told.release] == ["a"]
        assert told.status["completedIndexes"] == "0"
