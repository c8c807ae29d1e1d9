"""Certificates that are kept: for how long, and for whom."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from apiserver.identity import Authority
from kube.clock import RealClock


def test_a_certificate_is_kept_as_long_as_it_says_the_same(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path, RealClock())
    first = authority.kept("user", "someone", ["a", "b"], server_names=["localhost"])
    assert authority.kept("user", "someone", ["a", "b"], server_names=["localhost"]) == first
    assert Authority.load_or_create(tmp_path, RealClock()).kept("user", "someone", ["a", "b"], server_names=["localhost"]) == first
    assert (tmp_path / "user.crt").read_bytes() == first.certificate


def test_whoever_leaves_a_group_gets_another_certificate(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path, RealClock())
    first = authority.kept("user", "someone", ["system:masters"])
    second = authority.kept("user", "someone")
    assert second.certificate != first.certificate
    assert "system:masters" not in x509.load_pem_x509_certificate(second.certificate).subject.rfc4514_string()
    assert authority.kept("user", "someone else").certificate != second.certificate


def test_other_names_of_a_server_make_another_certificate(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path, RealClock())
    first = authority.kept("server", "kube-apiserver", server_names=["localhost"], client=False)
    assert authority.kept("server", "kube-apiserver", server_names=["localhost", "127.0.0.1"], client=False) != first
