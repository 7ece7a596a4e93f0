"""Tests of `airlock_daemon.boundary.fairness.gate`, and of the limits that it keeps."""

import math
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock, wait_all_tasks_blocked

from airlock_daemon.boundary.fairness import Allowance, Gate, Share, Starts
from airlock_daemon.boundary.fairness.gate import (
    MAX_DELAY_S,
    RECENT_S,
    STARTING_S,
    Pace,
    bound_weight,
    weigh,
)
from airlock_daemon.errors import Denied
from airlock_daemon.setup.limits import (
    COMMAND_DESCRIPTORS,
    CONNECTION_DESCRIPTORS,
    OWN_DESCRIPTORS,
    Limits,
)
from airlock_wire import Request


def make_gate(limits: Limits) -> Gate:
    """A gate for an agent that may fill the log as it likes."""
    return Gate(limits, Allowance(bytes_s=1, burst=math.inf))


@asynccontextmanager
async def running(gate: Gate, alone: trio.CapacityLimiter | None) -> AsyncIterator[None]:
    """Hold a place for the length of the block."""
    place = await gate.acquire(alone)
    try:
        yield
    finally:
        place.release()


async def test_places_are_given_in_the_order_of_arrival() -> None:
    """Nobody who came later runs earlier."""
    gate = make_gate(Limits(running=1))
    order: list[int] = []

    async def run(number: int) -> None:
        async with running(gate, None):
            order.append(number)

    async with trio.open_nursery() as nursery, running(gate, None):
        for number in range(5):
            nursery.start_soon(run, number)
            await trio.testing.wait_all_tasks_blocked()
    assert order == [0, 1, 2, 3, 4]


async def test_a_place_is_given_back_by_whoever_gives_up() -> None:
    """A cancelled waiter leaves neither its own place nor the shared one taken."""
    gate = make_gate(Limits(running=2))
    alone = trio.CapacityLimiter(1)
    async with trio.open_nursery() as nursery:
        async with running(gate, alone):
            with trio.CancelScope() as scope:
                nursery.start_soon(_cancel_when_blocked, scope)
                async with running(gate, alone):
                    raise AssertionError("the shared place was taken twice")
        assert alone.available_tokens == 1
        async with running(gate, alone), running(gate, None):
            pass


