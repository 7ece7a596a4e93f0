"""Operations that wait for a person: what a running daemon asks, and from whom it takes answers."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from airlock_daemon.boundary.approval.questions import Answer, ApprovalRequest, Question
from airlock_daemon.errors import Denied
from airlock_daemon.serving.request.approvals import PATIENCE_S, Approvals
from airlock_daemon.serving.request.job import Call, require_approval
from airlock_daemon.serving.request.state import AgentState
from airlock_modules.operation import Operation
from approving import approve, control_path, reject, wait_for_questions
from commanding import run
from running import Answer as Said
from running import Daemon, read_answer, request
from worlds import World

PROFILE = '[workspace]\nhost = true\n[approve]\nrequire = ["run sh * *asked*"]\n'

# Sends one line to a socket, and prints what it is answered.
ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    connection.sendall(sys.argv[2].encode() + b"\\n")
    print(connection.makefile().readline(), end="")
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An agent whose `sh` waits for a person if its script is about `asked`."""
    world = World(tmp_path)
    world.write_profile(PROFILE)
    monkeypatch.chdir(world.workspace)
    return world


@pytest.fixture
def daemon(world: World) -> Iterator[Daemon]:
    with Daemon(world) as daemon:
        yield daemon


def send(daemon: Daemon, script: str) -> socket.socket:
    """Send a script, and do not wait for the answer."""
    connection = daemon.connect()
    connection.sendall(request("sh", "-c", script))
    return connection


def finish(connection: socket.socket) -> Said:
    with connection:
        return read_answer(connection)


def test_a_command_waits_and_then_runs(daemon: Daemon) -> None:
    """The client is told at once; the record says who has answered."""
    connection = send(daemon, "echo asked")
    question = approve(daemon.world)
    answer = finish(connection)
    assert (answer.text(), answer.exit_code) == ("asked\n", 0)
    assert f"airlock: approval {question['id']} is pending" in answer.text("stderr")
    assert question["operation"] == 'run sh -c "echo asked"'
    assert question["agent"] == "my"
    (record,) = daemon.records()
    assert record["approval"]["id"] == question["id"]
    assert record["approval"]["by"]


def test_what_no_pattern_matches_does_not_wait(daemon: Daemon) -> None:
    answer = daemon.shell("echo other")
    assert answer.text() == "other\n"
    (record,) = daemon.records()
    assert record["approval"] is None


def test_a_rejected_command_does_not_run(daemon: Daemon) -> None:
    """The client gets the reason, and asking again asks nobody."""
    connection = send(daemon, "touch asked")
    reject(daemon.world, "not\x1b[2J today")
    for answer in (finish(connection), daemon.shell("touch asked")):
        assert answer.error["data"]["rule"] == "approve"
        assert r'"not\u{1b}[2J today"' in answer.error["message"]
    assert not list(daemon.world.root.rglob("asked"))
    for record in daemon.records():
        assert record["outcome"] == "denied"
        assert record["approval"]["by"]
        assert record["approval"]["rejected"]
    assert "[rejected by " in run(daemon.world, "log", "tail").stdout


def test_a_signal_ends_the_wait(daemon: Daemon) -> None:
    """As it would end the command; the question stays, for the next try."""
    with daemon.connect() as connection:
        features = ["signals", "exit-signal"]
        connection.sendall(request("sh", "-c", "echo asked", features=features))
        (question,) = wait_for_questions(daemon.world)
        message = {"jsonrpc": "2.0", "method": "signal", "params": {"name": "SIGINT"}}
        connection.sendall(json.dumps(message).encode() + b"\n")
        answer = read_answer(connection)
    assert answer.last["result"] == {"exit_code": 130, "signal": "SIGINT"}
    (record,) = daemon.records()
    assert (record["outcome"], record["signal"]) == ("aborted", "SIGINT")
    assert [each["id"] for each in wait_for_questions(daemon.world)] == [question["id"]]


def test_input_that_is_sent_meanwhile_is_not_lost(daemon: Daemon) -> None:
    """The command gets it once it runs."""
    with daemon.connect() as connection:
        connection.sendall(request("sh", "-c", ": asked; cat", features=["stdin"]))
        wait_for_questions(daemon.world)
        for params in ({"data": "early\n"}, {"eof": True}):
            message = {"jsonrpc": "2.0", "method": "stdin", "params": params}
            connection.sendall(json.dumps(message).encode() + b"\n")
        approve(daemon.world)
        answer = read_answer(connection)
    assert answer.text() == "early\n"


