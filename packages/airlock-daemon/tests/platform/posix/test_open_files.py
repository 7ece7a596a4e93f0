"""Tests of `airlock_daemon.platform.posix.calls.raise_open_files`."""

import errno
import resource

import pytest

from airlock_daemon.platform.posix.calls import raise_open_files


def refuse_above(most: int, monkeypatch: pytest.MonkeyPatch, *, hard: int) -> list[int]:
    """Have a kernel that allows `most` open files; returns the limits that were set."""
    done: list[int] = []

    def set_limit(_: int, limits: tuple[int, int]) -> None:
        if limits[0] == resource.RLIM_INFINITY or limits[0] > most:
            raise OSError(errno.EINVAL, "Invalid argument")
        done.append(limits[0])

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, hard))
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    return done


def test_an_infinite_hard_limit_is_not_what_the_kernel_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on macOS; the largest limit that works is set, once."""
    done = refuse_above(61_440, monkeypatch, hard=resource.RLIM_INFINITY)
    assert raise_open_files() == 256
    assert done == [61_440]


def test_a_hard_limit_that_is_refused_is_approached(monkeypatch: pytest.MonkeyPatch) -> None:
    """And never exceeded."""
    done = refuse_above(1 << 30, monkeypatch, hard=4096)
    assert raise_open_files() == 256
    assert done == [4096]


def test_nothing_is_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing larger is allowed."""
    done = refuse_above(100, monkeypatch, hard=resource.RLIM_INFINITY)
    assert raise_open_files() == 256
    assert done == []
