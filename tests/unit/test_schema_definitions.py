"""The type model of the built-in kinds: names, presence, list types, and what Go calls things."""

from __future__ import annotations

import pytest

from kube.schema import definitions
from kube.schema.types import Field, ListType, MapType, Scalar, ScalarType, StructType

CORE = "io.k8s.api.core.v1."


def field(definition: str, path: str) -> Field:
    of = definitions.load().type(definition)
    *outer, last = path.split(".")
    for name in outer:
        inner = of.fields[name].type
        inner = inner.item if isinstance(inner, ListType) else inner
        assert isinstance(inner, StructType)
        of = inner
    return of.fields[last]


PRESENCE = [
    pytest.param("Pod", "spec.containers.name", True, False, id="a required string is always written"),
    pytest.param("Pod", "spec.containers.resources", True, False, id="a struct by value is always written"),
    pytest.param("Pod", "spec.containers.image", False, False, id="an optional string is left out when empty"),
    pytest.param("Pod", "spec.containers.livenessProbe", False, True, id="an optional struct is a pointer"),
    pytest.param("Pod", "spec.terminationGracePeriodSeconds", False, True, id="an optional number may be a pointer: zero is kept"),
    pytest.param("Pod", "spec.hostNetwork", False, False, id="a bool by value is left out when false"),
    pytest.param("Pod", "metadata.creationTimestamp", False, False, id="creationTimestamp is left out when zero"),
    pytest.param("Pod", "status.conditions.lastTransitionTime", True, False, id="a time by value is written as null"),
]


@pytest.mark.parametrize(("kind", "path", "always", "pointer"), PRESENCE)
def test_presence(kind: str, path: str, always: bool, pointer: bool) -> None:
    found = field(CORE + kind, path)
    assert (found.always, found.pointer) == (always, pointer)


def test_a_required_pointer_is_written_as_null() -> None:
    found = field("io.k8s.api.apps.v1.Deployment", "spec.selector")
    assert (found.always, found.pointer, found.zero) == (True, True, None)


def test_list_types_and_their_keys() -> None:
    ports = field(CORE + "Pod", "spec.containers.ports").type
    assert isinstance(ports, ListType)
    assert (ports.kind, ports.keys, ports.merge_key, ports.strategies) == (
        "map",
        ("containerPort", "protocol"),
        "containerPort",
        ("merge",),
    )
    assert ports.key_defaults == (("protocol", "TCP"),)
    assert ports.go_name == "[]v1.ContainerPort"


def test_a_list_without_a_list_type_is_atomic() -> None:
    command = field(CORE + "Pod", "spec.containers.command").type
    assert isinstance(command, ListType)
    assert command.kind == "atomic"


def test_maps_and_atomic_maps() -> None:
    labels, selector = field(CORE + "Pod", "metadata.labels").type, field(CORE + "Pod", "spec.nodeSelector").type
    assert isinstance(labels, MapType)
    assert isinstance(selector, MapType)
    assert (labels.atomic, selector.atomic) == (False, True)


def test_a_reference_can_undo_the_atomicity_of_its_definition() -> None:
    claim_ref = field(CORE + "PersistentVolume", "spec.claimRef").type
    target = field(CORE + "Event", "involvedObject").type
    assert isinstance(claim_ref, StructType)
    assert isinstance(target, StructType)
    assert claim_ref.name == target.name == CORE + "ObjectReference"
    assert (claim_ref.atomic, target.atomic) == (False, True)


def test_strategies_of_a_struct() -> None:
    assert field("io.k8s.api.apps.v1.Deployment", "spec.strategy").strategies == ("retainKeys",)


LEAVES = [
    pytest.param("Secret", "data", Scalar.BYTES, id="bytes in a map"),
    pytest.param("ResourceQuota", "spec.hard", Scalar.QUANTITY, id="quantities in a map"),
]


@pytest.mark.parametrize(("kind", "path", "scalar"), LEAVES)
def test_leaves_in_maps(kind: str, path: str, scalar: Scalar) -> None:
    found = field(CORE + kind, path).type
    assert isinstance(found, MapType)
    assert isinstance(found.value, ScalarType)
    assert found.value.scalar is scalar


def test_named_go_types_and_embedded_structs() -> None:
    assert field(CORE + "Pod", "spec.containers.imagePullPolicy").type.go_name == "v1.PullPolicy"
    assert field(CORE + "Pod", "spec.volumes.hostPath").embedded == "VolumeSource"


def test_recursive_types_load_lazily() -> None:
    schema = definitions.load().type("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    assert schema.fields["not"].type is schema


def test_types_are_shared() -> None:
    of = definitions.load()
    assert of.type(CORE + "Pod") is of.type(CORE + "Pod")
    assert of is definitions.load()


def test_kinds_by_group_version_and_kind() -> None:
    assert definitions.load().kinds["apps", "v1", "Deployment"] == "io.k8s.api.apps.v1.Deployment"


def test_every_version_of_the_package_compiles() -> None:
    for version in ("1.25", "1.31", "1.37"):
        assert "spec" in definitions.load(version).type(CORE + "Pod").fields


@pytest.mark.parametrize("version", ["1.25", "1.36"])
def test_early_versions_say_how_lists_are_merged_and_not_what_they_are(version: str) -> None:
    pod = definitions.load(version).type(CORE + "Pod")
    spec, meta = pod.fields["spec"].type, pod.fields["metadata"].type
    assert isinstance(spec, StructType)
    assert isinstance(meta, StructType)
    containers, finalizers = spec.fields["containers"].type, meta.fields["finalizers"].type
    assert isinstance(containers, ListType)
    assert isinstance(finalizers, ListType)
    assert (containers.kind, containers.keys, finalizers.kind) == ("map", ("name",), "set")


def test_unknown_names_and_versions_are_refused() -> None:
    assert not definitions.load().has("io.k8s.api.core.v1.Nonsense")
    with pytest.raises(KeyError):
        definitions.load().type("io.k8s.api.core.v1.Nonsense")
    with pytest.raises(KeyError, match="is a leaf"):
        definitions.load().type("io.k8s.apimachinery.pkg.api.resource.Quantity")
    with pytest.raises(ValueError, match=r"no OpenAPI definitions for Kubernetes 9\.99"):
        definitions.load("9.99")
