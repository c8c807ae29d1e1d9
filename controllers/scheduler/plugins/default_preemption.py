"""DefaultPreemption: for a pod that fits nowhere, whom of the less important pods to delete, on which node. Decides only.

On each node that removing pods could make feasible, all less important pods are taken away in thought and, the most important ones first,
put back as long as the pod still fits. Of the nodes left, the one where it hurts least is taken.
Source: `plugins/defaultpreemption/default_preemption.go`, `framework/preemption/preemption.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from controllers.scheduler.config.arguments import DefaultPreemptionArgs
from controllers.scheduler.framework import Candidate, Code, PostFilterResult, Rejection, Trial, rejection
from controllers.scheduler.messages import unavailable
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo, selector_of
from controllers.scheduler.snapshot import Snapshot
from kube.objects import Object, condition_of, namespace_of

NAME = "DefaultPreemption"
PREEMPTED_REASON = "PreemptionByScheduler"
_NOT_HELPFUL = rejection(NAME, Code.UNRESOLVABLE, "Preemption is not helpful for scheduling")
_NO_VICTIMS = rejection(NAME, Code.UNRESOLVABLE, "No preemption victims found for incoming pod")
_NEVER_STARTED = "9999"


class DefaultPreemption:
    name = NAME

    def __init__(self, args: DefaultPreemptionArgs | None = None) -> None:
        args = args or DefaultPreemptionArgs()
        self._percent, self._least = args.min_candidate_nodes_percentage, args.min_candidate_nodes_absolute

    def post_filter(self, pod: PodInfo, snapshot: Snapshot, rejections: Mapping[int, Rejection], trial: Trial) -> PostFilterResult | None:
        why_not = _ineligible(pod, snapshot, rejections)
        if why_not:
            return PostFilterResult(f"preemption: {why_not}")
        slots = [slot for slot, each in rejections.items() if each.code is Code.UNSCHEDULABLE]
        wanted = min(max(len(slots) * self._percent // 100, self._least), len(slots))
        candidates: list[Candidate] = []
        statuses: list[Rejection] = []
        for slot in slots:
            node = snapshot.slots[slot]
            assert node is not None
            found = select_victims(pod, slot, node, snapshot.budgets.values(), trial)
            if isinstance(found, Rejection):
                statuses.append(found)
                continue
            candidates.append(found)
            if len(candidates) >= wanted and any(not each.violations for each in candidates):
                break
        if not candidates:
            return PostFilterResult(f"preemption: {unavailable(snapshot.size, statuses, _NOT_HELPFUL)}", clears_nomination=True)
        best = least_harm(candidates)
        return PostFilterResult("", best.node, best.victims, candidates=tuple(candidates))


def _ineligible(pod: PodInfo, snapshot: Snapshot, rejections: Mapping[int, Rejection]) -> str:
    """Why the pod may not preempt anyone now; "" when it may."""
    if not pod.can_preempt:
        return "not eligible due to preemptionPolicy=Never."
    node = snapshot.nodes.get(pod.nominated_node) if pod.nominated_node else None
    if node is None or node.slot < 0:
        return ""
    refused = rejections.get(node.slot)
    if refused is not None and refused.code is Code.UNRESOLVABLE:
        return ""
    if any(each.priority < pod.priority and _was_preempted(each) for each in node.pods.values()):
        return "not eligible due to a terminating pod on the nominated node."
    return ""


def _was_preempted(pod: PodInfo) -> bool:
    """Whether it is on its way out because of a preemption."""
    if not pod.is_deleting:
        return False
    condition = condition_of(pod.pod, "DisruptionTarget")
    return condition is not None and condition.get("status") == "True" and condition.get("reason") == PREEMPTED_REASON


def select_victims(pod: PodInfo, slot: int, node: NodeInfo, budgets: Iterable[Object], trial: Trial) -> Candidate | Rejection:
    """The fewest and least important pods that have to go from a node; or why that does not help."""
    less_important = sorted((each for each in node.pods.values() if each.priority < pod.priority), key=_importance)
    if not less_important:
        return _NO_VICTIMS
    empty = node.copy()
    for each in less_important:
        empty.remove_pod(each.key)
    refused = trial.fits(slot, empty, pod)
    if refused is not None:
        return refused
    victims: list[PodInfo] = []
    violations = 0
    protected, others = _by_budget(less_important, budgets)
    for group, is_protected in ((protected, True), (others, False)):
        for each in group:
            empty.add_pod(each)
            if trial.fits(slot, empty, pod) is not None:
                empty.remove_pod(each.key)
                victims.append(each)
                violations += is_protected
    return Candidate(node.name, tuple(sorted(victims, key=_importance)), violations)


def _importance(pod: PodInfo) -> tuple[int, str]:
    """Sorts the most important first: by priority, then by how long it has been running."""
    return -pod.priority, _started(pod)


def _started(pod: PodInfo) -> str:
    return (pod.pod.get("status") or {}).get("startTime") or _NEVER_STARTED


def _by_budget(pods: Sequence[PodInfo], budgets: Iterable[Object]) -> tuple[list[PodInfo], list[PodInfo]]:
    """(those whose removal breaks a disruption budget, the others), when they are removed in this order."""
    budgets = list(budgets)
    left: list[int] = [(each.get("status") or {}).get("disruptionsAllowed") or 0 for each in budgets]
    broken: list[PodInfo] = []
    fine: list[PodInfo] = []
    for pod in pods:
        breaks = False
        for index, budget in enumerate(budgets):
            if _protects(budget, pod):
                left[index] -= 1
                breaks = breaks or left[index] < 0
        (broken if breaks else fine).append(pod)
    return broken, fine


def _protects(budget: Object, pod: PodInfo) -> bool:
    """Whether removing the pod counts against the budget. Pods whose eviction is under way have been counted already."""
    if namespace_of(budget) != pod.namespace or not pod.labels:
        return False
    selector = selector_of((budget.get("spec") or {}).get("selector"))
    if selector.is_empty or not selector.matches(pod.labels):
        return False
    return pod.name not in ((budget.get("status") or {}).get("disruptedPods") or {})


def least_harm(candidates: Sequence[Candidate]) -> Candidate:
    """The best of them: fewest broken budgets, least important victims, fewest of them, those that have been running the shortest."""

    def harm(each: Candidate) -> tuple[int, int, int, int]:
        priorities = [victim.priority for victim in each.victims]
        return each.violations, priorities[0], sum(priority + 2**31 for priority in priorities), len(priorities)

    least = min(map(harm, candidates))
    equal = [each for each in candidates if harm(each) == least]
    return max(equal, key=_earliest_start_of_top)


def _earliest_start_of_top(candidate: Candidate) -> str:
    top = candidate.victims[0].priority
    return min(_started(victim) for victim in candidate.victims if victim.priority == top)
