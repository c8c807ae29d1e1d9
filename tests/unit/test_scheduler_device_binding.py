"""Devices that must be made ready before a pod is bound: waited for, and given up when they are not to be had."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.scheduler.devices import DEVICE_CLASSES, RESOURCE_CLAIMS, RESOURCE_SLICES
from controllers.scheduler.plugins.device_binding import BindingFailed, has_conditions, is_lost, is_ready
from kube.clock import rfc3339
from kube.objects import Object
from kube.resources import PODS
from tests.unit.scheduler_api import FakeApi, scheduling
from tests.unit.scheduler_cluster import make_node
from tests.unit.test_scheduler_devices import DRIVER, claim, claiming, device, device_class, published
from tests.virtual import virtual

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONDITIONS = {"bindingConditions": ["Attached"], "bindingFailureConditions": ["Broken"]}


def allocated(*told: Object, since_s: int = 0, **result: Any) -> Object:
    """A claim with the device `small`, of which its driver tells these conditions."""
    results = [{"request": "r", "driver": DRIVER, "pool": "a", "device": "small", **CONDITIONS, **result}]
    at = rfc3339(NOW - timedelta(seconds=since_s))
    devices = [{"driver": DRIVER, "pool": "a", "device": "small", "conditions": list(told)}] if told else []
    return claim(status={"allocation": {"devices": {"results": results}, "allocationTimestamp": at}, "devices": devices})


def said(kind: str, status: str = "True", reason: str = "R", message: str = "m") -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("of", "ready"),
    [
        pytest.param(allocated(), False, id="nothing said yet"),
        pytest.param(allocated(said("Attached")), True, id="ready"),
        pytest.param(allocated(said("Attached", "False")), False, id="not yet"),
        pytest.param(allocated(said("Broken", "False"), said("Attached")), True, id="not broken"),
        pytest.param(allocated(bindingConditions=[]), True, id="nothing to wait for"),
    ],
)
def test_whether_devices_are_ready(of: Object, ready: bool) -> None:
    assert is_ready(of) is ready
    assert has_conditions(of) is bool(of["status"]["allocation"]["devices"]["results"][0]["bindingConditions"])


def test_a_device_that_says_it_will_not_be_ready() -> None:
    with pytest.raises(BindingFailed, match='device binding failed: claim=c, reason=Smoke, message="it burns"'):
        is_ready(allocated(said("Attached"), said("Broken", reason="Smoke", message="it burns")))


@pytest.mark.parametrize(
    ("of", "lost"),
    [
        pytest.param(allocated(since_s=599), False, id="still waited for"),
        pytest.param(allocated(since_s=601), True, id="waited for long enough"),
        pytest.param(allocated(said("Attached"), since_s=601), False, id="ready, however long ago"),
        pytest.param(allocated(said("Broken")), True, id="broken"),
    ],
)
def test_whether_devices_are_of_no_use(of: Object, lost: bool) -> None:
    assert is_lost(of, NOW, 600) is lost


def world() -> FakeApi:
    api = FakeApi()
    api.put(DEVICE_CLASSES, device_class())
    api.put(RESOURCE_SLICES, published("a", {**device("small"), **CONDITIONS, "bindsToNode": True}))
    api.put(RESOURCE_CLAIMS, claim())
    return api


def tell(api: FakeApi, *conditions: Object) -> None:
    """The driver's word on the device that the claim has."""
    stored = api.objects[RESOURCE_CLAIMS]["default/c"]
    [result] = stored["status"]["allocation"]["devices"]["results"]
    told = {**{key: result[key] for key in ("driver", "pool", "device")}, "conditions": list(conditions)}
    api.put(RESOURCE_CLAIMS, {**stored, "status": {**stored["status"], "devices": [told]}})


@virtual
async def test_a_pod_is_bound_when_its_devices_are_ready() -> None:
    api = world()
    async with scheduling(make_node("a"), api=api):
        api.put(PODS, claiming("p"))
        await asyncio.sleep(60)
        allocation = api.objects[RESOURCE_CLAIMS]["default/c"]["status"]["allocation"]
        assert allocation["devices"]["results"][0]["bindingConditions"] == ["Attached"]
        assert allocation["nodeSelector"]["nodeSelectorTerms"][0]["matchFields"][0]["values"] == ["a"]
        assert allocation["allocationTimestamp"]
        assert not api.pod("p")["spec"].get("nodeName")
        assert any(each[3] == "waiting for binding conditions for device on node a" for each in api.events)
        tell(api, said("Attached"))
        await asyncio.sleep(6)
        assert api.pod("p")["spec"]["nodeName"] == "a"


@virtual
async def test_devices_that_break_are_given_up_and_asked_for_anew() -> None:
    api = world()
    async with scheduling(make_node("a"), api=api):
        api.put(PODS, claiming("p"))
        await asyncio.sleep(10)
        tell(api, said("Broken", reason="Smoke"))
        await asyncio.sleep(60)
        assert any("device binding failed: claim=c, reason=Smoke" in each[3] for each in api.events)
        assert any("deallocation of ResourceClaim completed" in each[3] for each in api.events)
        stored = api.objects[RESOURCE_CLAIMS]["default/c"]["status"]
        assert stored["allocation"], "there is but the one device, which it has again"
        assert not stored.get("devices"), "what was said of it before is not said of it now"


@virtual
async def test_devices_that_are_never_ready_are_given_up_in_time() -> None:
    api = world()
    async with scheduling(make_node("a"), api=api):
        api.put(PODS, claiming("p"))
        await asyncio.sleep(595)
        assert not any("device binding timeout" in each[3] for each in api.events)
        await asyncio.sleep(60)
        assert any("device binding timeout" in each[3] for each in api.events)
        assert any("deallocation of ResourceClaim completed" in each[3] for each in api.events)
