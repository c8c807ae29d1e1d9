"""The collector's settings: for good in a component's own process, for a while in somebody else's."""

from __future__ import annotations

import gc

from kube.runtime.garbage import YOUNG_MAX, seldom


def test_seldom_for_a_while_and_as_before_afterwards() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with seldom():
        with seldom():
            pass
        assert gc.get_threshold()[0] == YOUNG_MAX
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == frozen
