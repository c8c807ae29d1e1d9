"""Continue tokens: positions in a list, which nobody can make up."""

from __future__ import annotations

import base64
import json

import pytest

from apiserver.handlers import continue_token
from kube.errors import BadRequest


def token(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def test_a_token_says_where_to_go_on() -> None:
    assert continue_token.decode(continue_token.encode(42, "default/web-1")) == (42, "default/web-1\0")


WRONG = {
    "no base64": "%%%",
    "no JSON": base64.urlsafe_b64encode(b"garbage!").decode().rstrip("="),
    "another version": token({"v": "meta.k8s.io/v2", "rv": 1, "start": "a"}),
    "no revision": token({"v": "meta.k8s.io/v1", "start": "a"}),
    "a key that leaves the collection": token({"v": "meta.k8s.io/v1", "rv": 5, "start": "../../secrets/kube-system"}),
    "no key": token({"v": "meta.k8s.io/v1", "rv": 5, "start": ""}),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_made_up_token_is_refused(wrong: str) -> None:
    with pytest.raises(BadRequest, match="continue key is not valid"):
        continue_token.decode(wrong)
