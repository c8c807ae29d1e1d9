"""What a user may do. Until RBAC is there every authenticated user may do everything; an anonymous one may see the server's health.

The message of a refusal is upstream's (apiserver `handlers/responsewriters/errors.go`).
"""

from __future__ import annotations

from typing import Final

from apiserver.pipeline.authentication import AUTHENTICATED
from apiserver.pipeline.request_info import RequestInfo
from apiserver.registry.kind import User
from kube import errors

PUBLIC_PATHS: Final = ("/healthz", "/livez", "/readyz", "/version")


def authorize(user: User, info: RequestInfo) -> None:
    """Raises Forbidden."""
    if AUTHENTICATED in user.groups:
        return
    if not info.is_resource:
        if info.path in PUBLIC_PATHS or info.path.startswith(tuple(f"{path}/" for path in PUBLIC_PATHS)):
            return
        raise errors.Forbidden(f'forbidden: User "{user.name}" cannot {info.verb} path "{info.path}"', details={})
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    where = f' in the namespace "{info.namespace}"' if info.namespace else " at the cluster scope"
    why = f'User "{user.name}" cannot {info.verb} resource "{resource}" in API group "{info.group}"{where}'
    raise errors.forbidden(info.resource, info.group, info.name, why)
