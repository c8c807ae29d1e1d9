"""When probes are asked and what they amount to: `kubelet/prober.py`, on virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

from kube.clock import LoopClock
from kube.objects import Object
from kubelet.prober import Prober
from kubelet.runtime.base import ProbeResult
from tests.virtual import virtual


class Runtime:
    """Answers probes from a plan: kind -> the answers, the last one for good."""

    def __init__(self, **answers: list[bool]) -> None:
        self.answers, self.asked, self.steady = answers, [], False  # type: ignore[var-annotated]

    async def probe(self, container_id: str, probe: Object, *, kind: str) -> ProbeResult:
        self.asked.append((round(asyncio.get_running_loop().time(), 2), kind))
        answers = self.answers[kind]
        return ProbeResult(answers.pop(0) if len(answers) > 1 else answers[0], "why", self.steady)


class World:
    def __init__(self, runtime: Runtime) -> None:
        self.clock, self.runtime = LoopClock(), runtime
        self.changes: list[float] = []
        self.failures: list[tuple[str, str, str]] = []
        self.prober = Prober(runtime, self.clock, changed=self._changed, failed=lambda *said: self.failures.append(said))  # type: ignore[arg-type]

    def _changed(self) -> None:
        self.changes.append(round(asyncio.get_running_loop().time(), 2))

    def watch(self, **probes: Any) -> None:
        container = {"name": "web", **{f"{kind}Probe": spec for kind, spec in probes.items()}}
        self.prober.watch(container, "id", self.clock.now())


@virtual
async def test_a_readiness_probe_waits_for_its_initial_delay_and_then_asks_every_period() -> None:
    world = World(Runtime(readiness=[False, True]))
    world.watch(readiness={"initialDelaySeconds": 5, "periodSeconds": 10})
    assert world.prober.ready() == {"web": False}
    await asyncio.sleep(36)
    assert world.runtime.asked == [(5, "readiness"), (15, "readiness"), (25, "readiness"), (35, "readiness")]
    assert world.prober.ready() == {"web": True}
    assert world.changes == [15]
    assert world.failures == [("web", "readiness", "why")]
    world.prober.stop()


@virtual
async def test_a_steady_answer_is_not_asked_for_again_until_something_changes() -> None:
    runtime = Runtime(readiness=[True])
    runtime.steady = True
    world = World(runtime)
    world.watch(readiness={})
    await asyncio.sleep(3600)
    assert runtime.asked == [(0, "readiness")]
    runtime.answers["readiness"] = [False]
    world.prober.wake()
    await asyncio.sleep(60)
    assert world.prober.ready() == {"web": False}
    assert len(runtime.asked) == 4
    world.prober.stop()


@virtual
async def test_liveness_fails_after_its_threshold_and_then_asks_no_more() -> None:
    world = World(Runtime(liveness=[True, False]))
    world.watch(liveness={"periodSeconds": 1, "failureThreshold": 3})
    await asyncio.sleep(2.5)
    assert world.prober.failing() == {}
    await asyncio.sleep(10)
    assert world.prober.failing() == {"web": "liveness"}
    assert world.runtime.asked[-1] == (3, "liveness")
    world.prober.stop()


@virtual
async def test_other_probes_wait_for_the_startup_probe() -> None:
    world = World(Runtime(startup=[False, False, True], readiness=[True], liveness=[True]))
    world.watch(startup={"periodSeconds": 2, "failureThreshold": 5}, readiness={}, liveness={})
    await asyncio.sleep(3)
    assert {kind for _, kind in world.runtime.asked} == {"startup"}
    assert world.prober.started() == {"web": False}
    await asyncio.sleep(3)
    assert world.prober.started() == {"web": True}
    assert world.prober.ready() == {"web": True}
    assert (4, "readiness") in world.runtime.asked
    assert len([each for each in world.runtime.asked if each[1] == "startup"]) == 3
    world.prober.stop()


@virtual
async def test_a_startup_probe_that_gives_up_condemns_the_container() -> None:
    world = World(Runtime(startup=[False]))
    world.watch(startup={"periodSeconds": 1, "failureThreshold": 2})
    await asyncio.sleep(5)
    assert world.prober.failing() == {"web": "startup"}
    world.prober.stop()


@virtual
async def test_success_takes_as_many_answers_in_a_row_as_its_threshold_says() -> None:
    world = World(Runtime(readiness=[True, False, True]))
    world.watch(readiness={"periodSeconds": 1, "successThreshold": 2, "failureThreshold": 1})
    await asyncio.sleep(2.5)
    assert world.prober.ready() == {"web": False}
    await asyncio.sleep(1)
    assert world.prober.ready() == {"web": True}
    world.prober.stop()


@virtual
async def test_a_probe_that_takes_too_long_has_failed() -> None:
    class Slow(Runtime):
        async def probe(self, container_id: str, probe: Object, *, kind: str) -> ProbeResult:
            await asyncio.sleep(60)
            return ProbeResult(True)

    world = World(Slow())
    world.watch(liveness={"timeoutSeconds": 2, "failureThreshold": 1})
    await asyncio.sleep(3)
    assert world.prober.failing() == {"web": "liveness"}
    assert "deadline" in world.failures[0][2]
    world.prober.stop()


@virtual
async def test_a_container_that_is_forgotten_is_not_asked_any_more() -> None:
    world = World(Runtime(liveness=[True]))
    world.watch(liveness={"periodSeconds": 1})
    await asyncio.sleep(2.5)
    world.prober.forget("web")
    await asyncio.sleep(10)
    assert len(world.runtime.asked) == 3


@virtual
async def test_a_container_that_was_ready_before_the_agents_restart_stays_so_until_its_probe_says_otherwise() -> None:
    world = World(Runtime(readiness=[False]))
    world.prober.watch({"name": "web", "readinessProbe": {"periodSeconds": 1}}, "id", world.clock.now(), was_ready=True)
    assert world.prober.ready() == {"web": True}
    await asyncio.sleep(5)
    assert world.prober.ready() == {"web": False}
    world.prober.stop()
