"""Tests of `airlock_daemon.platform.support`."""

import select

import pytest

from airlock_daemon.platform.support import find_missing


def test_nothing_is_missing_on_linux() -> None:
    """The tests of the daemon run there alone."""
    assert find_missing() == ()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python names it, so that a person can look it up."""
    monkeypatch.delattr(select, "epoll")
    assert find_missing() == ("select.epoll",)
