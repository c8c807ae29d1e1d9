"""The server's flags `--runtime-config` and `--feature-gates`; what they mean is in `test_enablement.py` and `test_feature_gates.py`."""

from __future__ import annotations

import pytest

from apiserver.registry.enablement import read_runtime_config
from apiserver.settings import Settings, SettingsError, read
from kube.feature_gates import STORAGE_VERSION_MIGRATOR

MIGRATIONS = "storagemigration.k8s.io/v1beta1"


def test_the_flags_may_be_given_several_times() -> None:
    assert (Settings().gates, Settings().versions) == (frozenset(), read_runtime_config([]))
    found = read(["--runtime-config", f"{MIGRATIONS}=true,apps/v1=false", "--runtime-config=apps/v1=true", "--feature-gates=AllBeta=true"])
    assert found.gates == {STORAGE_VERSION_MIGRATOR}
    assert found.versions == read_runtime_config([f"{MIGRATIONS}=true,apps/v1=true"])


def test_a_flag_that_cannot_be_read_is_named() -> None:
    with pytest.raises(
        SettingsError, match=r"--runtime-config apps=true: runtime-config invalid key apps; --feature-gates A=true: unrecog"
    ):
        read(["--runtime-config=apps=true", "--feature-gates=A=true"])
