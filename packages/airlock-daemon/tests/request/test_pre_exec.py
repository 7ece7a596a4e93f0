"""The pre-exec hook: what it sees, what it may change, and how it refuses."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from airlock_daemon.audit.ledger import Ledger
from airlock_daemon.audit.log import AuditLog
from airlock_daemon.command.launcher import Launcher, find_launcher
from airlock_daemon.request.pre_exec import consult
from airlock_daemon.request.state import AgentState, DaemonState
from airlock_wire import Request
from running import Daemon, Message, read_answer, request
from talking import Pipes, Talk
from worlds import World

REWRITE = f"""#!{sys.executable}
import json, sys
message = json.load(sys.stdin)
params = message["params"]
{{}}
json.dump(message, sys.stdout)
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One world for all tests here, in which each writes the hook that it needs."""
    world = World(tmp_path_factory.mktemp("pre"))
    world.write_module("sh", "/bin/sh", '[deny]\nargs = ["--bad"]\n')
    world.write_module("say", "/bin/echo")
    world.write_config("[hooks]\ntimeout_s = 0.5\n")
    text = (world.config / "config.toml").read_text()
    (world.config / "config.toml").write_text(text.replace('"git"', '"git", "say"'))
    world.write_hook("pre-exec", "exit 0")
    return world


@pytest.fixture(scope="module")
def daemon(world: World) -> Iterator[Daemon]:
    """One daemon for all tests here."""
    with Daemon(world) as running:
        yield running


@pytest.fixture(autouse=True)
def inside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in the workspace, as the profile wants of a client on the host."""
    monkeypatch.chdir(world.workspace)


@pytest.fixture
def hook(world: World) -> Callable[[str], Path]:
    """Write the pre-exec hook."""
    return lambda text: world.write_hook("pre-exec", text)


Hook = Callable[[str], Path]


def refusal(daemon: Daemon, *args: str) -> Message:
    """The error of a request that a hook must not let through."""
    mark = daemon.world.workspace / "ran"
    error = daemon.ask("sh", "-c", f"touch {mark}", *args).error
    assert not mark.exists()
    assert error["code"] == -32600
    assert (error["data"]["kind"], error["data"]["layer"]) == ("denied", "hook")
    record = daemon.records()[-1]
    assert (record["outcome"], record["layer"]) == ("denied", "hook")
    assert record["rule"] == error["data"]["rule"]
    return error


def test_a_hook_that_says_nothing_lets_the_request_go_on(daemon: Daemon, hook: Hook) -> None:
    """Exit 0 without output changes nothing, also where the hook has not read what it got."""
    hook("exit 0")
    assert daemon.shell("echo hi; exit 3").text() == "hi\n"
    assert daemon.records()[-1]["asked"] is None


def test_it_sees_the_request(daemon: Daemon, world: World, hook: Hook) -> None:
    """All of it, written anew: also features, terminal and variables of the client."""
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


def test_a_rewritten_request_is_run(daemon: Daemon, world: World, hook: Hook) -> None:
    """Command, arguments and directory may differ; the log has what was asked and what was run."""
    (world.workspace / "sub").mkdir(exist_ok=True)
    hook(REWRITE.format('params |= {"command": "say", "args": ["-n", "other"]}'))
    answer = daemon.shell("echo mine", cwd=str(world.workspace))
    assert (answer.text(), answer.exit_code) == ("other", 0)
    record = daemon.records()[-1]
    assert (record["command"], record["args"]) == ("say", ["-n", "other"])
    assert record["asked"] == {
        "command": "sh",
        "args": ["-c", "echo mine"],
        "cwd": str(world.workspace),
    }
    assert daemon.records("exec-start")[-1]["asked"] == record["asked"]


@pytest.mark.parametrize(
    "script",
    [
        # As a hook for earlier releases would: from nothing, without what came later.
        """
        echo '{"jsonrpc":"2.0","id":1,"method":"exec",'
        echo '"params":{"command":"sh","args":["-c","echo new"]}}'
        """,
        # As jq prints it.
        """
        printf '{\\n  "jsonrpc": "2.0",\\n  "params": {\\n'
        printf '    "command": "sh",\\n    "args": ["-c",\\n "echo new"]\\n  }\\n}\\n'
        """,
    ],
)
def test_members_that_an_answer_lacks_stay(daemon: Daemon, hook: Hook, script: str) -> None:
    """Features are kept, so that the client gets what it awaits."""
    hook(script)
    with Talk(daemon, "echo old", ["exit-signal"]) as talk:
        assert talk.start() == {"features": ["exit-signal"]}
        assert talk.result == {"exit_code": 0}
        assert talk.output["stdout"] == b"new\n"


def test_the_same_request_as_an_answer_changes_nothing(daemon: Daemon, hook: Hook) -> None:
    """`cat` is a hook that agrees, also to bytes that are not UTF-8."""
    hook("exec cat")
    raw = {"base64": "/w=="}
    args = ["-c", 'printf "%s" "$1" | od -An -tx1', "x", raw]
    with daemon.connect() as connection:
        message = {"jsonrpc": "2.0", "id": 10**40, "method": "exec"}
        line = {**message, "params": {"command": "sh", "args": args}}
        connection.sendall(json.dumps(line).encode() + b"\n")
        assert read_answer(connection).text().strip() == "ff"
    assert daemon.records()[-1]["asked"] is None


