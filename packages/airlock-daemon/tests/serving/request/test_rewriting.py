"""The pre-exec hook: what it may change of a request."""

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

import hooking
import shared_fixtures
from hooking import REWRITE, Hook, refusal
from running import Daemon, read_answer, request
from talking import Talk
from worlds import World

pytestmark = pytest.mark.usefixtures("inside")

world = hooking.one_world
daemon = shared_fixtures.one_daemon
hook = hooking.pre_exec


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


def test_a_rewritten_request_starts_again_at_the_ceiling(
    daemon: Daemon, world: World, hook: Hook
) -> None:
    """The hook grants nothing: command, rules and directory are judged as a client's are."""
    hook(REWRITE.format('params["command"] = "make"'))
    error = daemon.shell("true").error
    assert (error["code"], error["message"]) == (-32601, "unknown command: make")
    hook(REWRITE.format('params["args"] = ["--bad"]'))
    assert daemon.shell("true").error["data"]["layer"] == "module"
    assert daemon.records()[-1]["asked"]["args"] == ["-c", "true"]
    hook(REWRITE.format(f'params["cwd"] = "{world.workspace}/missing"'))
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