@pytest.mark.parametrize("still_asks", [True, False])
def test_nor_is_it_if_a_reload_makes_another_command_of_it(
    daemon: Daemon, *, still_asks: bool
) -> None:
    """Whether that is asked about as well, or not any more."""
    with daemon.connect() as connection:
        words = ("sh", "-c", ": asked $LATE; cat")
        connection.sendall(request(*words, features=["stdin", "env"], env={"LATE": "x"}))
        wait_for_questions(daemon.world)
        for params in ({"data": "early\n"}, {"eof": True}):
            message = {"jsonrpc": "2.0", "method": "stdin", "params": params}
            connection.sendall(json.dumps(message).encode() + b"\n")
        more = '[env]\nforward = ["LATE"]\n[deny]\nargs = []\n'
        daemon.world.write_module("sh", "/bin/sh", more)
        if not still_asks:
            daemon.world.write_profile(PROFILE.replace("asked", "else"))
        run(daemon.world, "reload")
        for _ in range(1 + still_asks):
            approve(daemon.world)
        answer = read_answer(connection)
    assert answer.text() == "early\n"


def test_signals_that_are_sent_meanwhile_are_not_kept(daemon: Daemon) -> None:
    """No command is there to get them, and a client may send any number."""
    with daemon.connect() as connection:
        connection.sendall(request("sh", "-c", "echo asked", features=["signals"]))
        wait_for_questions(daemon.world)
        message = {"jsonrpc": "2.0", "method": "signal", "params": {"name": "SIGUSR1"}}
        connection.sendall((json.dumps(message).encode() + b"\n") * 1000)
        approve(daemon.world)
        answer = read_answer(connection)
    assert (answer.text(), answer.exit_code) == ("asked\n", 0)


def test_the_answer_waits_for_a_client_that_had_gone(daemon: Daemon) -> None:
    """Its next try takes it."""
    connection = send(daemon, "echo asked")
    (question,) = wait_for_questions(daemon.world)
    connection.close()
    daemon.wait_for_records(1)
    run(daemon.world, "approve", question["id"])
    assert daemon.shell("echo asked").text() == "asked\n"


def test_what_came_after_a_person_has_looked_waits_on(daemon: Daemon) -> None:
    """A command that is shown as asked for once does not run a second time."""
    first = send(daemon, "echo asked")
    (question,) = wait_for_questions(daemon.world)
    more = [send(daemon, "echo asked") for _ in range(2)]
    for each in more:
        # It is told that it waits.
        each.recv(1, socket.MSG_PEEK)
    approved = run(daemon.world, "approve", question["id"])
    assert "1 request waits" in approved.stdout
    assert "2 more came meanwhile" in approved.stderr
    assert finish(first).text() == "asked\n"
    (again,) = wait_for_questions(daemon.world)
    assert again["id"] != question["id"]
    run(daemon.world, "approve", again["id"])
    for each in more:
        assert finish(each).text() == "asked\n"


def test_another_command_is_another_question(daemon: Daemon) -> None:
    """Answers come in any order."""
    first, second = (send(daemon, f"echo asked {number}") for number in (1, 2))
    questions = {
        each["operation"]: each["id"] for each in wait_for_questions(daemon.world, count=2)
    }
    run(daemon.world, "approve", questions['run sh -c "echo asked 2"'])
    assert finish(second).text() == "asked 2\n"
    run(daemon.world, "reject", questions['run sh -c "echo asked 1"'])
    assert "rejected" in finish(first).error["message"]


def test_a_fifth_question_is_refused(daemon: Daemon) -> None:
    """Others are not held up."""
    waiting = [send(daemon, f"echo asked {number}") for number in range(4)]
    wait_for_questions(daemon.world, count=4)
    answer = daemon.shell("echo asked 5")
    assert answer.error["data"]["rule"] == "questions"
    assert daemon.shell("echo other").text() == "other\n"
    for each in waiting:
        each.close()


def test_questions_survive_a_reload(daemon: Daemon) -> None:
    connection = send(daemon, "echo asked")
    wait_for_questions(daemon.world)
    run(daemon.world, "reload")
    approve(daemon.world)
    assert finish(connection).text() == "asked\n"
    (record,) = daemon.records()
    assert record["approval"]["by"]


def test_a_reload_takes_back_what_waits(daemon: Daemon) -> None:
    """What was approved is judged by the present rules."""
    connection = send(daemon, "touch asked")
    wait_for_questions(daemon.world)
    daemon.world.write_profile(PROFILE, commands='["git"]')
    run(daemon.world, "reload")
    approve(daemon.world)
    assert finish(connection).error["data"]["layer"] == "profile"
    assert not list(daemon.world.root.rglob("asked"))
    (record,) = daemon.records()
    assert (record["outcome"], record["layer"]) == ("denied", "profile")


