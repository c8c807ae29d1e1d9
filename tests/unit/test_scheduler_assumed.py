"""What the scheduler takes objects for while it changes them."""

from __future__ import annotations

from controllers.scheduler.volumes import Assumed
from kube.objects import Object, annotations_of


def claim(*, version: int, annotations: dict[str, str] | None = None) -> Object:
    metadata = {
        "name": "data",
        "namespace": "default",
        "uid": "uid-data",
        "resourceVersion": str(version),
        "annotations": annotations or {},
    }
    return {"kind": "PersistentVolumeClaim", "metadata": metadata}


def test_what_is_assumed_lasts_until_a_newer_version_comes() -> None:
    known = Assumed()
    known.set(claim(version=5))
    known.assume(claim(version=5, annotations={"a": "b"}))
    known.set(claim(version=4))
    assumed, api = known.get("default/data"), known.api("default/data")
    assert assumed is not None
    assert api is not None
    assert (annotations_of(assumed), annotations_of(api)) == ({"a": "b"}, {})
    known.set(claim(version=6))
    assert known.get("default/data") == claim(version=6)
    known.assume(claim(version=6, annotations={"a": "b"}))
    known.restore("default/data")
    assert known.get("default/data") == claim(version=6)


def test_what_is_held_lasts_until_it_is_settled() -> None:
    known = Assumed()
    known.set(claim(version=5))
    known.assume(claim(version=5, annotations={"a": "b"}), held=True)
    known.set(claim(version=6))
    held = known.get("default/data")
    assert held is not None
    assert annotations_of(held) == {"a": "b"}
    known.settled(claim(version=7, annotations={"a": "b"}))
    known.set(claim(version=6))
    assert known.get("default/data") == claim(version=7, annotations={"a": "b"}), "older versions come late"
    known.assume(claim(version=7), held=True)
    known.set(claim(version=9, annotations={"c": "d"}))
    known.settled(claim(version=8))
    assert known.get("default/data") == claim(version=9, annotations={"c": "d"}), "somebody else has been faster"
    known.assume(claim(version=9), held=True)
    known.restore("default/data")
    assert known.get("default/data") == claim(version=9, annotations={"c": "d"})
    known.assume(claim(version=9), held=True)
    known.remove("default/data")
    known.settled(claim(version=10))
    assert known.get("default/data") is None
    known.set(claim(version=11))
    assert known.get("default/data") == claim(version=11)