async def _cancel_when_blocked(scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()


async def test_an_agent_that_waits_for_another_uses_its_own_places() -> None:
    """What one agent queues for a shared command takes places of nobody else."""
    slow, other = make_gate(Limits(running=1)), make_gate(Limits(running=1, queued=0))
    alone = trio.CapacityLimiter(1)
    async with trio.open_nursery() as nursery, trio.open_nursery() as keeping:
        keeping.start_soon(_hold, alone)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(_pass, slow, alone)
        await trio.testing.wait_all_tasks_blocked()
        async with running(other, None):
            pass
        keeping.cancel_scope.cancel()


async def test_a_full_queue_refuses() -> None:
    """With no place and nobody allowed to wait, the next one is refused at once."""
    gate = make_gate(Limits(running=1, queued=0))
    async with running(gate, None):
        with pytest.raises(Denied) as caught:
            async with running(gate, None):
                raise AssertionError("ran beyond the limit")
    assert (caught.value.layer, caught.value.rule) == ("limit", "queued")


async def test_commands_that_cannot_be_ended_do_not_add_up() -> None:
    """As many as may run; one that has ended after all no longer counts."""
    gate = make_gate(Limits(running=2))
    ended = [False, False]
    gate.strand(lambda: ended[0])
    async with running(gate, None):
        gate.strand(lambda: ended[1])
    for _ in range(2):
        with pytest.raises(Denied) as caught:
            await gate.acquire(None)
        assert (caught.value.layer, caught.value.rule) == ("limit", "running")
    ended[1] = True
    async with running(gate, None):
        pass


async def test_a_command_that_waits_runs_after_none_that_cannot_be_ended() -> None:
    """Else a whole queue of them would add up."""
    gate = make_gate(Limits(running=1))
    ended = False
    async with trio.open_nursery() as nursery:
        place = await gate.acquire(None)

        async def wait() -> None:
            with pytest.raises(Denied, match="hang in the kernel"):
                await gate.acquire(None)

        for _ in range(2):
            nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        gate.strand(lambda: ended)
        place.release()
    ended = True
    async with running(gate, None):
        pass


async def test_hooks_have_places_of_their_own() -> None:
    """As many as commands, with a queue of their own."""
    gate = make_gate(Limits(running=1, queued=0))
    async with running(gate, None):
        place = await gate.acquire_for_hook()
        with pytest.raises(Denied) as caught:
            await gate.acquire_for_hook()
        assert (caught.value.layer, caught.value.rule) == ("limit", "queued")
        place.release()
        (await gate.acquire_for_hook()).release()


async def test_a_command_that_has_ended_lets_others_go_on() -> None:
    """The place of one that runs alone can be given back before the agent's own."""
    gate = make_gate(Limits(running=1))
    alone = trio.CapacityLimiter(1)
    place = await gate.acquire(alone)
    place.release_one(alone)
    place.release_one(None)
    assert alone.available_tokens == 1
    place.release()
    assert alone.available_tokens == 1
    async with running(gate, alone):
        pass


async def _hold(alone: trio.CapacityLimiter) -> None:
    async with alone:
        await trio.sleep_forever()


async def _pass(gate: Gate, alone: trio.CapacityLimiter) -> None:
    async with running(gate, alone):
        pass


async def test_who_fills_the_log_too_fast_waits_for_its_turn(autojump_clock: MockClock) -> None:
    """It holds a place of its own meanwhile, and not the one that it shares with others."""
    allowance = Allowance(bytes_s=10, burst=1000)
    gate, other = Gate(Limits(), allowance), make_gate(Limits())
    alone = trio.CapacityLimiter(1)
    allowance.spend(1050)
    assert allowance.is_spent
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pass, gate, alone)
        await trio.testing.wait_all_tasks_blocked()
        async with running(other, alone):
            assert trio.current_time() == began
    assert trio.current_time() - began == pytest.approx(5, abs=0.1)


async def test_waiting_for_the_log_has_an_end(autojump_clock: MockClock) -> None:
    """What would wait longer than `queue_s` is refused, and the refusal names the limit."""
    allowance = Allowance(bytes_s=10, burst=1000)
    gate = Gate(Limits(queue_s=3, running=1), allowance)
    allowance.spend(1050)
    assert allowance.is_spent
    with pytest.raises(Denied) as caught:
        async with running(gate, None):
            raise AssertionError("ran without room for its records")
    assert (caught.value.layer, caught.value.rule) == ("limit", "log_bytes_s")
    await allowance.wait()
    async with running(gate, None):
        pass


def test_connections_are_counted_and_given_back() -> None:
    """The one after the last is refused until another has gone."""
    gate = make_gate(Limits(connections=1))
    assert gate.connect()
    assert not gate.connect()
    gate.disconnect()
    assert gate.connect()


def make_request(*args: str) -> Request:
    return Request(id=1, method="exec", command="sh", args=args)


def hold(gate: Gate, request: Request) -> int:
    return gate.reserve_request(request, len(msgspec.json.encode(request.args)))


def test_whole_requests_are_counted_until_they_are_answered() -> None:
    """By what they take in memory; the one that is too many is refused until another has gone."""
    gate = make_gate(Limits(request_bytes=100_000))
    large = make_request("x" * 300_000)
    weights = [hold(gate, large) for _ in range(2)]
    assert all(300_000 < weight < 310_000 for weight in weights)
    with pytest.raises(Denied) as caught:
        hold(gate, large)
    assert (caught.value.layer, caught.value.rule) == ("limit", "request_bytes")
    gate.release(weights[0])
    assert hold(gate, large) == weights[0]


