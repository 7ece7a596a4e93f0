"""The pre-exec hook: what it sees, and how it refuses."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import trio

import hooking
import shared_fixtures
from airlock_daemon.boundary.command import NativeLauncher, find_launcher
from airlock_daemon.serving.audit.ledger import Ledger
from airlock_daemon.serving.request.hooks import consult
from airlock_daemon.serving.request.job import Call
from airlock_daemon.serving.request.state import AgentState, DaemonState
from airlock_modules.operation import Operation
from airlock_wire import Request
from hooking import REWRITE, Hook, refusal
from running import Daemon, read_answer, request
from talking import Pipes, Talk
from worlds import World

pytestmark = pytest.mark.usefixtures("inside")

world = hooking.one_world
daemon = shared_fixtures.one_daemon
hook = hooking.pre_exec


def test_a_hook_that_says_nothing_lets_the_request_go_on(daemon: Daemon, hook: Hook) -> None:
    """Exit 0 without output changes nothing, also where the hook has not read what it got."""
    hook("exit 0")
    assert daemon.shell("echo hi; exit 3").text() == "hi\n"
    assert daemon.records()[-1]["asked"] is None


def test_it_sees_the_request(daemon: Daemon, world: World, hook: Hook) -> None:
    """All of it, written anew, and the operation: also features, terminal and variables."""
    hook("cat > seen; exit 0")
    terminal = {"stdin": True, "stdout": True, "stderr": True, "rows": 2, "cols": 3, "term": "vt"}
    place = str(world.workspace)
    with Talk(
        daemon, "true", ["signals", "later"], cwd=place, tty=terminal, env={"LANG": "C"}, unknown=1
    ) as talk:
        assert talk.result["exit_code"] == 0
    seen = json.loads((world.agent / "seen").read_text())
    assert seen == {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "exec",
        "params": {
            "command": "sh",
            "args": ["-c", "true"],
            "cwd": str(world.workspace),
            "container_id": None,
            "features": ["signals", "later"],
            "tty": terminal,
            "env": {"LANG": "C"},
            "operation": "run sh -c true",
        },
    }


def test_it_sees_of_duplicate_members_what_counts(daemon: Daemon, world: World, hook: Hook) -> None:
    """A hook cannot be shown one thing while another is done."""
    hook("cat > seen; exit 0")
    line = request("sh", "-c", "echo second").replace(b'"params"', b'"params": {}, "params"')
    line = line.replace(b'"command"', b'"command": "say", "command"')
    with daemon.connect() as connection:
        connection.sendall(line)
        assert read_answer(connection).text() == "second\n"
    assert (world.agent / "seen").read_text().count('"command"') == 1


@pytest.mark.linux_only("elsewhere no descriptor is taken")
def test_descriptors_go_on_through_a_hook(daemon: Daemon, hook: Hook) -> None:
    """Who has only a pre-exec hook loses nothing of what passes by the daemon."""
    hook("exit 0")
    with Pipes() as pipes:
        with Talk(daemon, "echo direct", ["fds"], descriptors=pipes.passed) as talk:
            pipes.let_go()
            assert talk.start() == {"features": ["fds"]}
            assert talk.result == {"exit_code": 0}
        assert pipes.read(1) == b"direct\n"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"message": "not on fridays"}', '"not on fridays"'),
        ('{"error": "not today"}', '"not today"'),
        ('{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}', '"no"'),
        ('{"message": "a\\u001b[31m\\u202eb\\nc"}', r'"a\u{1b}[31m\u{202e}b\nc"'),
        ('{"message": ""}', "(exit status 7)"),
        ("not today", "(exit status 7)"),
        ("[1]", "(exit status 7)"),
        ("", "(exit status 7)"),
    ],
)
def test_another_exit_status_refuses(daemon: Daemon, hook: Hook, body: str, reason: str) -> None:
    """The reason is quoted as the hook gives it, as `message` or as released hooks do."""
    hook(f"cat <<'X'\n{body}\nX\nexit 7")
    error = refusal(daemon)
    assert error["data"]["rule"] == "refused"
    assert error["message"].startswith('the pre-exec hook refuses "sh"')
    assert error["message"].endswith(reason)
    assert "hooks/pre-exec" in error["data"]["hint"]


def test_a_long_reason_is_cut(daemon: Daemon, hook: Hook) -> None:
    """A hook's words cannot fill the log."""
    hook('printf \'{"error":"%s"}\' "$(head -c 100000 /dev/zero | tr "\\0" x)"; exit 1')
    assert len(refusal(daemon)["message"]) < 1000