def test_a_rewritten_request_starts_again_at_the_ceiling(daemon: Daemon, hook: Hook) -> None:
    """The hook grants nothing: command, rules and directory are judged as a client's are."""
    hook(REWRITE.format('params["command"] = "make"'))
    error = daemon.shell("true").error
    assert (error["code"], error["message"]) == (-32601, "unknown command: make")
    hook(REWRITE.format('params["args"] = ["--bad"]'))
    assert daemon.shell("true").error["data"]["layer"] == "module"
    assert daemon.records()[-1]["asked"]["args"] == ["-c", "true"]
    hook(REWRITE.format('params["cwd"] = "/root"'))
    assert daemon.shell("true").error["data"]["layer"] == "workspace"


def test_a_rewritten_request_does_not_meet_the_hook_again(
    daemon: Daemon, world: World, hook: Hook
) -> None:
    """Once a request, whatever the hook answers."""
    count = world.agent / "count"
    hook(REWRITE.format(f"open({str(count)!r}, 'a').write('x'); params['args'] += ['more']"))
    assert daemon.shell("echo $0").text() == "more\n"
    assert count.read_text() == "x"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ('message["id"] = 2', "id"),
        ('message["method"] = "check"', "method"),
        ('message["new"] = 1', "new"),
        ('params["container_id"] = "ab" * 32', "params.container_id"),
        ('params["features"] = ["fds"]', "params.features"),
        ('params["env"] = {"A": "B"}', "params.env"),
        ('params["tty"] = {}', "params.tty"),
        ('params["shell"] = True', "params.shell"),
    ],
)
def test_nothing_else_may_differ(daemon: Daemon, hook: Hook, change: str, named: str) -> None:
    """Whatever an answer changes beyond that refuses, and is named."""
    hook(REWRITE.format(change))
    error = refusal(daemon)
    assert error["data"]["rule"] == "answer"
    assert f'changes "{named}"' in error["message"]


@pytest.mark.parametrize(
    "output",
    [
        "yes",
        "{}",
        "[]",
        "null",
        '{"jsonrpc":"2.0"}',
        '{"jsonrpc":"2.0","params":[]}',
        '{"jsonrpc":"2.0","params":{"command":"sh"}}',
        '{"jsonrpc":"2.0","params":{"command":"sh","args":"-c"}}',
        '{"jsonrpc":"2.0","params":{"command":"sh","args":[1]}}',
        '{"jsonrpc":"2.0","params":{"command":7,"args":[]}}',
        '{"jsonrpc":"2.0","params":{"command":"sh","args":["\\u0000"]}}',
        '{"jsonrpc":"2.0","params":{"command":"sh","args":[{"base64":"?"}]}}',
        '{"jsonrpc":"2.0","params":{"command":"sh","args":[]}} {}',
        '{"params":{"command":"sh","args":[]}}',
    ],
)
def test_what_is_no_request_refuses(daemon: Daemon, hook: Hook, output: str) -> None:
    """Nothing is guessed."""
    hook(f"cat <<'X'\n{output}\nX")
    error = refusal(daemon)
    assert error["data"]["rule"] == "answer"
    assert "hooks/pre-exec" in error["data"]["hint"]


@pytest.mark.parametrize(
    "script",
    ["printf '\\377'", "head -c 100000 /dev/zero | tr '\\0' '['"],
)
def test_what_is_hardly_text_refuses(daemon: Daemon, hook: Hook, script: str) -> None:
    """Neither other bytes nor endless nesting is a request."""
    hook(script)
    assert refusal(daemon)["data"]["rule"] == "answer"


def test_large_answers_count_as_large_requests_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What hooks of one agent print is held within its bound, and given back."""
    world = World(tmp_path)
    monkeypatch.chdir(world.workspace)
    world.write_config("[limits]\nrequest_bytes = 65536\n")
    # Three of them fit into eight requests of the largest size, and a fourth does not.
    world.write_hook("pre-exec", "head -c 165000 /dev/zero; echo > full; read x < go")
    os.mkfifo(world.agent / "full")
    os.mkfifo(world.agent / "go")
    with Daemon(world) as running:
        with ExitStack() as held:
            for _ in range(3):
                connection = held.enter_context(running.connect())
                connection.sendall(request("sh", "-c", "true"))
                (world.agent / "full").read_text()
            error = running.shell("true").error
            assert (error["data"]["layer"], error["data"]["rule"]) == ("limit", "request_bytes")
        world.write_hook("pre-exec", "exit 0")
        assert running.shell("echo free").text() == "free\n"


def test_more_arguments_than_the_limit_refuse(daemon: Daemon, hook: Hook) -> None:
    """A hook cannot lift what binds its agent."""
    hook(REWRITE.format('params["args"] += ["x"] * 10000'))
    assert "10000 are allowed" in refusal(daemon)["message"]


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
    assert result == {
        "decision": "allowed",
        "not_consulted": ["workspace", "hook", "concurrency"],
    }


def test_policy_and_workspace_come_first(daemon: Daemon, world: World, hook: Hook) -> None:
    """A hook is not bothered with what is refused anyway."""
    hook("touch asked; exit 1")
    assert daemon.ask("sh", "--bad").error["data"]["layer"] == "module"
    assert daemon.ask("make").error["code"] == -32601
    assert daemon.shell("true", cwd="/root").error["data"]["layer"] == "workspace"
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
        Ledger(AuditLog(setup.config.log), agents=1),
        Launcher(find_launcher(), nofile=1024),
        search_path="",
    )
    request = Request(id=1, method="exec", command="sh", args=(), container_id="cd" * 32)
    trio.lowlevel.add_instrument(shared.rounds)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shared.rounds.run)
        for proved in ("ab" * 32, None):
            passed = await consult(
                request,
                str(path),
                container=proved,
                generation=generation,
                agent=AgentState(generation, shared),
                shared=shared,
            )
            assert passed == request
            seen = json.loads((world.agent / "seen").read_text())
            assert seen["params"]["container_id"] == proved
        nursery.cancel_scope.cancel()
    shared.close()