def test_characters_and_words_weigh_what_they_take() -> None:
    """Four bytes a character beside a rare one, and some fifty for each word, however short."""
    assert weigh(make_request("x" * 100_000 + "\U0001f600")) > 400_000
    assert weigh(make_request(*(f"{number:x}" for number in range(5000)))) > 250_000
    env = {f"{number:x}": "" for number in range(5000)}
    assert weigh(Request(id=1, method="exec", command="sh", args=(), env=env)) > 250_000


def test_small_requests_always_have_room() -> None:
    """Somebody's large ones keep the small ones of the same agent from nothing."""
    gate = make_gate(Limits(request_bytes=100_000))
    hold(gate, make_request("x" * 790_000))
    assert hold(gate, make_request("push", "x" * 10_000)) == 0
    with pytest.raises(Denied):
        hold(gate, make_request("x" * 20_000))


def test_a_request_alone_has_room_whatever_it_takes() -> None:
    """One that unfolds to more than all may have is not refused as too many."""
    gate = make_gate(Limits(request_bytes=1024))
    weight = hold(gate, make_request("x" * 100_000))
    gate.release(weight)
    assert hold(gate, make_request("x" * 100_000)) == weight


@pytest.mark.parametrize("word", ["", "x", "\xe9", "\u20ac", "\U0001f600"])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_no_request_weighs_more_than_its_bound(word: str, count: int) -> None:
    """The bound is found from the length of the line and the number of texts."""
    env = {f"{number:x}": word for number in range(count)}
    words = (word,) * 2 * count
    line = msgspec.json.encode((words, env))
    request = Request(id=1, method="exec", command="", args=words, env=env)
    assert weigh(request) < bound_weight(request, len(line))


@pytest.mark.parametrize("has_pre_exec", [False, True])
@pytest.mark.parametrize("agents", [1, 2, 50])
@pytest.mark.parametrize("table", [200, 1024, 4096])
def test_agents_at_their_limits_fit_into_the_table(
    table: int, agents: int, has_pre_exec: bool
) -> None:
    """Nobody can take the descriptors that another agent needs."""
    limits = Limits().share_descriptors(table=table, agents=agents, has_pre_exec=has_pre_exec)
    needed = limits.connections * CONNECTION_DESCRIPTORS + limits.running * COMMAND_DESCRIPTORS
    if has_pre_exec:
        needed += limits.running * COMMAND_DESCRIPTORS
    if limits.connections > 1 and limits.running > 1:
        assert agents * needed <= table - OWN_DESCRIPTORS


def test_a_large_table_lowers_nothing() -> None:
    """The limits of the files are what counts as a rule."""
    limits = Limits(connections=300, running=10)
    assert limits.share_descriptors(table=1 << 20, agents=20) == limits


async def test_other_limits_count_for_those_who_wait() -> None:
    """More room lets the first of them in; less takes no place away from what runs."""
    gate = make_gate(Limits(running=1))
    began: list[int] = []

    async def run(number: int) -> None:
        async with running(gate, None):
            began.append(number)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(run, number)
            await trio.testing.wait_all_tasks_blocked()
        assert began == [0]
        gate.adopt(Limits(running=2))
        await trio.testing.wait_all_tasks_blocked()
        assert began == [0, 1]
        gate.adopt(Limits(running=1, queued=1, connections=0))
        with pytest.raises(Denied) as caught:
            await gate.acquire(None)
        assert caught.value.rule == "queued"
        assert not gate.connect()
        nursery.cancel_scope.cancel()


async def test_who_waits_for_the_last_connection_is_told() -> None:
    """Also where there is none."""
    gate = make_gate(Limits())
    await gate.wait_closed()
    assert gate.connect()
    assert gate.connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.wait_closed)
        for _ in range(2):
            await trio.testing.wait_all_tasks_blocked()
            assert nursery.child_tasks
            gate.disconnect()


async def test_a_seconds_worth_passes_at_once(autojump_clock: MockClock) -> None:
    """Only what is more than that waits, each for its share of a second."""
    pace = Pace(10)
    began = trio.current_time()
    for _ in range(10):
        await pace.wait()
    assert trio.current_time() == began
    for _ in range(5):
        await pace.wait()
    assert round(trio.current_time() - began, 6) == 0.5