def test_a_reason_after_exit_0_refuses_too(daemon: Daemon, hook: Hook) -> None:
    """It is no request to go on with."""
    hook("""echo '{"error":"not today"}'""")
    assert refusal(daemon)["data"]["rule"] == "answer"


@pytest.mark.parametrize(
    ("script", "rule"),
    [
        ("kill -9 $$", "killed"),
        ("kill -TERM $$", "killed"),
        ("exec sleep 600", "timeout"),
        ("while :; do :; done", "timeout"),
        ("#!/no/such/interpreter\n", "not-runnable"),
        ("#!", "not-runnable"),
    ],
)
def test_a_hook_that_is_of_no_use_refuses(
    daemon: Daemon, hook: Hook, script: str, rule: str
) -> None:
    """Fail closed: dead, too slow, or no program."""
    hook(script)
    assert refusal(daemon)["data"]["rule"] == rule


def test_a_hook_that_waits_for_a_person_in_vain_is_not_called_broken(
    daemon: Daemon, hook: Hook
) -> None:
    """The client learns that it may ask again."""
    hook("exec sleep 600")
    assert "nobody answered: ask again when somebody is there" in refusal(daemon)["data"]["hint"]


def test_a_hook_that_is_not_executable_refuses(daemon: Daemon, world: World) -> None:
    """Its owner forgot `chmod +x`, and relies on it all the same."""
    world.write_hook("pre-exec", "exit 0", mode=0o644)
    error = refusal(daemon)
    assert error["data"]["rule"] == "not-runnable"
    assert "Permission denied" in error["message"]


def test_a_hook_that_has_gone_refuses(daemon: Daemon, hook: Hook) -> None:
    """What was there when the daemon started is not skipped."""
    hook("exit 0").unlink()
    assert refusal(daemon)["data"]["rule"] == "not-runnable"


def test_check_asks_no_hook_and_says_so(daemon: Daemon, hook: Hook) -> None:
    """The answer names the step among those that may still refuse."""
    hook("exit 1")
    result = daemon.ask("sh", "-c", "true", method="check").last["result"]
    assert result["decision"] == "allowed"
    assert result["not_consulted"][-2:] == ["hook", "concurrency"]


def test_policy_and_workspace_come_first(daemon: Daemon, world: World, hook: Hook) -> None:
    """A hook is not bothered with what is refused anyway."""
    hook("touch asked; exit 1")
    assert daemon.ask("sh", "--bad").error["data"]["layer"] == "module"
    assert daemon.ask("make").error["code"] == -32601
    missing = str(world.workspace / "missing")
    assert daemon.shell("true", cwd=missing).error["data"]["layer"] == "workspace"
    assert not (world.agent / "asked").exists()


def test_a_request_that_is_not_run_leaves_no_directory(tmp_path: Path) -> None:
    """The empty directory of a command that needs no workspace goes with its request."""
    world, temporary = World(tmp_path), tmp_path / "temporary"
    temporary.mkdir()
    world.write_profile("")
    world.write_hook("pre-exec", "exit 1")
    with Daemon(world, environment={"TMPDIR": str(temporary)}) as daemon:
        assert daemon.shell("true").error["data"]["layer"] == "hook"
        world.write_hook("pre-exec", REWRITE.format('params["args"] = ["-c", "pwd"]'))
        assert daemon.shell("true").text().startswith(str(temporary))
        # The answer comes before the cleaning up; a stop waits for that.
        daemon.stop()
    assert os.listdir(temporary) == []


async def test_it_is_told_the_container_that_was_proved(tmp_path: Path) -> None:
    """Whatever the client claims; and the request that goes on is still the client's."""
    world = World(tmp_path)
    path = world.write_hook("pre-exec", "tee seen")
    setup = world.load()
    generation = setup.generations["my"]
    shared = DaemonState(
        Ledger(setup.config.log, agents=1),
        NativeLauncher(find_launcher(), nofile=1024),
        groups="none of this test",
        search_path="",
    )
    request = Request(id=1, method="exec", command="sh", args=(), container_id="cd" * 32)
    agent = AgentState(generation, shared)
    call = SimpleNamespace(generation=generation, agent=agent, shared=shared)
    trio.lowlevel.add_instrument(shared.rounds)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shared.rounds.run)
        for proved in ("ab" * 32, None):
            passed = await consult(
                request,
                str(path),
                cast("Call", call),
                container=proved,
                operation=Operation(("run", "sh", "-c", "a  b")),
            )
            assert passed == request
            seen = json.loads((world.agent / "seen").read_text())
            assert seen["params"]["container_id"] == proved
            assert seen["params"]["operation"] == 'run sh -c "a  b"'
        nursery.cancel_scope.cancel()
    shared.close()
