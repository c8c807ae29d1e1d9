"""The walk into pods: describe, logs, exec, port-forward, run, and Jobs. The nodes are simulated, and the answers say so."""

from __future__ import annotations

import re
import urllib.request

from tests.system.kubectl import Kubectl
from tests.system.running import wait_until
from tests.system.walk import jsonpath

SIMULATED = "Wherry simulates this "


def first_pod(kubectl: Kubectl) -> str:
    return kubectl("get", "pods", "-o", "name").out.split()[0]


def test_describe(web: Kubectl) -> None:
    pod = first_pod(web)
    described = web("describe", pod).out
    facts = dict(re.findall(r"^([A-Z][\w /-]*): +(\S.*)$", described, re.MULTILINE))
    assert facts["Name"] == pod.removeprefix("pod/")
    assert (facts["Namespace"], facts["Status"], facts["Service Account"]) == (web.namespace, "Running", "default")
    assert re.fullmatch(r"wherry-[123]/127\.0\.0\.1", facts["Node"])
    assert facts["Controlled By"].startswith("ReplicaSet/web-")
    assert "    Image:          nginx\n" in described
    events = described.partition("Events:\n")[2]
    name = f"{web.namespace}/{facts['Name']}"
    assert re.search(rf"Normal  Scheduled +\S+ +default-scheduler  Successfully assigned {name} to wherry-[123]\n", events)
    assert [reason for reason in ("Pulling", "Pulled", "Created", "Started") if f"  {reason} " not in events] == []
    node = web("describe", "node", facts["Node"].partition("/")[0]).out
    assert "Non-terminated Pods:" in node
    assert facts["Name"] in node
    deployment = web("describe", "deployment", "web").out
    assert "Replicas:               3 desired | 3 updated | 3 total | 3 available | 0 unavailable\n" in deployment
    assert "NewReplicaSet:   web-" in deployment


def test_logs(web: Kubectl) -> None:
    out = web("logs", first_pod(web)).out
    assert out.startswith(SIMULATED + "container: image nginx started at ")
    assert len(web("logs", "--selector=app=web", "--prefix").out.splitlines()) == 3
    assert web("logs", first_pod(web), "--tail=0").out == ""
    assert "is not valid for pod" in web("logs", first_pod(web), "-c", "other", code=1).err
    with web.following("logs", "--follow", first_pod(web)) as following:
        following.until(lambda lines: len(lines) == 1)


def test_exec(web: Kubectl) -> None:
    pod = first_pod(web)
    assert web("exec", pod, "--", "hostname").out == pod.removeprefix("pod/") + "\n"
    assert web("exec", "deployment/web", "--", "sh", "-c", "echo out; echo err >&2").out == "out\n"
    assert web("exec", "-i", pod, "--", "cat", stdin="through\n").out == "through\n"
    failed = web("exec", pod, "--", "sh", "-c", "exit 3", code=3)
    assert "command terminated with exit code 3" in failed.err
    unknown = web("exec", pod, "--", "nginx", "-t", code=126)
    assert SIMULATED in unknown.out + unknown.err
    assert "nginx is not among the few commands" in unknown.out + unknown.err


def test_port_forward(web: Kubectl) -> None:
    with web.following("port-forward", "deployment/web", ":80") as forwarding:
        line = forwarding.until(bool)[0]
        found = re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> 80", line)
        assert found, line
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/", timeout=10) as answer:
            body = answer.read().decode()
    assert body.startswith(SIMULATED + "pod: nothing listens here.")
    assert f"{web.namespace}/web-" in body


def test_run_and_remove(walk: Kubectl) -> None:
    ran = walk("run", "hello", "-i", "--rm", "--image=busybox", "--restart=Never", "--", "echo", "hello")
    assert "hello\n" in ran.out
    assert 'pod "hello" deleted' in ran.out
    assert walk("get", "pods").err == f"No resources found in {walk.namespace} namespace.\n"
    assert walk("run", "stays", "--image=nginx", "--port=80").out == "pod/stays created\n"
    assert walk("wait", "--for=condition=Ready", "pod/stays", "--timeout=60s").out == "pod/stays condition met\n"
    assert walk("run", "noimage", code=1).err == 'error: required flag(s) "image" not set\n'


def test_a_job(walk: Kubectl) -> None:
    assert walk("create", "job", "pi", "--image=busybox", "--", "echo", "3.14").out == "job.batch/pi created\n"
    assert walk("wait", "--for=condition=Complete", "job/pi", "--timeout=60s").out == "job.batch/pi condition met\n"
    head, row = walk("get", "jobs").rows
    assert (head, row[:3]) == (["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"], ["pi", "Complete", "1/1"])
    assert "3.14\n" in walk("logs", "job/pi").out
    assert walk("get", "pods").rows[1][1:3] == ["0/1", "Completed"]
    cron = walk("create", "cronjob", "hourly", "--image=busybox", "--schedule=0 * * * *", "--", "echo", "again")
    assert cron.out == "cronjob.batch/hourly created\n"
    assert walk("create", "job", "now", "--from=cronjob/hourly").out == "job.batch/now created\n"
    wait_until(lambda: jsonpath(walk, "{.status.succeeded}", "job", "now") == "1", "the job made from the CronJob has succeeded")
    assert walk("get", "cronjobs").rows[1][:6] == ["hourly", "0", "*", "*", "*", "*"]