def test_what_waited_runs_as_the_present_rules_have_it(daemon: Daemon) -> None:
    """No question a second time, though nobody need be asked any more."""
    connection = send(daemon, "echo asked $0")
    wait_for_questions(daemon.world)
    daemon.world.write_module("sh", "/bin/sh", '[args]\nappend = ["now"]\n[deny]\nargs = []\n')
    run(daemon.world, "reload")
    approve(daemon.world)
    assert finish(connection).text() == "asked now\n"
    assert wait_for_questions(daemon.world, count=0) == []


def test_what_a_reload_makes_of_it_is_asked_about(daemon: Daemon) -> None:
    """The person approved it without this variable."""
    with daemon.connect() as connection:
        connection.sendall(
            request("sh", "-c", "echo asked $LATE", features=["env"], env={"LATE": "x"})
        )
        (first,) = wait_for_questions(daemon.world)
        more = '[env]\nforward = ["LATE"]\n[deny]\nargs = []\n'
        daemon.world.write_module("sh", "/bin/sh", more)
        run(daemon.world, "reload")
        approve(daemon.world)
        second = approve(daemon.world)
        assert read_answer(connection).text() == "asked x\n"
    assert second["id"] != first["id"]
    assert second["details"][-1] == ["variable LATE", ["x"]]


def test_a_client_that_was_told_of_other_limits_asks_again(daemon: Daemon) -> None:
    """It may send as much as it was told while it waited."""
    with daemon.connect() as connection:
        connection.sendall(request("sh", "-c", "echo asked", features=["stdin"]))
        wait_for_questions(daemon.world)
        daemon.world.write_config("[limits]\nstdin_bytes = 4096\n")
        daemon.world.write_profile("[workspace]\nhost = true\n")
        run(daemon.world, "reload")
        approve(daemon.world)
        assert "in another way" in read_answer(connection).error["message"]


def test_a_stop_refuses_what_waits(daemon: Daemon) -> None:
    """At once: the next daemon knows nothing of it."""
    connection = send(daemon, "echo asked")
    wait_for_questions(daemon.world)
    assert daemon.stop() == 0
    assert "the daemon stopped" in finish(connection).error["message"]


def test_an_approval_for_a_duration(daemon: Daemon) -> None:
    """The same command runs until then without a question."""
    connection = send(daemon, "echo asked")
    approve(daemon.world, "--for", "10m")
    assert finish(connection).text() == "asked\n"
    assert daemon.shell("echo asked").text() == "asked\n"


def test_a_program_is_told_of_a_question(world: World) -> None:
    """Once, on its stdin; it cannot answer, since it descends from the daemon."""
    told = world.root / "told"
    script = f'cat >> {told}.new; {sys.executable} -c "$0" {control_path(world)} "$1"'
    listing = '{"type":"ListQuestions"}'
    argv = ["sh", "-c", f"{script} >> {told}.new; mv {told}.new {told}", ASK, listing]
    world.write_profile(f"{PROFILE}notify = {json.dumps(argv)}\n")
    with Daemon(world) as daemon:
        connection = send(daemon, "echo asked")
        (question,) = wait_for_questions(world)
        while not told.exists():
            # Approving ends the program, if it still runs.
            wait_for_questions(world)
        message, refused = told.read_text().splitlines()
        run(world, "approve", question["id"])
        assert finish(connection).exit_code == 0
    assert json.loads(message)["id"] == question["id"]
    assert json.loads(message)["operation"] == 'run sh -c "echo asked"'
    assert json.loads(refused)["type"] == "Refused"


def test_a_program_is_told_of_those_that_wait_on(world: World) -> None:
    """What came after a person has looked is a new question."""
    told = world.root / "told"
    argv = ["sh", "-c", f"cat >> {told}"]
    world.write_profile(f"{PROFILE}notify = {json.dumps(argv)}\n")
    with Daemon(world) as daemon:
        first = send(daemon, "echo asked")
        (question,) = wait_for_questions(world)
        second = send(daemon, "echo asked")
        second.recv(1, socket.MSG_PEEK)
        run(world, "approve", question["id"])
        assert finish(first).exit_code == 0
        (again,) = wait_for_questions(world)
        while not told.exists() or again["id"] not in told.read_text():
            wait_for_questions(world)
        run(world, "approve", again["id"])
        assert finish(second).exit_code == 0


def test_the_socket_is_the_owners_alone(daemon: Daemon) -> None:
    path = Path(control_path(daemon.world))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_stop_removes_the_socket(daemon: Daemon) -> None:
    assert daemon.stop() == 0
    assert not Path(control_path(daemon.world)).exists()
    said = run(daemon.world, "pending", status=1).stderr
    assert "no daemon of this user" in said


