"""Small types for the tests of patches and apply: a deployment in miniature, with every kind of list and map."""

from __future__ import annotations

from kube.schema.types import Field, ListType, MapType, Scalar, ScalarType, StructType, Type

TEXT = ScalarType(Scalar.STRING, "string")
NUMBER = ScalarType(Scalar.INT32, "int32")
ANY = ScalarType(Scalar.ANY, "interface {}")


def struct(name: str, *fields: Field, atomic: bool = False, open_: bool = False) -> StructType:
    return StructType(f"io.test.v1.{name}", f"v1.{name}", lambda: {each.name: each for each in fields}, atomic=atomic, open=open_)


def list_map(item: Type, *keys: str, merge_key: str = "", defaults: tuple[tuple[str, object], ...] = (), retain: bool = False) -> ListType:
    strategies = ("merge", "retainKeys") if retain else ("merge",)
    return ListType(item, kind="map", keys=keys, key_defaults=defaults, merge_key=merge_key, strategies=strategies if merge_key else ())


REQUIRED_NAME = Field("name", TEXT, required=True, always=True, zero="")
ENV = struct("EnvVar", REQUIRED_NAME, Field("value", TEXT))
PORT = struct("Port", Field("containerPort", NUMBER, required=True, always=True, zero=0), Field("protocol", TEXT), Field("name", TEXT))
RESOURCES = struct("Resources", Field("limits", MapType(ScalarType(Scalar.QUANTITY, "resource.Quantity"))))
CONTAINER = struct(
    "Container",
    REQUIRED_NAME,
    Field("image", TEXT),
    Field("args", ListType(TEXT)),
    Field("env", list_map(ENV, "name", merge_key="name")),
    Field("ports", list_map(PORT, "containerPort", "protocol", merge_key="containerPort", defaults=(("protocol", "TCP"),))),
    Field("resources", RESOURCES, always=True, zero={}),
)
VOLUME = struct("Volume", REQUIRED_NAME, Field("emptyDir", struct("EmptyDir", Field("medium", TEXT))), Field("secret", TEXT))
SELECTOR = struct("Selector", Field("matchLabels", MapType(TEXT)), atomic=True)
OWNER = struct("OwnerReference", Field("uid", TEXT, always=True, zero=""), Field("name", TEXT, always=True, zero=""), atomic=True)
METADATA = struct(
    "ObjectMeta",
    Field("name", TEXT),
    Field("namespace", TEXT),
    Field("uid", TEXT),
    Field("resourceVersion", TEXT),
    Field("generation", ScalarType(Scalar.INT64, "int64")),
    Field("creationTimestamp", ScalarType(Scalar.TIME, "v1.Time")),
    Field("labels", MapType(TEXT)),
    Field("annotations", MapType(TEXT)),
    Field("finalizers", ListType(TEXT, kind="set", strategies=("merge",))),
    Field("ownerReferences", list_map(OWNER, "uid", merge_key="uid")),
    Field("managedFields", ListType(ANY)),
)
STRATEGY = struct("Strategy", Field("type", TEXT), Field("rolling", struct("Rolling", Field("surge", NUMBER))))
SPEC = struct(
    "AppSpec",
    Field("replicas", NUMBER, pointer=True),
    Field("selector", SELECTOR),
    Field("strategy", STRATEGY, always=True, zero={}, strategies=("retainKeys",)),
    Field("containers", list_map(CONTAINER, "name", merge_key="name"), required=True, always=True),
    Field("volumes", list_map(VOLUME, "name", merge_key="name", retain=True)),
    Field("nodeSelector", MapType(TEXT, atomic=True)),
    Field("tolerations", ListType(struct("Toleration", Field("key", TEXT)))),
    Field("paused", ScalarType(Scalar.BOOL, "bool")),
    Field("extra", ANY),
)
STATUS = struct("AppStatus", Field("ready", NUMBER), Field("phase", TEXT))
APP = struct(
    "App",
    Field("apiVersion", TEXT),
    Field("kind", TEXT),
    Field("metadata", METADATA, always=True, zero={}),
    Field("spec", SPEC, always=True, zero={}),
    Field("status", STATUS, always=True, zero={}),
    Field("data", MapType(TEXT)),
)
CUSTOM = struct(
    "Custom",
    Field("apiVersion", TEXT),
    Field("kind", TEXT),
    Field("metadata", METADATA),
    Field("spec", struct("CustomSpec", Field("size", NUMBER), open_=True)),
)
