"""The storage version migrator: has every object of a resource written again, so that it is stored in the present storage version.

Promises: each StorageVersionMigration ends as Succeeded or Failed; one of a resource runs at a time, the oldest first; every object that is
as it was when its turn came is applied to at its version, which changes nothing and makes the server write what it would store otherwise
now; who is restarted goes on where the other was (what has been written since has a newer version). A CustomResourceDefinition is told
when a migration of its objects begins and ends, and then that only the storage version is stored. Off without the feature gate.
Read first: `storage_version_migration.py`. Source: KEP-4192, upstream `pkg/controller/storageversionmigrator`.

deviates: objects are listed, where upstream takes what its garbage collector has seen; so Events, which that ignores, are migrated, too
"""

from __future__ import annotations

import asyncio
from typing import Final

from kube.client.client import PatchKind
from kube.errors import ApiError, Conflict, Expired, InternalError, NotFound, ServiceUnavailable, Timeout, TooManyRequests
from kube.objects import Object, name_of, namespace_of, resource_version_of
from kube.resources import Resource
from kube.runtime.controller import Run

from . import storage_version_migration as says
from .discovery import Discovered, Served, discover
from .storage_version_migration import Do, Step, Target, plan

MIGRATIONS: Final = Resource("storagemigration.k8s.io", "v1beta1", "storageversionmigrations", "StorageVersionMigration", namespaced=False)
DEFINITIONS: Final = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
FIELD_MANAGER: Final = "storage-version-migrator-controller"
RUNNER: Final = "migration-runner-controller"
"""Whose the status of definitions is."""

NOWHERE: Final = "@fake:svm_ns!"
"""No namespace can be called so: a list of its objects is short, and has the version of all."""

LOOK_AGAIN_S: Final = 5.0
_PAGE: Final = 500
_TOGETHER_MAX: Final = 16
_RETRIED: Final = (Expired, InternalError, ServiceUnavailable, Timeout, TooManyRequests)
"""Failures that say nothing about the objects; so do those of the connection, which are no answers at all."""


class StorageVersionMigrator:
    """Keys are resources: `widgets.example.com`, `secrets.`."""

    name = "storage-version-migrator-controller"

    def start(self, run: Run) -> None:
        self.run = run
        self.migrations = run.informers.of(MIGRATIONS)
        self.migrations.add_handler(self._changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        for each in (old, new):
            if each is not None:
                group, plural = says.target_of(each)
                self.run.queue.add(f"{plural}.{group}")

    async def reconcile(self, key: str) -> float | None:
        plural, _, group = key.partition(".")
        migrations = [each for each in self.migrations.list() if says.target_of(each) == (group, plural)]
        if not any(says.is_running(each) or not says.is_over(each) for each in migrations):
            return None
        found = _served(await discover(self.run.client), (group, plural))
        steps = plan(migrations, found, self.run.clock.now())
        for step in steps:
            await self._perform(step, found)
        return LOOK_AGAIN_S if any(step.do is Do.WAIT for step in steps) else None

    async def _perform(self, step: Step, found: Served | None) -> None:
        match step.do:
            case Do.FINISH:
                await self._tell_definition(step)
                await self._tell(says.finished(step.migration, self.run.clock.now()))
            case Do.BEGIN:
                await self._tell_definition(step)
                await self._tell(says.begun(step.migration, self.run.clock.now()))
            case Do.FAIL:
                await self._end(step.migration, says.FAILED, step.message)
            case Do.NOTE_VERSION:
                assert found is not None
                await self._tell(says.with_version(step.migration, await self._newest_version(found.resource)))
            case Do.MIGRATE:
                assert found is not None
                await self._migrate(step.migration, found.resource)
            case Do.WAIT:
                pass

    # --- telling

    async def _tell(self, migration: Object) -> None:
        self.migrations.put(await self.run.client.update(MIGRATIONS, migration, subresource="status"))

    async def _end(self, migration: Object, how: str, message: str = "") -> None:
        await self._tell(says.ended(migration, how, self.run.clock.now(), message))

    async def _tell_definition(self, step: Step) -> None:
        """Of custom resources, the definition is told that a migration begins or has ended."""
        group, plural = says.target_of(step.migration)
        if not group:
            return
        try:
            definition = await self.run.client.get(DEFINITIONS, f"{plural}.{group}")
        except NotFound:
            return
        told = says.migrating_definition if step.do is Do.BEGIN else says.migrated_definition
        status = told(definition, step.migration, self.run.clock.now())
        await self.run.client.apply(DEFINITIONS, status, field_manager=RUNNER, force=True, subresource="status")

    # --- writing objects again

    async def _newest_version(self, resource: Resource) -> str:
        page = await self.run.client.list(resource, namespace=NOWHERE if resource.namespaced else None, limit=1)
        return resource_version_of(page)

    async def _migrate(self, migration: Object, resource: Resource) -> None:
        """Raises what is worth another try, after which what has been written already is passed over."""
        try:
            await self._write_all(resource, says.noted_version(migration))
        except _RETRIED:
            raise
        except ApiError as error:
            await self._end(migration, says.FAILED, says.unhandled(error.message))
        else:
            await self._end(migration, says.SUCCEEDED)

    async def _write_all(self, resource: Resource, version: str) -> None:
        """Page by page, those that are as they were at `version`."""
        continue_ = ""
        while True:
            page = await self.run.client.list(resource, limit=_PAGE, continue_=continue_)
            old = [each for each in page.get("items") or () if says.is_to_write(each, version)]
            for start in range(0, len(old), _TOGETHER_MAX):
                await self._write_again(old[start : start + _TOGETHER_MAX], resource)
            continue_ = page["metadata"].get("continue") or ""
            if not continue_:
                return

    async def _write_again(self, objects: list[Object], resource: Resource) -> None:
        """All of them side by side; the first failure is raised when all have ended."""
        outcomes = await asyncio.gather(*(self._apply(each, resource) for each in objects), return_exceptions=True)
        for each in outcomes:
            if isinstance(each, BaseException):
                raise each

    async def _apply(self, obj: Object, resource: Resource) -> None:
        body, namespace = says.rewriting(obj, resource), namespace_of(obj) or None
        try:
            await self.run.client.patch(
                resource, name_of(obj), body, namespace=namespace, kind=PatchKind.APPLY, field_manager=FIELD_MANAGER
            )
        except Conflict:
            return


def _served(discovered: Discovered, target: Target) -> Served | None:
    return next((each for each in discovered.served if (each.resource.group, each.resource.plural) == target), None)
