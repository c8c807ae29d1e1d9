"""The boundary to what really runs containers: one CRI-shaped protocol. Read this page first; the agent knows nothing else of a runtime.

It follows the runtime and image services of CRI v1 (`cri-api/pkg/apis/runtime/v1/api.proto`) in asyncio form, with three differences:
lists answer whole statuses (one call instead of N+1), streams are Python objects instead of URLs, and probes are the runtime's to
carry out (`probe`), since only it knows how a container is reached. `tests/contract/runtime_contract.py` is what every implementation
passes; `simulated.py` is the default one.

    CRIError                     anything a runtime refuses or fails at
    +-- NotFound                 no such sandbox, container or image
    +-- Unimplemented            this runtime cannot do it (yet), and says so
    +-- InvalidState             the container is not in the state that the call needs
    +-- ImagePullError           the image could not be pulled: `reason` is the waiting reason (ErrImagePull, RegistryUnavailable, ...)
    +-- CommandTimeout           exec_sync or probe ran out of time

Times are aware datetimes in UTC. Names: a *sandbox* is what a pod's containers share (network, IP); `attempt` counts re-creations.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from kube.objects import Object


class CRIError(Exception):
    """A runtime refused or failed. The text is for people: it ends up in events and waiting messages."""


class NotFound(CRIError):
    pass


class Unimplemented(CRIError):
    pass


class InvalidState(CRIError):
    pass


class ImagePullError(CRIError):
    def __init__(self, message: str, *, reason: str = "ErrImagePull") -> None:
        super().__init__(message)
        self.reason = reason


class CommandTimeout(CRIError):
    pass


class ContainerState(StrEnum):
    CREATED = "CREATED"
    RUNNING = "RUNNING"
    EXITED = "EXITED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """What a sandbox is made from. `pod` is the API object: a runtime reads from it what CRI's PodSandboxConfig carries."""

    pod: Object
    attempt: int = 0
    log_directory: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """What a container is made from. `container` is its entry in the pod's spec."""

    container: Object
    image_ref: str
    attempt: int = 0
    envs: Mapping[str, str] = field(default_factory=dict)
    log_path: str = ""
    is_init: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    """Files from configMap, secret, downwardAPI and projected volumes, and the kubelet's own (/etc/hosts): path -> text."""


@dataclass(frozen=True, slots=True)
class SandboxStatus:
    id: str
    pod_uid: str
    attempt: int
    is_ready: bool
    created_at: datetime
    ips: tuple[str, ...] = ()
    resources: Object | None = field(default=None, hash=False)
    """The requests and limits of the pod as a whole, as the runtime was last told of them; None where it has none."""


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """One container, dead or alive. `image` is the name as the runtime resolved it, `image_ref` the digest form (the API's imageID)."""

    id: str
    name: str
    attempt: int
    sandbox_id: str
    pod_uid: str
    image: str
    image_ref: str
    state: ContainerState
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    log_path: str = ""
    resources: Object | None = field(default=None, hash=False)
    """The requests and limits that it is run with; None where the runtime does not know."""


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """`ref` is `repository@sha256:...`; `name` the fully qualified tag."""

    ref: str
    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which part of a container's log, as PodLogOptions has it. `tail_lines` None = all; `limit_bytes` cuts the answer off mid-line."""

    follow: bool = False
    tail_lines: int | None = None
    since_time: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None
    stream: str = ""
    """"" for both, else "stdout" or "stderr"."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    exit_code: int
    stdout: bytes
    stderr: bytes = b""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """`steady`: the answer stays the same until the runtime reports an event of this container, so nobody has to ask again."""

    success: bool
    output: str = ""
    steady: bool = False


@dataclass(frozen=True, slots=True)
class ContainerStats:
    """Usage at one moment. CPU is cumulative, in nanoseconds of one core; the rate is in nanocores."""

    container_id: str
    name: str
    pod_uid: str
    timestamp: datetime
    cpu_usage_core_nanos: int
    cpu_usage_nano_cores: int
    memory_working_set_bytes: int
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """Something happened to a pod's sandbox or containers (`kind`: created, started, stopped, deleted, changed): look again."""

    pod_uid: str
    container_id: str
    kind: str


class ExecStreams(Protocol):
    """The streams of one exec or attach, whatever protocol carries them."""

    has_stdin: bool
    tty: bool

    async def read_stdin(self) -> bytes:
        """The next bytes; b"" for good at the end (and at once where there is no stdin)."""
        ...

    async def write_stdout(self, data: bytes) -> None: ...

    async def write_stderr(self, data: bytes) -> None: ...

    async def next_resize(self) -> tuple[int, int]:
        """The next (columns, rows) of the terminal; waits for good when there is none."""
        ...


class ByteStream(Protocol):
    """A connection forwarded to a port of a pod."""

    async def read(self) -> bytes:
        """The next bytes; b"" at the end."""
        ...

    async def write(self, data: bytes) -> None: ...


