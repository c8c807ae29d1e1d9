"""A synchronous client for tests: objects in, objects out, kinds by name. Failures are `kube.errors`, as with `kube.client.client`.

    client.get("Deployment", "web")                      # in the namespace "default"
    client.list(("example.com/v1", "Widget"), namespace=None)
    client.patch(manifest, {"spec": {"replicas": 3}})    # kind, name and namespace from the manifest

Kinds are found by discovery, so that custom resources are as good as any.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

import orjson
import yaml

from kube.client.client import Client, PatchKind
from kube.errors import NotFound
from kube.objects import Object
from kube.resources import Resource

T = TypeVar("T")
What = str | tuple[str, str] | Mapping[str, Any]
"""A kind, plural, singular or short name ("Pod", "pods", "deploy", "widgets.example.com"), (apiVersion, kind), or an object with both."""
FIELD_MANAGER = "wherry"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnknownKind(LookupError):
    """The server has no such kind."""


class Call(Protocol):
    """Runs a coroutine function where the client lives, and answers its result."""

    def __call__(self, work: Callable[[], Coroutine[Any, Any, T]], /) -> T: ...


class SyncClient:
    """See the module. Namespaces are "default" where neither the call nor the object names one."""

    def __init__(self, client: Client, call: Call) -> None:
        self._client, self._call = client, call
        self._served: list[tuple[Resource, frozenset[str]]] = []
        """Every resource with its names in lower case."""

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, what: What, name: str = "", *, namespace: str | None = None, subresource: str = "") -> Object:
        """One object. Raises NotFound."""
        resource, name, where = self._named(what, name, namespace)
        return self._typed(resource, self._call(lambda: self._client.get(resource, name, namespace=where, subresource=subresource)))

    def find(self, what: What, name: str = "", *, namespace: str | None = None) -> Object | None:
        """One object, or None where there is none."""
        try:
            return self.get(what, name, namespace=namespace)
        except NotFound:
            return None

    def list(
        self, what: What, *, namespace: str | None = "default", label_selector: str = "", field_selector: str = ""
    ) -> builtins.list[Object]:
        """The objects of one namespace, or of all (None)."""
        resource = self.resource(what)
        where = namespace if resource.namespaced else None
        answer = self._call(
            lambda: self._client.list(resource, namespace=where, label_selector=label_selector, field_selector=field_selector)
        )
        return [self._typed(resource, item) for item in answer["items"]]

    def logs(
        self, pod: str, *, namespace: str = "default", container: str = "", previous: bool = False, tail_lines: int | None = None
    ) -> str:
        """What a container has printed so far."""
        query = {"container": container, "previous": "true" if previous else "", "tailLines": "" if tail_lines is None else str(tail_lines)}
        given = urlencode({key: value for key, value in query.items() if value})
        target = f"/api/v1/namespaces/{namespace}/pods/{pod}/log" + (f"?{given}" if given else "")
        return self.raw("GET", target).decode(errors="replace")

    # --- writing ------------------------------------------------------------------------------------------------------

    def create(self, manifest: Mapping[str, Any], *, namespace: str | None = None) -> Object:
        resource, obj = self._placed(manifest, namespace)
        return self._call(lambda: self._client.create(resource, obj, field_manager=FIELD_MANAGER))

    def update(self, manifest: Mapping[str, Any], *, subresource: str = "") -> Object:
        """Replace an object by this version of it. Raises Conflict when it has changed meanwhile."""
        resource, obj = self._placed(manifest, None)
        return self._call(lambda: self._client.update(resource, obj, subresource=subresource, field_manager=FIELD_MANAGER))

    def apply(
        self, manifest: Mapping[str, Any], *, namespace: str | None = None, field_manager: str = FIELD_MANAGER, force: bool = True
    ) -> Object:
        """Server-side apply: create it, or make it say what the manifest says."""
        resource, obj = self._placed(manifest, namespace)
        return self._call(lambda: self._client.apply(resource, obj, field_manager=field_manager, force=force))

    def patch(
        self,
        what: What,
        name: str | Any = "",
        patch: Any = None,
        *,
        namespace: str | None = None,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
    ) -> Object:
        """Change part of an object: `patch(what, name, patch)`, or `patch(manifest, patch)`. `kind` says what kind of patch it is."""
        if patch is None and not isinstance(name, str):
            name, patch = "", name
        if patch is None:
            raise TypeError("patch() needs a patch: patch(what, name, patch) or patch(manifest, patch)")
        resource, name, where = self._named(what, name, namespace)
        return self._call(
            lambda: self._client.patch(
                resource, name, patch, namespace=where, kind=kind, subresource=subresource, field_manager=FIELD_MANAGER
            )
        )

    def delete(
        self,
        what: What,
        name: str = "",
        *,
        namespace: str | None = None,
        propagation_policy: str = "Background",
        grace_period_s: int | None = None,
    ) -> None:
        """Ask for an object to be deleted. Raises NotFound. Finalizers and grace periods may keep it there for a while."""
        resource, name, where = self._named(what, name, namespace)
        self._call(
            lambda: self._client.delete(
                resource, name, namespace=where, propagation_policy=propagation_policy, grace_period_s=grace_period_s
            )
        )

    def raw(self, method: str, target: str, body: Any = None, *, content_type: str = "application/json") -> bytes:
        """Any request, with its path and query; the body of the answer."""
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        headers = {"accept": "*/*"} | ({"content-type": content_type} if data is not None else {})
        return self._call(lambda: self._client.raw(method, target, body=data, headers=headers)).body

    # --- which kind ---------------------------------------------------------------------------------------------------

    def resource(self, what: What) -> Resource:
        """What a name or an object means. Raises UnknownKind."""
        found = self._known(what)
        if found is None:
            self._discover()
            found = self._known(what)
        if found is None:
            raise UnknownKind(f"the server has no kind {_described(what)}")
        return found

    def _known(self, what: What) -> Resource | None:
        if isinstance(what, str):
            name, _, group = what.lower().partition(".")
            return next((each for each, names in self._served if name in names and group in ("", each.group)), None)
        api_version, kind = _kind_of(what)
        return next((each for each, _ in self._served if each.api_version == api_version and each.kind == kind), None)

    def _discover(self) -> None:
        """Ask the server for everything it has, the preferred version of each group first."""
        groups = self._json("/apis")["groups"]
        preferred = [each["preferredVersion"]["groupVersion"] for each in groups]
        others = [version["groupVersion"] for each in groups for version in each["versions"]]
        served: builtins.list[tuple[Resource, frozenset[str]]] = []
        for group_version in ("v1", *dict.fromkeys([*preferred, *others])):
            listed = self._json(f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}")
            served += _resources(group_version, listed["resources"])
        self._served = served

    def _json(self, target: str) -> Any:
        return orjson.loads(self._call(lambda: self._client.raw("GET", target)).body)

    def _named(self, what: What, name: str, namespace: str | None) -> tuple[Resource, str, str | None]:
        """The resource, name and namespace that are meant."""
        metadata: Mapping[str, Any] = {} if isinstance(what, str | tuple) else what.get("metadata") or {}
        resource = self.resource(what)
        name = name or metadata.get("name", "")
        if not name:
            raise ValueError(f"{resource.kind}: which one? A name is missing")
        return resource, name, _namespace(resource, metadata, namespace)

    def _placed(self, manifest: Mapping[str, Any], namespace: str | None) -> tuple[Resource, Object]:
        """The manifest as it is sent: in its namespace."""
        resource = self.resource(manifest)
        metadata = {**(manifest.get("metadata") or {})}
        where = _namespace(resource, metadata, namespace)
        if where is not None:
            metadata["namespace"] = where
        return resource, {**manifest, "metadata": metadata}

    @staticmethod
    def _typed(resource: Resource, obj: Object) -> Object:
        """The items of lists do not say what they are."""
        return obj if "kind" in obj else {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


def _namespace(resource: Resource, metadata: Mapping[str, Any], namespace: str | None) -> str | None:
    if not resource.namespaced:
        return None
    return namespace or metadata.get("namespace") or "default"


def _kind_of(what: tuple[str, str] | Mapping[str, Any]) -> tuple[str, str]:
    if isinstance(what, tuple):
        return what
    if not what.get("apiVersion") or not what.get("kind"):
        raise ValueError(f"not a Kubernetes object, it has no apiVersion or no kind: {_described(what)}")
    return str(what["apiVersion"]), str(what["kind"])


def _described(what: What) -> str:
    return repr(what) if isinstance(what, str) else repr("/".join(what)) if isinstance(what, tuple) else f"{what!r:.200}"


def _resources(group_version: str, listed: Iterable[Mapping[str, Any]]) -> Iterable[tuple[Resource, frozenset[str]]]:
    group, _, version = group_version.rpartition("/")
    for each in listed:
        if "/" not in each["name"]:
            names = (each["name"], each.get("singularName") or "", each["kind"], *(each.get("shortNames") or ()))
            resource = Resource(group, version, each["name"], each["kind"], namespaced=each["namespaced"])
            yield resource, frozenset(name.lower() for name in names if name)


# --- manifests ------------------------------------------------------------------------------------------------------------

Manifests = str | Path | Mapping[str, Any] | Iterable[Mapping[str, Any]]
"""YAML or JSON text (with a line break, or beginning with "{"), the path of a file or of a directory of them, an object, or several."""


def read_manifests(source: Manifests) -> builtins.list[Mapping[str, Any]]:
    """The objects of a source, in order; a List's items one by one. Raises ValueError, OSError."""
    if isinstance(source, Mapping):
        return _unfolded([source], "manifest")
    if isinstance(source, str) and ("\n" in source or source.lstrip().startswith("{")):
        return _parsed(source, "manifest")
    if isinstance(source, str | Path):
        path = Path(source)
        files = sorted(each for each in path.iterdir() if each.suffix in (".yaml", ".yml", ".json")) if path.is_dir() else [path]
        return [each for file in files for each in _parsed(file.read_text(encoding="utf-8"), str(file))]
    return _unfolded(source, "manifest")


def _parsed(text: str, name: str) -> builtins.list[Mapping[str, Any]]:
    try:
        return _unfolded((each for each in yaml.load_all(text, _LOADER) if each is not None), name)
    except yaml.YAMLError as error:
        raise ValueError(f"{name}: not YAML: {' '.join(str(error).split())}") from error


def _unfolded(objects: Iterable[Any], name: str) -> builtins.list[Mapping[str, Any]]:
    found: builtins.list[Mapping[str, Any]] = []
    for each in objects:
        if not isinstance(each, Mapping) or not each.get("kind") or not each.get("apiVersion"):
            raise ValueError(f"{name}: not a Kubernetes object, it has no apiVersion or no kind: {each!r:.200}")
        found += _unfolded(each.get("items") or (), name) if each["kind"] == "List" and "items" in each else [each]
    return found
