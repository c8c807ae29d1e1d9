"""Discovery and OpenAPI documents, by path: what `routes.py` answers with. Made on first use, kept until the kinds change."""

from __future__ import annotations

from collections.abc import Mapping

from apiserver.handlers.discovery import Discovery
from apiserver.handlers.extension_documents import Extensions
from apiserver.handlers.openapi import OpenAPI
from apiserver.handlers.request import Response
from apiserver.handlers.resources import not_allowed
from apiserver.registry.registry import Registries


class Documents:
    """The documents of one server. `extensions` are what others serve besides it."""

    def __init__(self, registries: Registries, extensions: Extensions, *, git_version: str) -> None:
        self._registries, self._extensions, self._git_version = registries, extensions, git_version
        self._openapi: OpenAPI | None = None
        self._make()

    def _make(self) -> None:
        kinds = self._registries.kinds
        self._made_of = self._generation
        extensions = list(self._extensions.by_name.values())
        custom = {name: schema for kind in kinds if kind.custom is not None for name, schema in kind.custom.schemas.items()}
        self._discovery = Discovery(kinds, extensions=extensions)
        self._openapi = OpenAPI(
            kinds,
            self._registries.definitions,
            version=self._git_version,
            custom=custom,
            before=self._openapi,
            others={f"apis/{each.group}/{each.version}": each.openapi for each in extensions if each.openapi is not None},
        )

    @property
    def _generation(self) -> tuple[int, int]:
        """Another one when the documents are to be made anew."""
        return self._registries.generation, self._extensions.generation

    def paths(self) -> list[str]:
        """The paths of these documents."""
        if self._made_of != self._generation:
            self._make()
        return [*self._discovery.paths(), "/openapi/v2", "/openapi/v3"]

    def answer(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> Response | None:
        """The answer for a path of these documents; None for any other path. `headers` have lower-case names. Raises NotAcceptable, and
        MethodNotAllowed where a path has only GET."""
        if self._made_of != self._generation:
            self._make()
        accept, etag = headers.get("accept", ""), headers.get("if-none-match", "")
        if path.startswith("/api"):
            if method != "GET" and self._discovery.is_routed(path):
                raise not_allowed()
            return self._discovery.answer(path, accept, etag)
        if path.startswith("/openapi/") and self._openapi is not None:
            return self._openapi.answer(path, query, headers)
        return None
