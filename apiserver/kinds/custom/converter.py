"""Has a webhook convert objects: one call for all of them, or a few where they are many. What is said is in `conversion_review.py`.

Source: apiextensions-apiserver `pkg/apiserver/conversion/webhook_converter.go`.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from apiserver.kinds.custom import conversion_review
from apiserver.kinds.custom.conversion_review import ConversionFailed
from apiserver.registry.webhooks import CallFailed
from kube.errors import ApiError
from kube.objects import Object

# deviates: the objects of a list go to a conversion webhook together, up to 500 in one review; upstream sends each one alone

TIMEOUT_S: Final = 30.0
"""Upstream's: that of any call of a webhook that is not told another one."""

REVIEW_OBJECTS_MAX: Final = 500
REVIEW_BYTES_MAX: Final = 2 << 20
"""What one call carries at most. (A single object may be longer: then it goes alone.)"""

Post = Callable[[Object, Object], Awaitable[Any]]
"""async (WebhookClientConfig, document) -> the answer. Raises CallFailed."""


class Converter:
    """The webhook of one definition. `conversion` is its spec.conversion, `known` are the apiVersions that the definition has. Raises
    what upstream answers to requests: ApiError without a reason."""

    def __init__(self, conversion: Mapping[str, Any], known: frozenset[str], post: Post, new_uid: Callable[[], str]) -> None:
        webhook = conversion.get("webhook") or {}
        self._config = _client_config(webhook.get("clientConfig") or {})
        self._listed: Sequence[str] = webhook.get("conversionReviewVersions") or ()
        self._known, self._post, self._new_uid = known, post, new_uid

    async def convert(self, objects: Sequence[Object], desired: str) -> list[Object]:
        """The objects (of one kind, each of another version) in the apiVersion `desired`, in their order, fresh. What is given stays as
        it is, but may be shared with the outcome."""
        try:
            return [each for piece in _pieces(objects) for each in await self._call(*piece, desired)]
        except ConversionFailed as error:
            raise ApiError(str(error), code=500, reason="") from error

    async def _call(self, objects: Sequence[Object], texts: Sequence[bytes], desired: str) -> list[Object]:
        for each in objects:
            if each.get("apiVersion") not in self._known:
                raise ConversionFailed(f"request to convert CR from an invalid group/version: {each.get('apiVersion') or ''}")
        version, uid = conversion_review.review_version(self._listed), self._new_uid()
        document = conversion_review.review(version, uid, [orjson.Fragment(each) for each in texts], desired)
        first = objects[0]
        try:
            answer = await self._post(self._config, document)
        except CallFailed as error:
            raise conversion_review.failed(first, str(error)) from error
        answers = conversion_review.answered(answer, version=version, uid=uid, first=first, count=len(objects))
        return [
            conversion_review.converted(original, each, desired, index)
            for index, (original, each) in enumerate(zip(objects, answers, strict=True))
        ]


def _client_config(given: Mapping[str, Any]) -> Object:
    """Where to call. A caBundle of nothing but white space is none."""
    config = dict(given)
    if not b64decode(config.get("caBundle") or "").strip():
        config.pop("caBundle", None)
    return config


def _pieces(objects: Sequence[Object]) -> Iterator[tuple[list[Object], list[bytes]]]:
    """The objects of each call, and how they are sent."""
    some: list[Object] = []
    texts: list[bytes] = []
    size = 0
    for each in objects:
        text = orjson.dumps(each)
        if some and (len(some) == REVIEW_OBJECTS_MAX or size + len(text) > REVIEW_BYTES_MAX):
            yield some, texts
            some, texts, size = [], [], 0
        some.append(each)
        texts.append(text)
        size += len(text)
    if some:
        yield some, texts
