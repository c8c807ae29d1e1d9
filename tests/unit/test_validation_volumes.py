"""The sources of PersistentVolumes, inline volumes, claims and their templates: what is refused, warned of and dropped."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.kinds.core.volume import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM
from apiserver.registry.kind import Context, Kind, User
from apiserver.validation.claims import validate_claim_template
from apiserver.validation.volume import validate_inline
from kube.objects import Object

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
BASE: Object = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
CLAIM: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
LONG_PORTAL = "10.0.0.1:3260" + "0" * 60
ISCSI: Object = {"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2020-01.com.example:disk", "lun": 1}


def context(new: bool = True, sent: Object | None = None) -> Context:
    return Context(User("admin"), NOW, "create" if new else "update", sent=lambda: sent or {})


def made(kind: Kind, spec: Object, old: Object | None = None, **metadata: Any) -> Object:
    obj: Object = {"metadata": {"name": "v", "uid": "u-1", **metadata}, "spec": copy.deepcopy(spec)}
    kind.default(obj)
    kind.prepare(obj, old, context(old is None))
    return obj


def said(kind: Kind, new: Object, old: Object | None = None, sent: Object | None = None) -> list[str]:
    return [str(each) for each in kind.validate(new, old, context(old is None, sent))]


SOURCES: list[tuple[str, Object, list[str]]] = [
    (
        "an iSCSI volume names its secret without a namespace",
        {"iscsi": {**ISCSI, "secretRef": {}}},
        ["spec.iscsi.secretRef.name: Required value"],
    ),
    (
        "an iSCSI name of no known format",
        {"iscsi": {**ISCSI, "iqn": "disk"}},
        ['spec.iscsi.iqn: Invalid value: "disk": must be valid format'],
    ),
    (
        "an initiator's name leaves little room for the portal",
        {"iscsi": {**ISCSI, "targetPortal": LONG_PORTAL, "initiatorName": "iqn.2020-01.com.example:me"}},
        [
            f'spec.iscsi.targetportal: Invalid value: "{LONG_PORTAL}": Total length of <volume name>:<iscsi.targetPortal> must be under '
            "64 characters if iscsi.initiatorName is specified."
        ],
    ),
    (
        "a Cinder volume's secret has a namespace",
        {"cinder": {"volumeID": "a", "secretRef": {}}},
        ["spec.cinder.secretRef.name: Required value", "spec.cinder.secretRef.namespace: Required value"],
    ),
    ("a Ceph volume's secret is not looked at", {"cephfs": {"monitors": ["m"], "secretRef": {}}}, []),
    (
        "the secrets of CSI volumes have good names",
        {"csi": {"driver": "d.example.com", "volumeHandle": "h", "nodeExpandSecretRef": {"name": "A", "namespace": "b.c"}}},
        [
            'spec.csi.nodeExpandSecretRef.name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric '
            "characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation "
            "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            'spec.csi.nodeExpandSecretRef.namespace: Invalid value: "b.c": must not contain dots',
        ],
    ),
    (
        "of two sources the second is one too many",
        {"nfs": {"server": "s", "path": "/"}, "cephfs": {"monitors": ["m"]}},
        ["spec.cephFS: Forbidden: may not specify more than 1 volume type"],
    ),
    (
        "a FlexVolume is looked at even behind another source",
        {"nfs": {"server": "s", "path": "/"}, "flexVolume": {}},
        ["spec.flexVolume.driver: Required value"],
    ),
    (
        "a local volume needs required node affinity",
        {"local": {"path": "/d"}, "nodeAffinity": {}},
        [
            "spec.nodeAffinity.required: Required value: must specify required node constraints",
            "spec.nodeAffinity: Required value: Local volume requires node affinity",
        ],
    ),
]


@pytest.mark.parametrize(("spec", "wanted"), [case[1:] for case in SOURCES], ids=[case[0] for case in SOURCES])
def test_sources_of_volumes(spec: Object, wanted: list[str]) -> None:
    assert said(PERSISTENT_VOLUME, made(PERSISTENT_VOLUME, {**BASE, **spec})) == wanted


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        pytest.param({"spec": {}}, "null", id="no capacity"),
        pytest.param({"spec": {"capacity": {}}}, "{}", id="an empty capacity"),
    ],
)
def test_that_a_capacity_is_shown_as_it_was_sent(sent: Object, shown: str) -> None:
    volume = made(PERSISTENT_VOLUME, {"accessModes": ["ReadWriteOnce"], "nfs": {"server": "s", "path": "/"}})
    assert said(PERSISTENT_VOLUME, volume, sent=sent) == [
        "spec.capacity: Required value",
        f'spec.capacity: Unsupported value: {shown}: supported values: "storage"',
    ]


def test_that_bad_values_of_a_stored_affinity_may_stay() -> None:
    terms = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["-bad-"]}]}]}
    spec = {**BASE, "nfs": {"server": "s", "path": "/"}, "nodeAffinity": {"required": terms}}
    volume = made(PERSISTENT_VOLUME, spec)
    assert len(said(PERSISTENT_VOLUME, volume)) == 1
    assert said(PERSISTENT_VOLUME, made(PERSISTENT_VOLUME, spec, volume), volume) == []


def test_what_volumes_warn_of_in_upstreams_order() -> None:
    expression = {"key": "failure-domain.beta.kubernetes.io/zone", "operator": "Exists"}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    spec = {**BASE, "storageos": {"volumeName": "a"}, "nodeAffinity": affinity, "persistentVolumeReclaimPolicy": "Recycle"}
    asked = context()
    assert not PERSISTENT_VOLUME.validate(made(PERSISTENT_VOLUME, spec), None, asked)
    assert [each.split(":")[0] for each in asked.warnings] == [
        "spec.persistentVolumeReclaimPolicy",
        "spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key",
        "spec.storageOS",
    ]


def test_that_an_inline_volume_has_less() -> None:
    spec = {
        **BASE,
        "csi": {"driver": "d", "volumeHandle": "h"},
        "claimRef": {"name": "c"},
        "persistentVolumeReclaimPolicy": "Delete",
        "storageClassName": "fast",
        "volumeMode": "Block",
    }
    context_of = "in the context of inline volumes"
    assert [str(each) for each in validate_inline(spec, "s")] == [
        f"s.claimRef: Forbidden: may not be specified {context_of}",
        f"s.capacity: Forbidden: may not be specified {context_of}",
        f"s.persistentVolumeReclaimPolicy: Forbidden: may only be Retain {context_of}",
        f"s.storageClassName: Forbidden: may not be specified {context_of}",
        f"s.volumeMode: Forbidden: may not specify volumeMode other than Filesystem {context_of}",
    ]


# --- claims -----------------------------------------------------------------------------------------------------------

FOREIGN: Object = {"kind": "PersistentVolumeClaim", "name": "a", "namespace": "other"}
ODD: Object = {"apiGroup": "example.com", "kind": "Seed", "name": "a"}


def test_that_a_reference_into_another_namespace_is_dropped() -> None:
    assert "dataSourceRef" not in made(PERSISTENT_VOLUME_CLAIM, {**CLAIM, "dataSourceRef": FOREIGN})["spec"]


def test_that_odd_sources_are_dropped_unless_the_reference_says_so_too() -> None:
    dropped = made(PERSISTENT_VOLUME_CLAIM, {**CLAIM, "dataSource": ODD})["spec"]
    assert not {"dataSource", "dataSourceRef"} & dropped.keys()
    kept = made(PERSISTENT_VOLUME_CLAIM, {**CLAIM, "dataSource": ODD, "dataSourceRef": ODD})["spec"]
    assert kept["dataSource"] == kept["dataSourceRef"] == ODD


def test_that_an_update_without_the_reference_keeps_an_odd_source() -> None:
    stored = made(PERSISTENT_VOLUME_CLAIM, {**CLAIM, "dataSourceRef": ODD})
    new = made(PERSISTENT_VOLUME_CLAIM, {**CLAIM, "dataSource": ODD}, stored)
    assert new["spec"]["dataSourceRef"] == ODD
    assert said(PERSISTENT_VOLUME_CLAIM, new, stored) == []


def test_that_an_updates_errors_are_said_twice_as_upstream_does() -> None:
    stored = made(PERSISTENT_VOLUME_CLAIM, CLAIM)
    errors = said(PERSISTENT_VOLUME_CLAIM, made(PERSISTENT_VOLUME_CLAIM, {**CLAIM, "accessModes": []}, stored), stored)
    assert errors.count("spec.accessModes: Required value: at least 1 access mode is required") == 2


def test_that_a_template_has_only_labels_and_annotations() -> None:
    template = {"metadata": {"uid": "u", "name": "n", "labels": {"a": "b"}, "creationTimestamp": None}, "spec": CLAIM}
    assert [str(each) for each in validate_claim_template(template, "t")] == [
        "t.metadata.name: Forbidden: cannot be set",
        "t.metadata.uID: Forbidden: cannot be set",
    ]
