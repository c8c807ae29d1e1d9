"""The walk with manifests: apply (client- and server-side), diff, edit, label, annotate, patch, wait. See `test_walk.py` for the rest."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.system.kubectl import Kubectl
from tests.system.running import wait_until
from tests.system.walk import jsonpath, rolled_out

MANIFEST = """\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NAMESPACE}
data: {color: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: password, namespace: NAMESPACE}
stringData: {password: swordfish}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front, namespace: NAMESPACE}
spec:
  replicas: 2
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec:
      containers:
      - name: nginx
        image: nginx:1.26
        ports: [{containerPort: 80}]
        envFrom: [{configMapRef: {name: settings}}]
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: NAMESPACE}
spec: {selector: {app: front}, ports: [{port: 80}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: NAMESPACE}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: busybox, command: [echo, done]}]
"""
OBJECTS = ["configmap/settings", "secret/password", "deployment.apps/front", "service/front", "job.batch/once"]


def written(directory: Path, name: str, text: str) -> str:
    path = directory / name
    path.write_text(text)
    return str(path)


def said(verb: str) -> list[str]:
    return [f"{each} {verb}" for each in OBJECTS]


def test_apply_twice_with_a_change_between(walk: Kubectl, tmp_path: Path) -> None:
    name = f"{walk.namespace}-shop"
    shop = walk.within(name)
    before = MANIFEST.replace("NAMESPACE", name)
    after = before.replace("blue", "red").replace("replicas: 2", "replicas: 3")
    first, second = written(tmp_path, "first.yaml", before), written(tmp_path, "second.yaml", after)
    try:
        assert shop("apply", "-f", first).out.splitlines() == [f"namespace/{name} created", *said("created")]
        assert shop("wait", "--for=condition=Available", "deployment/front", "--timeout=60s").out == "deployment.apps/front condition met\n"
        assert shop("wait", "--for=condition=Complete", "job/once", "--timeout=60s").out == "job.batch/once condition met\n"
        assert jsonpath(shop, "{.data.password}", "secret", "password") == "c3dvcmRmaXNo"
        again = shop("apply", "-f", first).out.splitlines()
        assert [line for line in again if not line.endswith("unchanged")] == ["secret/password configured"]  # stringData: so it is upstream
        assert shop("diff", "-f", first, code=None).code in (0, 1)

        difference = shop("diff", "-f", second, code=1).out.splitlines()
        assert [line for line in difference if line.startswith(("-  color", "+  color"))] == ["-  color: blue", "+  color: red"]
        assert [line for line in difference if line.startswith(("-  replicas", "+  replicas"))] == ["-  replicas: 2", "+  replicas: 3"]
        changed = shop("apply", "-f", second).out.splitlines()
        assert {"configmap/settings configured", "deployment.apps/front configured", "service/front unchanged"} <= set(changed)
        rolled_out(shop, "front")
        assert jsonpath(shop, "{.data.color}", "configmap", "settings") == "red"

        assert shop("delete", "-f", second).out.count(" deleted") == 6
        assert f'namespaces "{name}" not found' in shop("get", "namespace", name, code=1).err
    finally:
        walk("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def test_server_side_apply_and_a_conflict(walk: Kubectl, tmp_path: Path) -> None:
    text = MANIFEST.replace("NAMESPACE", walk.namespace).partition("---\n")[2]
    ours, theirs = written(tmp_path, "ours.yaml", text), written(tmp_path, "theirs.yaml", text.replace("nginx:1.26", "nginx:1.27"))
    assert walk("apply", "--server-side", "-f", ours).out.splitlines() == said("serverside-applied")
    rolled_out(walk, "front")
    assert jsonpath(walk, "{.metadata.annotations}", "configmap", "settings") == ""
    refused = walk("apply", "--server-side", "--field-manager=them", "-f", theirs, code=1)
    assert 'conflict with "kubectl"' in refused.err
    assert '.spec.template.spec.containers[name="nginx"].image' in refused.err
    assert jsonpath(walk, "{..containers[0].image}", "deployment", "front") == "nginx:1.26"
    forced = walk("apply", "--server-side", "--field-manager=them", "--force-conflicts", "-f", theirs)
    assert "deployment.apps/front serverside-applied" in forced.out
    assert jsonpath(walk, "{..containers[0].image}", "deployment", "front") == "nginx:1.27"
    shown = walk("get", "deployment", "front", "-o", "yaml", "--show-managed-fields").out
    assert "manager: them" in shown
    assert "operation: Apply" in shown
    pruned = written(tmp_path, "pruned.yaml", text.replace("{color: blue}", "{size: big}").split("---\n")[0])
    walk("apply", "--server-side", "-f", pruned)
    assert jsonpath(walk, "{.data}", "configmap", "settings") == '{"color":"blue","size":"big"}', "them own the colour, too"
    walk("apply", "--server-side", "--field-manager=them", "-f", pruned)
    assert jsonpath(walk, "{.data}", "configmap", "settings") == '{"size":"big"}', "nobody wants it any more"


def test_changing_one_thing_at_a_time(walk: Kubectl, tmp_path: Path) -> None:
    walk("create", "deployment", "web", "--image=nginx", "--replicas=1")
    walk("create", "configmap", "settings", "--from-literal=color=blue")
    assert walk("label", "deployment", "web", "tier=front").out == "deployment.apps/web labeled\n"
    assert walk("label", "deployment", "web", "tier=back", code=1).err.startswith("error: 'tier' already has a value (front)")
    assert walk("get", "deployment", "--label-columns=tier", "--selector=tier=front").rows[1][-1] == "front"
    assert walk("annotate", "deployment", "web", "note=hello").out.startswith("deployment.apps/web annotate")  # 1.27 loses the d
    assert walk("annotate", "deployment", "web", "note-").out.startswith("deployment.apps/web annotate")

    strategic = '{"spec":{"template":{"spec":{"containers":[{"name":"nginx","env":[{"name":"A","value":"1"}]}]}}}}'
    assert walk("patch", "deployment", "web", "-p", strategic).out == "deployment.apps/web patched\n"
    assert jsonpath(walk, "{..containers[*].image} {..env[0].value}", "deployment", "web") == "nginx 1"
    merge = '{"data":{"color":null,"size":"big"}}'
    assert walk("patch", "configmap", "settings", "--type=merge", "-p", merge).out == "configmap/settings patched\n"
    replace = '[{"op":"test","path":"/data/size","value":"big"},{"op":"replace","path":"/data/size","value":"small"}]'
    assert walk("patch", "configmap", "settings", "--type=json", "-p", replace).out == "configmap/settings patched\n"
    assert jsonpath(walk, "{.data}", "configmap", "settings") == '{"size":"small"}'
    assert (
        walk("patch", "configmap", "settings", "--type=merge", "-p", '{"data":{"size":"small"}}').out
        == "configmap/settings patched (no change)\n"
    )
    refused = walk("patch", "configmap", "settings", "--type=merge", "-p", '{"data":{"size":7}}', code=1).err
    assert refused.startswith("The request is invalid: patch: Invalid value: ")
    assert refused.endswith("json: cannot unmarshal number into Go struct field ConfigMap.data of type string\n")


def test_edit_with_a_scripted_editor(walk: Kubectl, tmp_path: Path) -> None:
    walk("create", "deployment", "web", "--image=nginx", "--replicas=1")
    text = "import sys; from pathlib import Path; path = Path(sys.argv[1]); path.write_text(path.read_text().replace({!r}, {!r}))"

    def editor(name: str, old: str, new: str) -> str:
        return f"{sys.executable} {written(tmp_path, name, text.format(old, new))}"

    edited = walk("edit", "deployment", "web", KUBE_EDITOR=editor("scale.py", "replicas: 1", "replicas: 2"))
    assert edited.out == "deployment.apps/web edited\n"
    wait_until(lambda: jsonpath(walk, "{.status.replicas}", "deployment", "web") == "2", "two replicas")
    nothing = walk("edit", "deployment", "web", KUBE_EDITOR=editor("nothing.py", "no such text", ""))
    assert "Edit cancelled, no changes made." in nothing.out + nothing.err
    bad = walk("edit", "deployment", "web", code=1, KUBE_EDITOR=editor("bad.py", "replicas: 2", "replicas: -2"))
    assert bad.err.startswith('error: deployments.apps "web" is invalid\n')
    stored = re.search(r'A copy of your changes has been stored to "(.*)"', bad.err)
    assert stored
    assert "# * spec.replicas: Invalid value: -2: must be greater than or equal to 0\n" in Path(stored[1]).read_text()
