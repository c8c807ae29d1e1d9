"""What a scheduling plugin is. Read this first, then `schedule.py` (the decision), `profile.py` (the list), `scheduler.py` (the loop).

A plugin is one small class in `plugins/` that has some of the extension points below; which ones it has is found out from its methods.
Upstream's points are kept, in their order: PreEnqueue, (queue sort), PreFilter and Filter, PostFilter, PreScore, Score and Normalize,
Reserve, Permit, PreBind, Bind, PostBind. Two things differ, for speed in Python:

- A plugin whose answer for a node depends on the pod and *that node alone* has `filter` and `score`: its answers are remembered for all
  pods with the same `PodInfo.signature` and asked for again only when the node changes (`evaluation.py`).
- A plugin that compares nodes (spreading, affinity to other pods) gives a `Tally`, which is told of each node that changes.

So `pre_filter` and `pre_score` see one pod on behalf of all with its signature, and may not look at anything the signature leaves out.
Source: `k8s.io/kube-scheduler/framework`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Flag, IntEnum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from kube.objects import Object

if TYPE_CHECKING:
    from controllers.scheduler.columns import Pick
    from controllers.scheduler.node_info import NodeInfo
    from controllers.scheduler.pod_info import PodInfo
    from controllers.scheduler.snapshot import Snapshot

MAX_NODE_SCORE = 100


class Code(IntEnum):
    """Whether removing pods from the node could change the answer."""

    UNSCHEDULABLE = 1
    UNRESOLVABLE = 2


@dataclass(frozen=True, slots=True)
class Rejection:
    """A plugin's no. `reasons` are upstream's texts, which are counted over all nodes; `detail` is for who asks about one node."""

    plugin: str
    code: Code
    reasons: tuple[str, ...]
    detail: str = ""


@lru_cache(maxsize=4096)
def rejection(plugin: str, code: Code, *reasons: str, detail: str = "") -> Rejection:
    """The same object for the same answer: thousands of nodes share it."""
    return Rejection(plugin, code, reasons, detail)


class ClusterEvent(Flag):
    """What may make an unschedulable pod schedulable. A pod is tried again for the events that its rejecting plugins name in `wakes`."""

    NODE_ADD = auto()
    NODE_DELETE = auto()
    NODE_ALLOCATABLE = auto()
    NODE_LABEL = auto()
    NODE_TAINT = auto()
    NODE_IMAGES = auto()
    NODE_DECLARED_FEATURES = auto()
    POD_ADD = auto()
    POD_DELETE = auto()
    POD_LABEL = auto()
    POD_SCALE_DOWN = auto()
    NAMESPACE_LABEL = auto()
    CLAIM = auto()
    """A PersistentVolumeClaim is new or has changed; likewise the following."""
    VOLUME = auto()
    STORAGE_CLASS = auto()
    CSI_NODE = auto()
    CSI_DRIVER = auto()
    CSI_CAPACITY = auto()
    ATTACHMENT_DELETE = auto()
    DEVICES = auto()
    """A ResourceClaim, a DeviceClass or a ResourceSlice is new, has changed or is gone."""


NO_EVENT = ClusterEvent(0)
ANY_EVENT = ~NO_EVENT


@dataclass(frozen=True, slots=True)
class Change:
    """What has happened, and to whom: of node events the node as it is now (None: it is gone), of pod events the pod."""

    event: ClusterEvent
    node: NodeInfo | None = None
    pod: PodInfo | None = None


class PluginError(Exception):
    """A plugin cannot answer now: not a no, the pod is tried again after a back-off. The text is told of the pod."""


class Plugin(Protocol):
    name: str


@runtime_checkable
class PreEnqueuePlugin(Protocol):
    """Keeps pods out of the queue. What it keeps out is asked about again when the pod changes."""

    name: str

    def pre_enqueue(self, pod: PodInfo) -> str | None:
        """Why the pod may not be tried; None when it may."""
        ...


@runtime_checkable
class QueueSortPlugin(Protocol):
    name: str

    def sort_key(self, pod: PodInfo, added_at: float) -> tuple[Any, ...]:
        """The smaller, the earlier."""
        ...


@runtime_checkable
class FilterPlugin(Protocol):
    """Says no to nodes, each on its own."""

    name: str
    wakes: ClusterEvent

    def pre_filter(self, pod: PodInfo, snapshot: Snapshot) -> Any:
        """What `filter` needs to know of the pod; None when the plugin has nothing to say about it; a Rejection when no node will do
        as things are."""
        ...

    def filter(self, state: Any, node: NodeInfo) -> Rejection | None: ...


@runtime_checkable
class HintingPlugin(Protocol):
    """Knows better than `wakes` whether a change may help a pod that it has rejected (upstream's queueing hints)."""

    name: str

    def worth_trying(self, pod: PodInfo, change: Change, snapshot: Snapshot) -> bool: ...


@runtime_checkable
class NarrowingPlugin(Protocol):
    """Knows by name which nodes come into question at all (upstream's PreFilterResult)."""

    name: str

    def node_names(self, pod: PodInfo) -> frozenset[str] | Rejection | None:
        """Only these; None for all; a Rejection when no node can ever do."""
        ...


@runtime_checkable
class ScorePlugin(Protocol):
    """Scores nodes, each on its own, from 0 to MAX_NODE_SCORE (anything, where it is also a NormalizePlugin)."""

    name: str

    def pre_score(self, pod: PodInfo, snapshot: Snapshot) -> Any:
        """What `score` needs to know of the pod; None when every node would get the same."""
        ...

    def score(self, state: Any, node: NodeInfo) -> int: ...


@runtime_checkable
class NormalizePlugin(Protocol):
    name: str

    def normalize(self, scores: list[int]) -> list[int]:
        """The scores of the feasible nodes as 0 to MAX_NODE_SCORE. Not called when they are all 0: that must mean "all the same"."""
        ...


class Tally(Protocol):
    """What a plugin has counted over all nodes on behalf of one pod."""

    def update(self, slot: int, node: NodeInfo | None) -> None:
        """The node in `slot` is new, has changed, or is gone."""
        ...


class FilterTally(Tally, Protocol):
    def begin(self) -> bool:
        """Get ready to filter with the counts as they are; False when no node would be refused."""
        ...

    def filter(self, node: NodeInfo) -> Rejection | None: ...


class ScoreTally(Tally, Protocol):
    def score(self, pick: Pick) -> Sequence[int] | None:
        """Normalized scores of the feasible nodes, whose slots are `pick`'s; None when they are all the same."""
        ...


@runtime_checkable
class FilterTallyPlugin(Protocol):
    name: str
    wakes: ClusterEvent

    def filter_tally(self, pod: PodInfo, snapshot: Snapshot) -> FilterTally | None:
        """A tally of the nodes as they are, or None when the plugin has nothing to say about the pod."""
        ...


@runtime_checkable
class ScoreTallyPlugin(Protocol):
    name: str

    def score_tally(self, pod: PodInfo, snapshot: Snapshot) -> ScoreTally | None: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node and whom to delete there, the most important one first; `violations`: how many of them against a disruption budget."""

    node: str
    victims: tuple[PodInfo, ...]
    violations: int


@dataclass(frozen=True, slots=True)
class PostFilterResult:
    """What was thought of for a pod that fits nowhere: room on `node` (None: none) by deleting `victims`; `message` is for the event."""

    message: str
    node: str | None = None
    victims: tuple[PodInfo, ...] = ()
    clears_nomination: bool = False
    """The node that was nominated before is of no use any more."""
    candidates: tuple[Candidate, ...] = ()
    """All the choices there were; extenders are asked about them."""
    deallocates: Object | None = None
    """A ResourceClaim as it is to be written: without the devices that it has, so that it may get others."""


class Trial(Protocol):
    """Lets a PostFilter plugin ask "what if": see `evaluation.Evaluation`."""

    def fits(self, slot: int, node: NodeInfo, pod: PodInfo) -> Rejection | None:
        """Would the pod be refused if the node in `slot` were as `node`? Counts in those who were promised room there."""
        ...


@runtime_checkable
class PostFilterPlugin(Protocol):
    name: str

    def post_filter(self, pod: PodInfo, snapshot: Snapshot, rejections: dict[int, Rejection], trial: Trial) -> PostFilterResult | None:
        """`rejections` by slot; slots that are not in it were ruled out beforehand."""
        ...


@runtime_checkable
class ReservePlugin(Protocol):
    """Keeps what the pod needs besides its node from being given to others, in memory only."""

    name: str

    def reserve(self, pod: PodInfo, node: NodeInfo, snapshot: Snapshot) -> Rejection | None: ...

    def unreserve(self, pod: PodInfo, node: str, snapshot: Snapshot) -> None:
        """Must be idempotent; called also where `reserve` has refused."""
        ...


@dataclass(frozen=True, slots=True)
class Wait:
    """A Permit plugin's "not yet": for so long at most, and never for more than 15 minutes."""

    timeout_s: float


@runtime_checkable
class PermitPlugin(Protocol):
    """May refuse at the last moment, or have the pod wait: until it is allowed or rejected (`waiting.py`), or until time is up."""

    name: str

    def permit(self, pod: PodInfo, node: str) -> Rejection | Wait | None: ...


@runtime_checkable
class PreBindPlugin(Protocol):
    """Gets things ready before the pod is bound. That may take long: others are bound meanwhile."""

    name: str

    def pre_bind_pre_flight(self, pod: PodInfo, node: str) -> bool:
        """Whether there is anything to do."""
        ...

    async def pre_bind(self, pod: PodInfo, node: str) -> None:
        """Do it, and return when it is done. Raises PluginError, ApiError or OSError: then the pod is not bound."""
        ...


@runtime_checkable
class BindPlugin(Protocol):
    name: str

    async def bind(self, pod: PodInfo, node: str) -> None:
        """Make it so. Raises ApiError or OSError."""
        ...


@runtime_checkable
class PostBindPlugin(Protocol):
    """Is told of pods that have been bound."""

    name: str

    def post_bind(self, pod: PodInfo, node: str) -> None: ...
