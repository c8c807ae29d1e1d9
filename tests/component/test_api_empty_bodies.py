"""Bodies with next to nothing in them, sent to every kind: refused or taken, they never fail inside."""

from __future__ import annotations

from typing import Any

import pytest

from tests.component.served import served
from tests.fuzz.answers import Answer
from tests.virtual import virtual

BODIES: dict[str, Any] = {
    "nothing": {},
    "nulls": {"metadata": None, "spec": None, "status": None},
    "a name": {"metadata": {"name": "x"}},
    "half a name": {"metadata": {"generateName": "x-"}, "spec": {}, "status": {}},
    "lists of nothing": {
        "metadata": {"name": ""},
        "spec": {"template": {}},
        "data": {},
        **{name: [{}] for name in ("rules", "webhooks", "subjects", "endpoints", "subsets", "ports", "items")},
    },
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@virtual
async def test_every_kind_takes_or_refuses_it(body: Any) -> None:
    async with served() as api:
        bad = []
        for kind in api.built.server.registries.kinds:
            for resource in (kind.resource, *(each.resource for each in kind.conversions)):
                path = resource.path(namespace="default")
                parts = ["", *(f"/{each.name}" for each in kind.subresources if "update" in each.verbs and not each.connect)]
                requests = [("POST", path)] * ("create" in kind.verbs) + [("PUT", f"{path}/x{part}") for part in parts]
                for method, target in requests:
                    reply = await api.call(method, target, body)
                    found = Answer(method, target, "", reply.status, f'"message":"{reply.body.get("message")}"', 0)
                    bad += [str(found)] * found.is_bad
        assert bad == []
