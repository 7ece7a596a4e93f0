"""Tests of `airlock_daemon.platform.posix.self_test`: what is POSIX must hold on Linux, too."""

import pytest

from airlock_daemon.platform.posix import self_test
from airlock_daemon.platform.posix.self_test import CHECKS
from airlock_daemon.platform.system import run_self_test
from commanding import airlock_daemon


def test_everything_holds_here() -> None:
    """A check that fails on Linux is wrong itself, or shows what macOS is not asked for."""
    tried = list(run_self_test())
    assert [each.name for each in tried] == [name for name, _, _ in CHECKS]
    assert [each for each in tried if each.problem is not None] == []


def test_a_wrong_answer_and_any_error_are_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was found, and what was wanted."""
    monkeypatch.setattr(self_test, "is_gone", lambda _: True)

    def fail(*_: object) -> None:
        raise RuntimeError("of its own")

    monkeypatch.setattr(self_test, "splice", fail)
    problems = {each.name: each.problem for each in run_self_test() if each.problem is not None}
    assert problems == {
        "hangups": "WrongAnswer: a connected peer's absence is True, and should be False",
        "copying": "RuntimeError: of its own",
    }


def test_doctor_prints_each_check() -> None:
    """And needs no configuration."""
    said = airlock_daemon("doctor", "--self-test").stdout.splitlines()
    assert len(said) == len(CHECKS)
    assert all(line.startswith("ok: ") for line in said)