async def test_who_rests_may_be_fast_again(autojump_clock: MockClock) -> None:
    """A second without events is as good as a new beginning, and two are no better."""
    pace = Pace(10)
    for _ in range(20):
        await pace.wait()
    await trio.sleep(2)
    began = trio.current_time()
    for _ in range(11):
        await pace.wait()
    assert round(trio.current_time() - began, 6) == 0.1


async def test_nobody_waits_longer_than_a_second(autojump_clock: MockClock) -> None:
    """However many come at once."""
    pace = Pace(10)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(1000):
            nursery.start_soon(pace.wait)
    assert round(trio.current_time() - began, 6) == MAX_DELAY_S


async def test_leaving_does_not_make_it_faster(autojump_clock: MockClock) -> None:
    """A task that is cancelled waits all the same."""
    pace = Pace(10)
    for _ in range(10):
        await pace.wait()
    began = trio.current_time()
    with trio.CancelScope() as scope:
        scope.cancel()
        await pace.wait()
    assert round(trio.current_time() - began, 6) == 0.1


@asynccontextmanager
async def shared(processors: int) -> AsyncIterator[tuple[Share, Share]]:
    """The shares of two agents, of which the second one has just started a command."""
    async with trio.open_nursery() as watching:
        starts = Starts(processors=processors)
        watching.start_soon(starts.run)
        crowd, single = Share(starts), Share(starts)
        await single.acquire("single")
        yield crowd, single
        watching.cancel_scope.cancel()


async def test_who_is_alone_waits_for_nothing() -> None:
    """However many commands it starts."""
    share = Share(Starts(processors=2))
    for _ in range(100):
        with trio.fail_after(0):
            await share.acquire(object())


async def test_half_of_the_processors_are_for_others(autojump_clock: MockClock) -> None:
    """One that ends makes room for the next, in the order of arrival; others have their own."""
    async with shared(processors=4) as (crowd, single):
        began: list[int] = []

        async def start(number: int) -> None:
            await crowd.acquire(number)
            began.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(start, number)
                await wait_all_tasks_blocked()
            assert began == [0, 1]
            with trio.fail_after(0):
                await single.acquire("another")
            crowd.release(1)
            await wait_all_tasks_blocked()
            assert began == [0, 1, 2]
            nursery.cancel_scope.cancel()


async def test_what_runs_on_makes_room_after_a_while(autojump_clock: MockClock) -> None:
    """Long commands start one after the other, and each of them within a known time."""
    async with shared(processors=1) as (crowd, _):
        began = trio.current_time()
        for number in range(5):
            await crowd.acquire(number)
        assert 4 * STARTING_S <= trio.current_time() - began <= 5 * 1.5 * STARTING_S


async def test_others_count_for_a_second_only(autojump_clock: MockClock) -> None:
    """Who has asked for nothing lately takes nothing from anybody."""
    starts = Starts(processors=1)
    crowd, single = Share(starts), Share(starts)
    await single.acquire("single")
    await trio.sleep(RECENT_S)
    for number in range(100):
        with trio.fail_after(0):
            await crowd.acquire(number)


async def test_who_gives_up_keeps_nobody_waiting() -> None:
    """A command that was cancelled while it waited has no place to give back."""
    starts = Starts(processors=1)
    crowd, single = Share(starts), Share(starts)
    await single.acquire("single")
    await crowd.acquire("first")
    with trio.move_on_after(0):
        await crowd.acquire("second")
    crowd.release("second")
    crowd.release("first")
    with trio.fail_after(0):
        await crowd.acquire("third")


async def test_agents_that_are_gone_are_not_remembered() -> None:
    """However many came and went: only who asked last says whether others share."""
    starts = Starts(processors=2)
    gone = [Share(starts) for _ in range(5)]
    for share in gone:
        await share.acquire("command")
    held = [weakref.ref(share) for share in gone]
    gone.clear()
    del share
    assert sum(each() is not None for each in held) == 1