def test_without_patterns_there_is_no_socket(tmp_path: Path) -> None:
    """The command says what to write."""
    world = World(tmp_path)
    with Daemon(world):
        assert not Path(control_path(world)).exists()
        assert "[approve] require" in run(world, "pending", status=1).stderr


@pytest.mark.parametrize("line", ["", "{}", '{"type":"Approve","id":"X"}', "x" * 70_000])
def test_nonsense_is_refused(daemon: Daemon, line: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(control_path(daemon.world))
        connection.sendall(line.encode() + b"\n")
        reply = json.loads(connection.makefile().readline())
    assert reply["type"] == "Refused"
    assert daemon.shell("echo other").text() == "other\n"


def test_pending_shows_all_that_is_bound(daemon: Daemon) -> None:
    """Nothing of it can pass for a line of Airlock's, or drive a terminal."""
    waiting = send(daemon, "echo asked\n\x1b[2JK7M2PQ  other")
    (question,) = wait_for_questions(daemon.world)
    shown = run(daemon.world, "pending", question["id"]).stdout
    first, *others = shown.splitlines()
    assert first == rf'{question["id"]}  my  run sh -c "echo asked\n\u{{1b}}[2JK7M2PQ  other"'
    assert all(line.startswith("    ") for line in others)
    assert "what the command reads, files and stdin, is not bound" in shown
    assert "1 request waits; refused in" in shown
    waiting.close()


# With a clock of their own: waits of minutes take no time.

ASKED = ApprovalRequest(operation=Operation(("run", "sh", "-c", "asked")))


@pytest.fixture
def agent(world: World) -> Any:
    """As far as approvals use an agent."""
    return SimpleNamespace(generation=world.load().generations["my"])


async def wait(
    approvals: Approvals, agent: Any, told: list[str], patience_s: float | None = None
) -> Answer | Question | None:
    async def tell(line: str) -> None:
        told.append(line)

    return await approvals.wait(
        ASKED,
        agent=cast("AgentState", agent),
        generation=agent.generation,
        client="a test",
        tell=tell,
        patience_s=patience_s,
    )


async def test_what_nobody_was_asked_about_goes_on_after_a_reload(agent: Any) -> None:
    """As an object of a transfer does, of which none is asked about."""
    judged: list[Call] = []

    async def judge(call: Call) -> None:
        judged.append(call)

    async def emit(stream: str, data: bytes) -> None:
        raise AssertionError(data)

    before = replace(agent.generation)
    unused: Any = None
    call = Call(
        session=unused,
        watched=unused,
        cancellation=unused,
        shared=cast("Any", SimpleNamespace(approvals=Approvals({}))),
        agent=agent,
        generation=before,
        recording=cast("Any", SimpleNamespace(note=lambda **_: None)),
        converse=unused,
        origin=None,
    )
    peer: Any = SimpleNamespace(container=None, pid=1)
    other = ApprovalRequest(operation=Operation(("git", "lfs")), details=())
    await require_approval(call, peer, judge, other, emit)
    assert judged == []


async def test_silence_refuses(agent: Any, autojump_clock: trio.abc.Clock) -> None:
    """After `wait_s`."""
    told: list[str] = []
    with pytest.raises(Denied, match="nobody has answered"):
        await wait(Approvals({}), agent, told)
    assert len(told) == 1
    assert "up to 300 s" in told[0]
    assert trio.current_time() >= agent.generation.agent.profile.approve.wait_s


async def test_who_cannot_wait_learns_that_it_is_pending(
    agent: Any, autojump_clock: trio.abc.Clock
) -> None:
    """The question stays open, and the next try takes the answer."""
    approvals = Approvals({})
    pending = await wait(approvals, agent, [], PATIENCE_S)
    assert isinstance(pending, Question)
    again = await wait(approvals, agent, [], PATIENCE_S)
    assert isinstance(again, Question)
    assert again.id == pending.id
    approvals.questions.approve(
        pending.id, pending.digest, waiting=0, by="me", now=trio.current_time()
    )
    answer = await wait(approvals, agent, [], PATIENCE_S)
    assert isinstance(answer, Answer)
    assert answer.by == "me"


async def test_a_follower_learns_of_each_change(agent: Any, autojump_clock: trio.abc.Clock) -> None:
    """Also of the end by silence."""
    approvals = Approvals({})
    counts = []

    async def follow() -> None:
        while True:
            wait_change = approvals.watch()
            counts.append(len(approvals.questions.list_open(trio.current_time())))
            await wait_change()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Denied):
            await wait(approvals, agent, [])
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert (counts[0], max(counts), counts[-1]) == (0, 1, 0)


async def test_a_stopped_daemon_asks_nobody(agent: Any) -> None:
    approvals = Approvals({})
    approvals.stop()
    with pytest.raises(Denied, match="stopping"):
        await wait(approvals, agent, [])
