"""`--feature-gates`."""

from __future__ import annotations

import pytest

from kube.feature_gates import ALPHA, BETA, FeatureGateError, Gate, read_gates

KNOWN = {"Young": Gate(ALPHA, is_on=False), "Shy": Gate(BETA, is_on=False), "Usual": Gate(BETA, is_on=True)}


@pytest.mark.parametrize(
    ("given", "on"),
    [
        pytest.param([], {"Usual"}, id="nothing said: as they are by default"),
        pytest.param(["Shy=true,Usual=false"], {"Shy"}, id="each is switched by its name"),
        pytest.param(["Shy=true", "Shy=F"], {"Usual"}, id="the last word counts"),
        pytest.param([" Shy = 1 ,"], {"Shy", "Usual"}, id="blanks and empty words do not count"),
        pytest.param(["kube:Shy=t"], {"Shy", "Usual"}, id="the component may be named"),
        pytest.param(["AllBeta=true"], {"Shy", "Usual"}, id="all of a stage are switched on"),
        pytest.param(["AllBeta=false"], set(), id="all of a stage are switched off"),
        pytest.param(["AllBeta=false,Shy=true"], {"Shy"}, id="a gate's own name counts more than its stage"),
        pytest.param(["AllAlpha=true"], {"Young", "Usual"}, id="other stages stay as they are"),
    ],
)
def test_which_gates_are_on(given: list[str], on: set[str]) -> None:
    assert read_gates(given, KNOWN) == on


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param(["Nonsense=true"], "unrecognized feature gate: Nonsense", id="a gate that there is not"),
        pytest.param(["Shy"], "missing bool value for Shy", id="no value"),
        pytest.param(["Shy=yes"], 'invalid value of Shy=yes, err: strconv.ParseBool: parsing "yes": invalid syntax', id="no truth value"),
        pytest.param(["other:Shy=true"], "component not registered: other", id="another component"),
        pytest.param(
            ["kube:Shy=true", "Usual=true"],
            "set kube feature gates with default empty prefix or kube: prefix consistently, do not mix use",
            id="with and without the component",
        ),
    ],
)
def test_what_is_refused(given: list[str], why: str) -> None:
    with pytest.raises(FeatureGateError) as caught:
        read_gates(given, KNOWN)
    assert str(caught.value) == why
