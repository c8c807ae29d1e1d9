"""What a kind is to the server: data first (names, subresources, columns, selectable fields), pure hooks after.

One generic path (`registry.py`) serves every kind; a `Kind` says only how it differs. The modules in `apiserver/kinds/` make them.
Hooks change the object they are given in place and are never called twice for one write. Order of a create (upstream's
`registry/rest/create.go`): decode, `default`, managedFields, mutating admission, `begin` (allocate), `prepare`, name and metadata checks,
`validate`, validating admission, store. An update: the same with `old` set. A read: decode, `default`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apiserver.registry.alike import Likeness
from kube.errors import FieldError
from kube.objects import Object
from kube.resources import Resource
from kube.schema.types import StructType

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
EDIT_VERBS = ("get", "patch", "update")


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Context:
    """What a hook may know of the request. `warnings` it may add to: they become Warning headers."""

    user: User
    now: datetime
    verb: str  # create | update | patch | delete | ...
    subresource: str = ""
    dry_run: bool = False
    is_part: bool = False
    """This write is part of another one, which admission has seen (the pod of an eviction, say)."""
    field_manager: str = ""
    api_version: str = ""
    """The version that the client speaks, where that is not the hub's."""
    timeout_s: float | None = None
    """How long after `now` the client is answered at the latest; None: whenever it is done."""
    timestamp: str = ""
    """`now` as metav1.Time prints it."""
    warnings: list[str] = field(default_factory=list)
    sent: Callable[[], Any] = dict
    """The document that this write was decoded from."""
    texts: dict[str, bytes] = field(default_factory=dict)
    """See `Kind.texts`: the text of each such member as it was sent. What was not sent as text is compact."""
    old_texts: dict[str, bytes] = field(default_factory=dict)
    """The same of the stored object, in an update."""
    likeness: Likeness | None = None
    """What is remembered of objects like this one (`alike.py`), while it is as it was decoded and defaulted."""

    def was_empty(self, path: str) -> bool:
        """Whether an empty list or map was sent at a path (`spec.rules`, not within lists): decoding drops those, messages show them."""
        value = self.sent()
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value in ([], {})


Prepare = Callable[[Object, Object | None, Context], None]
"""(new, old, ctx): clear what this write may not set, fill in what the server sets. `old` is None on create."""

Validate = Callable[[Object, Object | None, Context], Sequence[FieldError]]
"""(new, old, ctx): everything wrong with `new`, and with changing `old` into it. Metadata is validated generically already."""

Finish = Callable[[bool], Awaitable[None]]
"""async (went_through): what `begin` claimed is kept and what it gave up is free, or, where the write failed, the other way round."""

Create = Callable[[Any, str, Object, Context], Awaitable[Object]]
"""async (registries, namespace, body, ctx) -> the answer: what POST does to a kind that is never stored (reviews, bindings)."""

AfterDelete = Callable[[Object, Context, Any], Awaitable[None]]
"""async (old, ctx, registries): give back what the object held, once it is gone. Must not raise for what is gone already."""

Begin = Callable[[Object, Object | None, Context, Any], Awaitable[Finish | None]]
"""(new, old, ctx, registries): fill in and claim what must be unique in the cluster (cluster IPs, node ports), before anything is
validated, and say what is to be done once the write has gone through or failed. A refused write fails. `registries` is
`apiserver.registry.registry.Registries`."""


@dataclass(frozen=True, slots=True)
class Column:
    """A Table column. priority 0 shows always, 1 with `-o wide`. `format` is "name" for the first column."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


Row = Callable[[Object, datetime], list[Any]]
"""(object, now): the cells, one per column, as upstream's printers fill them."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where autoscaling/v1 Scale reads and writes; `selector(obj)` is its status.selector string."""

    selector: Callable[[Object], str]
    replicas_path: tuple[str, ...] = ("spec", "replicas")
    status_path: tuple[str, ...] = ("status", "replicas")


