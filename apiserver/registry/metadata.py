"""The metadata that the server sets: names, uids, times, versions. Pure but for the rng handed in."""

from __future__ import annotations

import random
from typing import Final

from kube.errors import ApiError, BadRequest, InternalError
from kube.objects import Object, namespace_of

NAME_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
GENERATED_LENGTH: Final = 5
NAME_LENGTH_MAX: Final = 63


def random_suffix(rng: random.Random, length: int = GENERATED_LENGTH) -> str:
    """Characters that spell no words, as upstream's `rand.String`."""
    return "".join(rng.choices(NAME_ALPHABET, k=length))


def new_uid(rng: random.Random) -> str:
    """A version 4 UUID."""
    digits = f"{(rng.getrandbits(128) & ~(0xF << 76) & ~(0x3 << 62)) | (4 << 76) | (2 << 62):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def resource_version_number(text: str | None) -> int:
    """A resourceVersion given by a client as a number, 0 for none. Raises upstream's 500 for anything else."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ApiError(f'strconv.ParseUint: parsing "{text}": invalid syntax', code=500, reason="")
    if int(text) >= 1 << 64:
        raise ApiError(f'strconv.ParseUint: parsing "{text}": value out of range', code=500, reason="")
    return int(text)


def wipe_new(meta: Object) -> None:
    """Take out of a new object's metadata what only the server sets."""
    for field in ("creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        meta.pop(field, None)


def check_no_version(meta: Object) -> None:
    """A resourceVersion has no place on what is new. Takes it out, or raises InternalError as upstream's storage does."""
    given = meta.pop("resourceVersion", "")
    if given.isascii() and given.isdigit() and 0 < int(given) < 1 << 64:
        raise InternalError("resourceVersion should not be set on objects to be created", reason="")


def fill_new(obj: Object, *, timestamp: str, rng: random.Random) -> None:
    """What the server sets on every new object, and clears of what a client may not set. `timestamp` is now, as metav1.Time."""
    meta = obj["metadata"]
    wipe_new(meta)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = meta["generateName"][: NAME_LENGTH_MAX - GENERATED_LENGTH] + random_suffix(rng)
    meta["uid"] = new_uid(rng)
    meta["creationTimestamp"] = timestamp


def ensure_namespace(obj: Object, namespace: str) -> None:
    """An object that is made in a namespace is of that one, whatever it has become on its way. Raises BadRequest."""
    if not namespace:
        return
    if namespace_of(obj) not in ("", namespace):
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    obj["metadata"]["namespace"] = namespace


def keep_system_fields(new: Object, old: Object) -> None:
    """On an update, what only the server sets stays as it was; what a client must not change and did is left for validation."""
    meta, before = new["metadata"], old["metadata"]
    meta["creationTimestamp"] = before["creationTimestamp"]
    meta["resourceVersion"] = before["resourceVersion"]
    meta.pop("selfLink", None)
    meta.setdefault("uid", before["uid"])
    if "generation" in before:
        meta["generation"] = before["generation"]
    else:
        meta.pop("generation", None)
    if "deletionTimestamp" in before:
        meta["deletionTimestamp"] = before["deletionTimestamp"]
        if "deletionGracePeriodSeconds" in before:
            meta.setdefault("deletionGracePeriodSeconds", before["deletionGracePeriodSeconds"])