OwnFiles = Callable[[Object, Sequence[str]], Mapping[str, str]]
"""The files that a container (its entry in the spec) of a pod with these addresses has from the kubelet itself: path -> text."""


class RuntimeService(Protocol):
    """What the agent asks of a runtime. Every method raises CRIError (or a subclass) and nothing else; stop and remove are idempotent."""

    name: str
    """`containerRuntimeVersion` is `<name>://<version>`; container ids are reported as `<name>://<id>`."""
    version: str

    async def start(self) -> None:
        """Get ready: connect, or make directories. Called once, before anything else."""
        ...

    async def close(self) -> None:
        """Let go of connections and tasks. Containers of runtimes that outlive the agent keep running."""
        ...

    def set_pod_cidr(self, cidr: str) -> None:
        """The node's range of pod addresses ("10.244.1.0/24"), for runtimes that give out addresses themselves."""
        ...

    async def restore(self, pod: Object, own_files: OwnFiles | None = None) -> None:
        """Told once of each pod, before `list_*` is asked for it: a runtime that remembers nothing over a restart rebuilds the pod
        from its status (same ids, start times, restart counts), its containers with `own_files`; others do nothing."""
        ...

    def keep(self, pod: Object) -> None:
        """A new version of the pod, which differs in nothing that is a runtime's business: one that keeps pods need not keep the old."""
        ...

    # --- sandboxes -------------------------------------------------------------------------------------------------

    async def run_pod_sandbox(self, config: SandboxConfig) -> SandboxStatus: ...

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Kills what still runs in it and gives its addresses back."""
        ...

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Removes it and all its containers."""
        ...

    async def update_pod_sandbox(self, sandbox_id: str, config: SandboxConfig) -> None:
        """The pod's labels or annotations changed."""
        ...

    async def update_pod_sandbox_resources(self, sandbox_id: str, resources: Object | None) -> None:
        """The pod as a whole has these requests and limits from now on."""
        ...

    async def list_pod_sandboxes(self, pod_uid: str | None = None) -> Sequence[SandboxStatus]: ...

    # --- containers ------------------------------------------------------------------------------------------------

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """The new container's id."""
        ...

    async def start_container(self, container_id: str) -> None: ...

    async def stop_container(self, container_id: str, *, timeout_s: float) -> None:
        """Ask it to end (its stop signal), kill it after `timeout_s`; returns when it has ended."""
        ...

    async def remove_container(self, container_id: str) -> None: ...

    async def update_container_resources(self, container_id: str, resources: Object) -> None:
        """A running container has these requests and limits from now on."""
        ...

    def has_program(self, container: Object, envs: Mapping[str, str]) -> bool:
        """Whether a program will run in such a container, and so somebody may read its files. Everywhere but in simulations: yes."""
        ...

    async def update_files(self, container_id: str, changed: Mapping[str, str], gone: Sequence[str]) -> None:
        """Files that came with the container's config are other ones now (path -> text), or are there no more."""
        ...

    async def container_status(self, container_id: str) -> ContainerStatus: ...

    async def list_containers(self, pod_uid: str | None = None) -> Sequence[ContainerStatus]:
        """Dead ones too, until they are removed."""
        ...

    async def container_stats(self, pod_uid: str | None = None) -> Sequence[ContainerStats]: ...

    def logs(self, container_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
        """The log, in pieces of whole lines; with `follow` until the container has ended. Close it (`aclosing`)."""
        ...

    # --- getting inside --------------------------------------------------------------------------------------------

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout_s: float) -> ExecResult: ...

    async def exec(self, container_id: str, command: Sequence[str], streams: ExecStreams) -> int:
        """Run a command on the given streams; its exit code. Cancelling ends it."""
        ...

    async def attach(self, container_id: str, streams: ExecStreams) -> None:
        """Copy the container's own streams until it ends."""
        ...

    async def port_forward(self, sandbox_id: str, port: int, stream: ByteStream) -> None:
        """Copy bytes both ways between `stream` and the pod's port until either side ends."""
        ...

    async def probe(self, container_id: str, probe: Object, *, kind: str) -> ProbeResult:
        """Carry out one probe (the handler in `probe`; `kind` is liveness, readiness or startup). A failure is a result, not an error."""
        ...

    # --- images ----------------------------------------------------------------------------------------------------

    async def image_status(self, image: str) -> ImageStatus | None:
        """The image if it is here. `image` is a normalised reference (see `kubelet/images.py`)."""
        ...

    async def pull_image(self, image: str, *, pod: Object) -> ImageStatus: ...

    async def list_images(self) -> Sequence[ImageStatus]: ...

    # --- events ----------------------------------------------------------------------------------------------------

    def subscribe(self, told: Callable[[ContainerEvent], None]) -> None:
        """Call `told`, which does not block, with whatever happens from now on. A runtime may miss some, so the agent also looks by
        itself now and then."""
        ...
