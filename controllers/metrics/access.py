"""Who asks, and whether they may: the front proxy says who (its certificate proves that it is it), the API server says whether.

Source: apiserver `authentication/request/headerrequest`, `authorization` of delegating servers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from kube.client.client import Client
from kube.clock import Clock
from kube.objects import Object
from kube.resources import Resource

CONFIG_NAME, CONFIG_NAMESPACE = "extension-apiserver-authentication", "kube-system"
REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False)
MASTERS = "system:masters"
PUBLIC_PATHS = ("/healthz", "/livez", "/readyz")
DECISION_S = 10.0
DECISIONS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """Who may say who asks, and in which headers; as `kube-system/extension-apiserver-authentication` has it."""

    ca: str
    allowed_names: tuple[str, ...] = ()
    user_headers: tuple[str, ...] = ()
    uid_headers: tuple[str, ...] = ()
    group_headers: tuple[str, ...] = ()
    extra_prefixes: tuple[str, ...] = ()

    def is_it(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether a verified certificate (as getpeercert gives it) is the front proxy's. No allowed names: anybody of its CA."""
        subject = (certificate or {}).get("subject") or ()
        names = {value for part in subject for key, value in part if key == "commonName"}
        return bool(certificate) and (not self.allowed_names or bool(names & set(self.allowed_names)))

    def user_in(self, headers: Sequence[tuple[str, str]]) -> User | None:
        """Who asks; None where nobody is named. Header names in any case."""
        given = [(name.lower(), value) for name, value in headers]

        def of(names: Iterable[str]) -> list[str]:
            wanted = {each.lower() for each in names}
            return [value for name, value in given if name in wanted]

        names = of(self.user_headers)
        if not names or not names[0]:
            return None
        extra: dict[str, list[str]] = {}
        for prefix in self.extra_prefixes:
            for name, value in given:
                if name.startswith(prefix.lower()):
                    extra.setdefault(unquote(name[len(prefix) :]), []).append(value)
        uid = next(iter(of(self.uid_headers)), "")
        return User(names[0], tuple(of(self.group_headers)), uid, tuple((key, tuple(values)) for key, values in sorted(extra.items())))


def front_proxy_in(config_map: Object) -> FrontProxy:
    """Raises ValueError where the ConfigMap does not say."""
    data = config_map.get("data") or {}
    ca = data.get("requestheader-client-ca-file") or ""
    if not ca:
        raise ValueError(f"{CONFIG_NAMESPACE}/{CONFIG_NAME} has no requestheader-client-ca-file: the API server has no front proxy")

    def listed(key: str) -> tuple[str, ...]:
        found = json.loads(data.get(key) or "[]")
        return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()

    return FrontProxy(
        ca,
        listed("requestheader-allowed-names"),
        listed("requestheader-username-headers"),
        listed("requestheader-uid-headers"),
        listed("requestheader-group-headers"),
        listed("requestheader-extra-headers-prefix"),
    )


@dataclass(slots=True)
class Authorizer:
    """Asks the API server what a user may do; answers are good for some seconds."""

    client: Client
    clock: Clock
    _known: dict[tuple[User, str], tuple[datetime, bool]] = field(default_factory=dict)

    async def may(self, user: User, attributes: Object) -> bool:
        """`attributes`: of a SubjectAccessReview. Raises ApiError, OSError."""
        if MASTERS in user.groups:
            return True
        key, now = (user, json.dumps(attributes, sort_keys=True)), self.clock.now()
        known = self._known.get(key)
        if known is not None and now - known[0] < timedelta(seconds=DECISION_S):
            return known[1]
        spec: Object = {"user": user.name, "groups": list(user.groups), **attributes}
        if user.uid:
            spec["uid"] = user.uid
        if user.extra:
            spec["extra"] = {name: list(values) for name, values in user.extra}
        review = {"apiVersion": REVIEWS.api_version, "kind": REVIEWS.kind, "spec": spec}
        answer = await self.client.create(REVIEWS, review)
        allowed = bool((answer.get("status") or {}).get("allowed"))
        if len(self._known) >= DECISIONS_MAX:
            self._known.clear()
        self._known[key] = now, allowed
        return allowed
