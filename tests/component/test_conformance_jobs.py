"""Upstream's conformance tests of Jobs and CronJobs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kube.objects import Object, labels_of
from tests.component.conformance import BATCH, NAMESPACE, World, condition, names, script, world
from tests.component.served import MERGE
from tests.virtual import virtual

JOBS, CRON_JOBS, PODS = f"{BATCH}/jobs", f"{BATCH}/cronjobs", f"{NAMESPACE}/pods"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
ODD_FAIL = "if [ $JOB_COMPLETION_INDEX = 1 ] || [ $JOB_COMPLETION_INDEX = 3 ]; then exit 1; fi"


def job(text: str, *, policy: str = "Never", env: list[Object] | None = None, **spec: Any) -> Object:
    template = {"spec": {"restartPolicy": policy, "containers": [script(text, env=env or [])]}}
    return {"metadata": {"name": "j"}, "spec": {"template": template, **spec}}


async def run(api: World, body: Object, **options: Any) -> Object:
    """The job once it is over."""
    await api.ok("POST", JOBS, body)
    return await api.where(f"{JOBS}/j", is_over, **options)


def is_over(found: Object) -> bool:
    return any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in found["status"].get("conditions", []))


async def active(api: World, count: int) -> list[Object]:
    await api.where(f"{JOBS}/j", lambda found: found["status"].get("active", 0) == count)
    return await api.items(f"{PODS}?labelSelector=job-name%3Dj", lambda found: len(found) == count)


@virtual
async def test_a_task_that_failed_is_run_again_until_it_succeeds() -> None:
    async with world() as api:
        await api.ok("POST", f"{NAMESPACE}/configmaps", {"metadata": {"name": "luck"}, "data": {"code": "1"}})
        env = [{"name": "CODE", "valueFrom": {"configMapKeyRef": {"name": "luck", "key": "code"}}}]
        await api.ok("POST", JOBS, job("exit $CODE", policy="OnFailure", env=env, completions=2, parallelism=2))

        def has_failed(found: list[Object]) -> bool:
            return len(found) == 2 and all(each["status"].get("containerStatuses", [{}])[0].get("restartCount") for each in found)

        await api.items(PODS, has_failed)
        await api.ok("PATCH", f"{NAMESPACE}/configmaps/luck", {"data": {"code": "0"}}, content_type=MERGE)
        done = await api.where(f"{JOBS}/j", is_over)
        assert (done["status"]["succeeded"], condition(done, "Complete")[0]) == (2, "True")


@virtual
async def test_pods_of_an_indexed_job_have_their_index() -> None:
    async with world() as api:
        body = job("echo index $JOB_COMPLETION_INDEX", completions=4, parallelism=2, completionMode="Indexed")
        done = await run(api, body)
        assert (done["status"]["succeeded"], done["status"]["completedIndexes"]) == (4, "0-3")
        seen = set()
        for pod in await api.items(PODS):
            index = pod["metadata"]["annotations"][INDEX_LABEL]
            assert labels_of(pod)[INDEX_LABEL] == index
            assert await api.log(pod["metadata"]["name"]) == f"index {index}\n"
            seen.add(index)
        assert seen == {"0", "1", "2", "3"}


@virtual
async def test_an_exit_code_ends_the_job_by_its_failure_policy() -> None:
    async with world() as api:
        rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}}
        done = await run(api, job("exit 3", backoffLimit=6, podFailurePolicy={"rules": [rule]}))
        assert condition(done, "Failed") == ("True", "PodFailurePolicy")
        assert done["status"]["failed"] == 1


@virtual
async def test_evictions_can_be_ignored() -> None:
    async with world() as api:
        rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
        body = job("sleep 300", completions=2, parallelism=2, completionMode="Indexed", backoffLimit=0, podFailurePolicy={"rules": [rule]})
        await api.ok("POST", JOBS, body)
        first = await active(api, 2)
        for pod in first:
            await api.ready(pod["metadata"]["name"])
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod["metadata"]["name"]}}
            await api.ok("POST", f"{PODS}/{pod['metadata']['name']}/eviction", eviction)
            marked = await api.where(f"{PODS}/{pod['metadata']['name']}", lambda found: condition(found, "DisruptionTarget")[0] == "True")
            assert condition(marked, "DisruptionTarget") == ("True", "EvictionByEvictionAPI")
        done = await api.where(f"{JOBS}/j", is_over, within_s=900)
        assert (condition(done, "Complete")[0], done["status"].get("failed", 0)) == ("True", 0)


@virtual
async def test_indexes_fail_one_by_one() -> None:
    async with world() as api:
        body = job(ODD_FAIL, completions=4, parallelism=2, completionMode="Indexed", backoffLimitPerIndex=1)
        done = await run(api, body)
        assert condition(done, "Failed") == ("True", "FailedIndexes")
        status = done["status"]
        assert [status[key] for key in ("completedIndexes", "failedIndexes", "succeeded", "failed")] == ["0,2", "1,3", 2, 4]


@virtual
async def test_an_index_fails_at_once_by_the_failure_policy() -> None:
    async with world() as api:
        rule = {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}}
        text = "if [ $JOB_COMPLETION_INDEX = 0 ]; then exit 42; fi"
        body = job(text, completions=2, parallelism=2, completionMode="Indexed", backoffLimitPerIndex=1, podFailurePolicy={"rules": [rule]})
        done = await run(api, body)
        assert condition(done, "Failed") == ("True", "FailedIndexes")
        assert [done["status"][key] for key in ("completedIndexes", "failedIndexes", "failed")] == ["1", "0", 1]


@virtual
async def test_too_many_failed_indexes_end_the_job() -> None:
    async with world() as api:
        body = job("exit 1", completions=10, parallelism=10, completionMode="Indexed", backoffLimitPerIndex=0, maxFailedIndexes=4)
        done = await run(api, body)
        assert condition(done, "Failed") == ("True", "MaxFailedIndexesExceeded")


@pytest.mark.parametrize(
    ("rule", "text", "succeeded"),
    [
        pytest.param({"succeededIndexes": "0-1"}, "true", "0,1", id="all indexes"),
        pytest.param({"succeededIndexes": "0"}, "if [ $JOB_COMPLETION_INDEX != 0 ]; then sleep 9999; fi", "0", id="one index"),
        pytest.param({"succeededCount": 1}, "if [ $JOB_COMPLETION_INDEX != 0 ]; then sleep 9999; fi", "0", id="one of them"),
    ],
)
@virtual
async def test_a_job_is_complete_when_its_success_policy_is_met(rule: Object, text: str, succeeded: str) -> None:
    async with world() as api:
        body = job(text, completions=2, parallelism=2, completionMode="Indexed", successPolicy={"rules": [rule]})
        done = await run(api, body)
        assert condition(done, "SuccessCriteriaMet") == ("True", "SuccessPolicy")
        assert condition(done, "Complete") == ("True", "SuccessPolicy")
        assert done["status"]["completedIndexes"] == succeeded
        await api.items(PODS, lambda found: all(each["status"]["phase"] in ("Succeeded", "Failed") for each in found))


@virtual
async def test_orphans_are_taken_back_and_strangers_let_go() -> None:
    async with world() as api:
        made = await api.ok("POST", JOBS, job("sleep 9999", completions=2, parallelism=2))
        path = f"{PODS}/{names(await active(api, 2))[0]}"

        def owners(found: Object) -> list[str]:
            return [each["uid"] for each in found["metadata"].get("ownerReferences", []) if each.get("controller")]

        await api.ok("PATCH", path, {"metadata": {"ownerReferences": None}}, content_type=MERGE)
        await api.where(path, lambda found: owners(found) == [made["metadata"]["uid"]])
        gone = dict.fromkeys(("job-name", "controller-uid", "batch.kubernetes.io/job-name", "batch.kubernetes.io/controller-uid"))
        await api.ok("PATCH", path, {"metadata": {"labels": gone}}, content_type=MERGE)
        await api.where(path, lambda found: owners(found) == [])


@virtual
async def test_a_job_that_is_deleted_takes_its_pods_along() -> None:
    async with world() as api:
        await api.ok("POST", JOBS, job("sleep 9999", completions=2, parallelism=2))
        await active(api, 2)
        await api.ok("DELETE", f"{JOBS}/j", {"propagationPolicy": "Foreground"})
        await api.gone(f"{JOBS}/j")
        assert await api.items(PODS) == []


@virtual
async def test_a_suspended_job_is_listed_changed_resumed_and_removed() -> None:
    async with world() as api:
        body = job("sleep 9999", suspend=True, completions=2, parallelism=2)
        await api.ok("POST", JOBS, body)
        await api.ok("PATCH", f"{JOBS}/j", {"metadata": {"labels": {"e2e": "patched"}}}, content_type=MERGE)
        await api.where(f"{JOBS}/j", lambda found: condition(found, "Suspended") == ("True", "JobSuspended"))
        current = await api.ok("GET", f"{JOBS}/j")
        current["spec"]["suspend"] = False
        current["metadata"]["annotations"] = {"updated": "true"}
        await api.ok("PUT", f"{JOBS}/j", current)
        await active(api, 2)
        assert names(await api.items("/apis/batch/v1/jobs?labelSelector=e2e%3Dpatched")) == ["j"]
        await api.ok("DELETE", f"{JOBS}?labelSelector=e2e%3Dpatched", {"propagationPolicy": "Background"})
        await api.items(JOBS, lambda found: not found)
        await api.items(PODS, lambda found: not found)


# --- CronJobs ---------------------------------------------------------------------------------------------------------------------


async def cron(api: World, policy: str, text: str = "sleep 300", **spec: Any) -> None:
    template = {"spec": {"template": {"spec": {"restartPolicy": "OnFailure", "containers": [script(text)]}}}}
    body = {"metadata": {"name": "c"}, "spec": {"schedule": "*/1 * * * ?", "concurrencyPolicy": policy, "jobTemplate": template, **spec}}
    await api.ok("POST", CRON_JOBS, body)


@virtual
async def test_jobs_of_a_cron_job_run_side_by_side() -> None:
    async with world() as api:
        await cron(api, "Allow")
        await api.where(f"{CRON_JOBS}/c", lambda found: len(found["status"].get("active", [])) > 1)
        await api.items(JOBS, lambda found: len([each for each in found if each["status"].get("active")]) > 1)


@virtual
async def test_a_suspended_cron_job_starts_nothing() -> None:
    async with world() as api:
        await cron(api, "Allow", suspend=True)
        await asyncio.sleep(300)
        assert await api.items(JOBS) == []
        await api.ok("PATCH", f"{CRON_JOBS}/c", {"spec": {"suspend": False}}, content_type=MERGE)
        await api.items(JOBS, lambda found: len(found) == 1)


@virtual
async def test_a_cron_job_that_forbids_it_runs_one_job() -> None:
    async with world() as api:
        await cron(api, "Forbid")
        (first,) = await api.items(JOBS, lambda found: len(found) == 1)
        await asyncio.sleep(150)
        assert names(await api.items(JOBS)) == [first["metadata"]["name"]]
        assert len((await api.ok("GET", f"{CRON_JOBS}/c"))["status"]["active"]) == 1


@virtual
async def test_a_cron_job_replaces_the_job_before() -> None:
    async with world() as api:
        await cron(api, "Replace")
        (first,) = await api.items(JOBS, lambda found: len(found) == 1)
        name = first["metadata"]["name"]
        (second,) = await api.items(JOBS, lambda found: len(found) == 1 and names(found) != [name])
        await api.where(f"{CRON_JOBS}/c", lambda found: [each["name"] for each in found["status"]["active"]] == names([second]))
        await api.gone(f"{JOBS}/{name}")