@dataclass(frozen=True, slots=True)
class Subresource:
    """A subresource of a kind. With `prepare`, it is an update of the object that touches only its part (status, finalize, approval,
    ephemeralcontainers, resize): `prepare` copies from `old` everything that this subresource may not change.
    With `create`, POST calls it (binding, eviction, token). `connect` ones (log, exec, proxy, ...) are served by `handlers/connect.py`."""

    name: str
    verbs: tuple[str, ...] = EDIT_VERBS
    group: str = ""  # of the kind it answers with, where that is not the parent's
    version: str = ""
    kind: str = ""
    definition: str = ""  # OpenAPI definition of that kind; "" = the parent's
    default: Callable[[Object], None] | None = None
    """The defaults of what this subresource writes; None: the kind's own."""
    prepare: Prepare | None = None
    validate: Validate | None = None
    create: Callable[..., Awaitable[Object]] | None = None
    """async (registries, parent: Object | None, namespace, name, body: Object, ctx) -> the answer"""
    connect: bool = False
    metadata_passes: tuple[str, ...] = ("update",)
    """See `Kind.metadata_passes`."""
    reset_fields: tuple[tuple[str, ...], ...] = ()
    """Field paths that this subresource never sets, left out of managedFields, e.g. (("spec",),) for status."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """Between the hub (the version that hooks see and the store keeps) and another served version. In place; must round-trip."""

    resource: Resource
    definition: str
    to_hub: Callable[[Object], None]
    from_hub: Callable[[Object], None]
    default: Callable[[Object], None] = lambda obj: None
    selectors: Mapping[str, str] | None = None
    """Field selectors of this version, with the hub's name of each (besides those of metadata). None: the hub's own names."""


@dataclass(frozen=True, slots=True)
class Custom:
    """What a kind made of a CustomResourceDefinition brings with it. Upstream keeps such objects as free maps, which shows here and there:
    items of lists say their kind, bodies may say another one. Each version of a definition is a kind of its own."""

    type: StructType
    list_kind: str
    storage_version: str
    storage_is_served: bool
    """Whether requests for that version are answered."""
    types: Mapping[str, StructType]
    """The types of all versions, by apiVersion. Versions differ in nothing but their schemas."""
    schemas: Mapping[str, Any]
    """What OpenAPI v3 publishes, by definition name."""
    replicas_paths: Mapping[str, tuple[str, ...] | None]
    """Where each version, by apiVersion, keeps the replicas of its scale (`f:spec`, `f:replicas`)."""
    view: Callable[[Any], Any]
    """(registries) -> the store, as this version sees it."""
    is_converted: bool = False
    """A webhook converts between the versions: the view is a `ConvertingStore`."""
    as_stored: Callable[[Object], None] | None = None
    """Make an object what will be read back, in place, where another version is the one that is stored."""


def nothing(_new: Object, _old: Object | None, _ctx: Context) -> None:
    """A Prepare that has nothing to do."""


def all_fine(_new: Object, _old: Object | None, _ctx: Context) -> Sequence[FieldError]:
    """A Validate that finds nothing wrong."""
    return ()


def no_defaults(_obj: Object) -> None:
    """For kinds without defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One resource as the server serves it. `resource` is the hub version; others are in `conversions`."""

    resource: Resource
    definition: str
    singular: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    storage: str = ""  # under /registry/; "" = plural ("services/specs", "minions" are upstream's exceptions)
    subresources: tuple[Subresource, ...] = ()
    scale: Scale | None = None
    conversions: tuple[Conversion, ...] = ()
    gate: str = ""
    """The feature gate without which the kind is not served, whatever is said of its version."""

    # how it is shown and found
    columns: tuple[Column, ...] = (Column("Name", format="name"), Column("Age"))
    row: Row | None = None  # None: name and age
    row_conditions: Callable[[Object], list[Object]] | None = None
    row_order: Callable[[Object], Any] | None = None
    """What the rows of a Table are sorted by; None: as they are listed."""
    default_table: bool = False
    """Shown by upstream's default table convertor, in whose Tables no rows are null."""
    selectable: Mapping[str, Callable[[Object], str]] = field(default_factory=dict)
    """Field selectors besides metadata.name and metadata.namespace."""
    unknown_field: str = "field label not supported: {name}"
    """What is said of any other, where a kind has selectors of its own; `{quoted}` is its name in quotes."""

    # how it behaves
    default: Callable[[Object], None] = no_defaults
    fills_lists: tuple[str, ...] = ()
    """Lists that `default` fills in when they are absent, but not when they were sent empty: their names."""
    texts: tuple[str, ...] = ()
    """Members that upstream keeps as the text that was sent, white space included, and compares as text."""
    alike: bool = False
    """Many objects of this kind differ in nothing but their metadata, which `default` neither reads nor changes: see `alike.py`."""
    prepare: Prepare = nothing
    validate: Validate = all_fine
    begin: Begin | None = None
    after_delete: AfterDelete | None = None
    create: Create | None = None
    """Set for kinds that are only ever created and never stored; their verbs are ("create",)."""
    name_rule: str = "subdomain"  # see validation/names.py: subdomain | label | label1035 | path-segment | ...
    has_generation: bool = False
    """The server keeps metadata.generation: 1 on create, plus 1 when anything but metadata and status changes."""
    status_reset_fields: tuple[tuple[str, ...], ...] = (("status",),)
    """What writes to the main resource never set, where the kind has a status subresource."""
    metadata_passes: tuple[str, ...] = ("update", "create")
    """How often upstream's validation of an update looks at the metadata besides the two times that are every kind's: seen in how often a
    cause is listed. See `validation/metadata.update_errors`."""
    legacy_finalizers: bool = True
    """Finalizers without a domain must be upstream's own (most kinds; not custom resources and some newer groups)."""
    metadata_last: bool = False
    """The kind's own validation leaves a new object's metadata to the check that all kinds have, which comes only when nothing else is
    wrong (Events)."""
    create_on_update: bool = False
    deprecation: str = ""
    """A Warning that every request to the hub's version is answered with (but for 404s of the route)."""
    unconditional_update: bool = True
    """False: a PUT without resourceVersion is refused (422)."""
    grace_period: Callable[[Object, int | None], int] | None = None
    """(object, asked seconds or None) -> seconds of grace; None: deleted at once. Pods and upstream's graceful kinds."""
    marks_grace: bool = True
    """A deleted object that waits says so in deletionGracePeriodSeconds, too (Namespaces do not)."""
    default_orphan: bool = False
    """Delete without a propagation policy orphans the dependents (ReplicationController, Job in batch/v1)."""
    has_dependents: bool = True
    """False: nothing ever depends on such an object, and propagation policies change nothing (events)."""
    delete_answers_object: bool = False
    """DELETE answers with the last object, not with a Status."""
    holds_deletion: Callable[[Object], bool] = lambda obj: False
    """True while something besides metadata.finalizers keeps a deleted object (a Namespace's spec.finalizers)."""
    marks_deletion: bool = False
    """Upstream's storage of this kind marks what is deleted itself, and tells failed preconditions in words of its own."""
    propagates: bool = True
    """The propagation policy of a DELETE counts (not so when a CustomResourceDefinition is first deleted)."""
    mark_deleting: Callable[[Object], None] = no_defaults
    """What else changes when the deletionTimestamp is set (a Namespace's phase becomes Terminating)."""
    hidden_annotations: tuple[str, ...] = ()
    """Annotations that stand for fields of upstream's internal type, and so are not there in Tables and in metadata alone."""
    ttl_s: int = 0
    """Objects expire after this many seconds without a write (events: one hour)."""
    settle: Callable[[Object, Any], Awaitable[None]] | None = None
    """async (object as written, registries): wait a while for what the server itself makes of a write, before the client is answered."""
    custom: Custom | None = None
    """Set for custom resources."""

    @property
    def is_cached(self) -> bool:
        """Whether upstream keeps this kind in its watch cache: all but what expires."""
        return not self.ttl_s

    @property
    def list_kind(self) -> str:
        return self.custom.list_kind if self.custom is not None else f"{self.resource.kind}List"

    @property
    def storage_prefix(self) -> str:
        return f"/registry/{self.storage or self.resource.plural}/"
