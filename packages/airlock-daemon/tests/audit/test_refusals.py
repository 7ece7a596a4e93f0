"""Records of refused connections: few, and each refusal in one of them."""

from functools import partial

import trio
from trio.testing import MockClock

from airlock_daemon.audit.record import Record
from airlock_daemon.audit.refusals import EVERY_S, Refusals


def refusal(rule: str = "connections") -> Record:
    return Record(event="invalid", outcome="denied", layer="limit", rule=rule)


async def test_the_first_is_recorded_at_once_and_the_rest_together(
    autojump_clock: MockClock,
) -> None:
    """A flood makes one record in a second, whose count says for how many it stands."""
    written: list[Record] = []
    refusals = Refusals(written.append)
    for _ in range(100):
        refusals.note("connections", refusal)
    assert [record.count for record in written] == [1]
    assert refusals.due is not None
    await trio.sleep_until(refusals.due)
    refusals.flush()
    assert [record.count for record in written] == [1, 99]
    assert refusals.due is None


async def test_one_that_comes_late_is_recorded_at_once(autojump_clock: MockClock) -> None:
    """What did not come in a flood has a record of its own."""
    written: list[Record] = []
    refusals = Refusals(written.append)
    for _ in range(3):
        refusals.note("connections", refusal)
        await trio.sleep(EVERY_S)
    assert [record.count for record in written] == [1, 1, 1]


async def test_kinds_are_not_mixed(autojump_clock: MockClock) -> None:
    """A record stands for refusals by one rule."""
    written: list[Record] = []
    refusals = Refusals(written.append)
    for rule in ("connections", "connections", "descriptors"):
        refusals.note(rule, partial(refusal, rule))
    refusals.flush()
    assert [(record.rule, record.count) for record in written] == [
        ("connections", 1),
        ("connections", 1),
        ("descriptors", 1),
    ]


async def test_nothing_is_written_where_nothing_waits(autojump_clock: MockClock) -> None:
    """To flush twice writes once."""
    written: list[Record] = []
    refusals = Refusals(written.append)
    refusals.flush()
    refusals.note("connections", refusal)
    refusals.flush()
    assert len(written) == 1
