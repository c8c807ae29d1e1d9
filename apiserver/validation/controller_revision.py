"""The rules of ControllerRevisions: their data never changes. Source: kubernetes `pkg/apis/apps/validation`.

Upstream compares the data as text: in another order, it is other data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from apiserver.validation.metadata import IMMUTABLE, not_negative
from kube.errors import FieldError, invalid, required
from kube.objects import Object


def validate(new: Object, old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    errors = [required("data", "data is mandatory")] if new.get("data") is None else []
    errors += not_negative(new.get("revision"), "revision")
    if old is not None and json.dumps(new.get("data")) != json.dumps(old.get("data")):
        errors.append(invalid("data", new.get("data"), IMMUTABLE))
    return errors
