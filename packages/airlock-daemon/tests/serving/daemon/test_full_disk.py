"""A log that cannot be written or rotated while requests come, and then can."""

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from airlock_daemon.admin.log import statistics
from airlock_daemon.admin.log.items import open_log
from logs import FULL, verify, write
from mounting import full, small_disk
from running import Daemon
from worlds import World


@contextmanager
def full_disk(daemon: Daemon) -> Iterator[None]:
    """Nothing is left of the disk in this block but the rest of the log's last page."""
    with full(daemon.world.log.parent):
        yield


@contextmanager
def full_file(daemon: Daemon) -> Iterator[None]:
    """No file of the daemon can grow much further in this block (setrlimit(2), RLIMIT_FSIZE)."""
    limit = daemon.world.log.stat().st_size + 3000
    before = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (limit, -1))
    yield
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, before)


def count(world: World) -> statistics.Statistics:
    with open_log(str(world.log)) as files:
        return statistics.count(files)


def count_starts(world: World) -> int:
    return world.log.read_bytes().count(b'"event":"exec-start"')


@pytest.mark.parametrize("on_error", ["deny", "warn"])
@pytest.mark.parametrize("is_disk", [True, False])
def test_a_log_that_has_no_room_refuses_or_warns_and_nothing_is_torn(
    world: World, on_error: str, is_disk: bool
) -> None:
    """With `deny` nothing runs unrecorded; with `warn` it goes on. Both have all requests later."""
    world.write_config(f'on_error = "{on_error}"\n')
    ran = world.workspace / "ran"
    script = f"echo x >> {ran}"
    with small_disk(world.log.parent) if is_disk else nullcontext(), Daemon(world) as daemon:
        answers = [daemon.shell(script)]
        with full_disk(daemon) if is_disk else full_file(daemon):
            # Some still find room.
            answers += [daemon.shell(script) for _ in range(30)]
            errors = [answer.error["message"] for answer in answers if "error" in answer.last]
            assert len(ran.read_text().splitlines()) == len(answers) - len(errors)
            if on_error == "deny":
                assert 15 < len(errors) < len(answers)
                assert all("the audit log" in message for message in errors)
                assert count_starts(world) == len(answers) - len(errors)
            else:
                assert errors == []
            assert verify(world.log).is_whole
        answers += [daemon.shell(script) for _ in range(5)]
        assert [answer.exit_code for answer in answers[-5:]] == [0] * 5
        assert "cannot be written" in daemon.messages()
        assert daemon.stop() == 0
        verified = verify(world.log)
        assert verified.is_whole
        assert verified.notes == ()
        counted = count(world)
        assert counted.requests == len(answers)
        # Each that was begun has its end, and not as a sum.
        assert (counted.running, counted.cut_off) == (0, 0)
        assert not re.search(rb'"count":[0-9]', world.log.read_bytes())


def read_all(world: World) -> dict[str, bytes]:
    """Each file of the log with what is in it."""
    return {each.name: each.read_bytes() for each in world.log.parent.iterdir() if each.is_file()}


def test_a_log_that_cannot_be_rotated_refuses_and_loses_nothing(world: World) -> None:
    """However often it is tried; it goes on when nothing is in its way any more."""
    world.write_config("max_size_mb = 1\nmax_files = 3\n")
    write(world.log, *[{"args": FULL}] * 700)
    while world.log.stat().st_size < 995_000:
        write(world.log, {"args": FULL})
    in_the_way = world.log.with_name("airlock.log.new")
    with Daemon(world) as daemon:
        in_the_way.mkdir()
        # Some still find room.
        assert "error" in [daemon.shell("true") for _ in range(20)][-1].last
        before = read_all(world)
        assert before.keys() == {"airlock.log", "airlock.log.1", "airlock.log.2"}
        for _ in range(4):
            error = daemon.shell("true").error
            assert "the audit log" in error["message"]
            assert "cannot be written: Is a directory" in error["message"]
        assert read_all(world) == before
        in_the_way.rmdir()
        assert daemon.shell("true").exit_code == 0
        assert daemon.stop() == 0
    assert world.log.with_name("airlock.log.1").read_bytes() == before["airlock.log"]
    assert verify(world.log).is_whole
