"""The post-exec hook: what it sees of a command, and what of its answer the client gets."""

import base64
import json
import os
import select
import sys
from pathlib import Path

import pytest

import shared_fixtures
from hooking import HOOK_S, Hook
from running import Daemon, request
from talking import ALL, Pipes, Talk
from worlds import World

TERMINAL = {"stdin": True, "stdout": True, "stderr": True, "rows": 24, "cols": 80, "term": "xterm"}
ANSWER = f"""#!{sys.executable}
import json, sys
message = json.load(sys.stdin)
result = message["result"]
{{}}
json.dump(message, sys.stdout)
"""

pytestmark = pytest.mark.usefixtures("inside")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One world for all tests here, in which each writes the hook that it needs."""
    world = World(tmp_path_factory.mktemp("post"))
    world.write_config(f"[hooks]\ntimeout_s = {HOOK_S}\ncapture_max_mb = 1\n")
    world.write_hook("post-exec", "exit 0")
    return world


daemon = shared_fixtures.one_daemon


@pytest.fixture
def hook(world: World) -> Hook:
    """Write the post-exec hook."""
    return lambda text: world.write_hook("post-exec", text)


def detail(daemon: Daemon) -> str:
    """What the last record says of the hook."""
    text = daemon.records()[-1]["detail"]
    assert isinstance(text, str)
    return text


def test_it_sees_the_result(daemon: Daemon, world: World, hook: Hook) -> None:
    """Exit status and both streams, as text; without an answer all goes out as it was."""
    hook("cat > seen")
    answer = daemon.shell("echo out; echo err >&2; exit 3")
    assert (answer.text(), answer.text("stderr"), answer.exit_code) == ("out\n", "err\n", 3)
    seen = (world.agent / "seen").read_text()
    assert json.loads(seen) == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {"exit_code": 3, "stdout": "out\n", "stderr": "err\n"},
    }
    record = daemon.records()[-1]
    assert (record["outcome"], record["exit_code"]) == ("allowed", 3)
    assert (record["bytes_out"], record["detail"]) == (8, "post-exec left the output as it was")


def test_bytes_that_are_no_text_are_base64(daemon: Daemon, world: World, hook: Hook) -> None:
    """In the form of the protocol, and back again."""
    hook("tee seen")
    with Talk(daemon, "printf 'a\\377'; printf 'b\\0' >&2; kill -9 $$", ["base64"]) as talk:
        talk.finish()
    assert talk.output == {"stdout": b"a\xff", "stderr": b"b\x00"}
    result = json.loads((world.agent / "seen").read_text())["result"]
    assert result == {"exit_code": 137, "stdout": {"base64": "Yf8="}, "stderr": "b\0"}


def test_its_values_go_to_the_client(daemon: Daemon, hook: Hook) -> None:
    """Exit status too; the log keeps what the command itself did."""
    exact = {"base64": base64.b64encode(b"\xfe").decode()}
    hook(ANSWER.format(f"result |= {{'exit_code': 9, 'stdout': 'new', 'stderr': {exact}}}"))
    with Talk(daemon, "echo secret; kill -9 $$", ["base64", "exit-signal"]) as talk:
        assert talk.result == {"exit_code": 9}
    assert talk.output == {"stdout": b"new", "stderr": b"\xfe"}
    record = daemon.records()[-1]
    assert (record["exit_code"], record["signal"]) == (137, "SIGKILL")
    assert record["detail"] == "post-exec gave other output, and exit status 9"


@pytest.mark.parametrize("name", ["exit_code", "stdout", "stderr"])
def test_a_value_that_it_leaves_out_stays(daemon: Daemon, hook: Hook, name: str) -> None:
    """Each alone can be given."""
    value = 4 if name == "exit_code" else "new"
    hook(f"echo '{json.dumps({'result': {name: value}})}'")
    with Talk(daemon, "echo out; echo err >&2; kill -TERM $$", ["exit-signal"]) as talk:
        result = talk.result
    if name == "exit_code":
        assert result == {"exit_code": 4}
    else:
        assert result == {"exit_code": 143, "signal": "SIGTERM"}
    given = {"stdout": b"out\n", "stderr": b"err\n"} | ({name: b"new"} if value != 4 else {})
    assert talk.output == given


def test_it_can_withhold_everything(daemon: Daemon, hook: Hook) -> None:
    """Empty values are values."""
    hook("""echo '{"result":{"exit_code":1,"stdout":"","stderr":""}}'""")
    answer = daemon.shell("echo secret; echo secret >&2")
    assert (answer.text(), answer.text("stderr"), answer.exit_code) == ("", "", 1)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exit 5", "exit status 5"),
        ("""echo '{"result":{"stdout":"new"}}'; exit 5""", "exit status 5"),
        ("kill -9 $$", "SIGKILL"),
        ("exec sleep 600", f"was ended after {HOOK_S:g} s"),
        ("exec cat /dev/zero", "no answer"),
        ("#!/no/such/interpreter\n", "could not be run"),
        ("echo new", "no result"),
        ("echo '[]'", "no result"),
        ("echo '{}'", "no result"),
        ("""echo '{"result":{}}'""", "without a value"),
        ("""echo '{"result":{"dropped_bytes":1}}'""", "without a value"),
        ("""echo '{"result":{"exit_code":true}}'""", "no result"),
        ("""echo '{"result":{"exit_code":256}}'""", "no result"),
        ("""echo '{"result":{"exit_code":-1}}'""", "no result"),
        ("""echo '{"result":{"stdout":1}}'""", "no result"),
        ("""echo '{"result":{"stdout":{"base64":"?"}}}'""", "no result"),
        ("""echo '{"result":{"stdout":null}}'""", "no result"),
        ("""echo '{"error":"secret found"}'""", "no result"),
        ("""printf '{"result":{"stdout":"\\377"}}'""", "no answer"),
    ],
)
def test_a_hook_that_is_of_no_use_is_told_in_the_log(
    daemon: Daemon, hook: Hook, script: str, says: str
) -> None:
    """The output goes out as it was."""
    hook(script)
    answer = daemon.shell("echo out; echo err >&2; exit 3")
    assert (answer.text(), answer.text("stderr"), answer.exit_code) == ("out\n", "err\n", 3)
    assert daemon.records()[-1]["outcome"] == "allowed"
    assert detail(daemon).startswith("post-exec ")
    assert says in detail(daemon)
    assert detail(daemon).endswith("; the output was sent as it was")


def test_a_hook_that_is_not_executable_is_told_in_the_log(daemon: Daemon, world: World) -> None:
    """As `check` and the start of the daemon tell it too."""
    world.write_hook("post-exec", "exit 0", mode=0o644)
    assert daemon.shell("echo out").text() == "out\n"
    assert "could not be run" in detail(daemon)


def test_nothing_goes_out_before_the_hook_has_seen_it(
    daemon: Daemon, world: World, hook: Hook
) -> None:
    """Output is captured, however early it comes."""
    hook("echo > reached; read x < go; sed s/secret/harmless/")
    for name in ("reached", "go"):
        os.mkfifo(world.agent / name)
    try:
        with daemon.connect() as connection:
            connection.sendall(request("sh", "-c", "echo secret"))
            (world.agent / "reached").read_text()
            assert select.select([connection], [], [], 0)[0] == []
            (world.agent / "go").write_text("\n")
            data = b""
            while piece := connection.recv(65536):
                data += piece
    finally:
        for name in ("reached", "go"):
            (world.agent / name).unlink()
    assert b"harmless" in data
    assert b"secret" not in data


def test_features_that_would_show_output_are_not_used(daemon: Daemon, hook: Hook) -> None:
    """No terminal, and none of the client's descriptors; what is left works."""
    hook("exit 0")
    with Pipes() as pipes:
        script = "cat; tty >&2; exit 3"
        with Talk(daemon, script, ALL, descriptors=pipes.passed, tty=TERMINAL) as talk:
            pipes.let_go()
            start = talk.start()
            assert start["features"] == ["base64", "stdin", "signals", "exit-signal", "env"]
            talk.type(b"in\xff")
            talk.say("stdin", eof=True)
            assert talk.result == {"exit_code": 3, "stdin_bytes": 3}
        assert talk.output == {"stdout": b"in\xff", "stderr": b"not a tty\n"}
        assert pipes.read(1) == b""
    assert daemon.records()[-1]["bytes_out"] == 13


def test_output_beyond_the_bound_is_dropped_and_told(
    daemon: Daemon, world: World, hook: Hook
) -> None:
    """The hook, the client and the log learn how much is missing; the client gets no byte of it."""
    hook(ANSWER.format("open('seen', 'w').write(str(result['dropped_bytes']))"))
    before = peak_memory(daemon)
    answer = daemon.shell("head -c 50000000 /dev/zero | tr '\\0' x; printf end >&2; exit 3")
    dropped = 50_000_003 - (1 << 20)
    assert len(answer.text()) <= 1 << 20
    note = answer.text("stderr")
    assert note.startswith((f"airlock: {dropped} bytes", f"end\nairlock: {dropped - 3} bytes"))
    assert "capture_max_mb" in note
    assert answer.exit_code == 3
    assert (world.agent / "seen").read_text() in note
    assert "bytes of output beyond" in detail(daemon)
    assert peak_memory(daemon) - before < 50_000_000


def test_a_broken_hook_sends_nothing_that_it_could_not_have_seen(
    daemon: Daemon, hook: Hook
) -> None:
    """What was dropped stays so."""
    hook("exit 1")
    answer = daemon.shell("head -c 2000000 /dev/zero | tr '\\0' x")
    assert len(answer.text()) == 1 << 20
    assert "airlock: 951424 bytes" in answer.text("stderr")


def test_what_it_answers_may_be_longer_than_what_it_saw(daemon: Daemon, hook: Hook) -> None:
    """JSON writes control characters as six, and so does a hook that agrees."""
    hook("exec cat")
    answer = daemon.shell("head -c 1000000 /dev/zero | tr '\\0' '\\001'")
    assert answer.text() == "\x01" * 1_000_000
    assert detail(daemon) == "post-exec left the output as it was"


def test_what_is_refused_or_only_checked_does_not_meet_it(
    daemon: Daemon, world: World, hook: Hook
) -> None:
    """It sees results of commands and nothing else."""
    hook("touch met")
    assert "hook" not in daemon.ask("sh", method="check").last["result"]["not_consulted"]
    assert daemon.ask("make").error["code"] == -32601
    assert not (world.agent / "met").exists()


def test_the_time_limit_of_a_command_is_not_that_of_its_hook(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[exec] timeout_s ends the command, and nothing that it wrote goes out unseen."""
    world = World(tmp_path)
    monkeypatch.chdir(world.workspace)
    limit = HOOK_S / 4
    world.write_module("sh", "/bin/sh", f"[deny]\nargs = []\n[exec]\ntimeout_s = {limit}\n")
    world.write_hook("post-exec", ANSWER.format(f"import time; time.sleep({limit + 0.2})"))
    with Daemon(world) as running:
        assert running.shell("echo out").text() == "out\n"
        answer = running.shell("echo secret; exec sleep 600")
        assert f"ended after {limit:g} s" in answer.error["message"]
        assert answer.text() == ""


def test_it_goes_with_a_pre_exec_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One rewrites what is asked, the other what is answered."""
    world = World(tmp_path)
    monkeypatch.chdir(world.workspace)
    world.write_hook("pre-exec", "sed 's/echo one/echo two/'")
    world.write_hook("post-exec", "sed 's/two/three/'")
    with Daemon(world) as running:
        assert running.shell("echo one").text() == "three\n"
        record = running.records()[-1]
    assert record["args"] == ["-c", "echo two"]
    assert record["asked"]["args"] == ["-c", "echo one"]
    assert record["detail"] == "post-exec gave other output"


def test_a_command_that_runs_alone_does_not_wait_for_anothers_hook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """concurrent = false is about the command."""
    world = World(tmp_path)
    monkeypatch.chdir(world.workspace)
    world.write_module("sh", "/bin/sh", "[deny]\nargs = []\n[exec]\nconcurrent = false\n")
    world.write_hook("post-exec", "case $(cat) in *slow*) echo > reached; read x < go; esac")
    for name in ("reached", "go"):
        os.mkfifo(world.agent / name)
    with Daemon(world) as running, running.connect() as slow:
        slow.sendall(request("sh", "-c", "echo slow"))
        (world.agent / "reached").read_text()
        assert running.shell("echo quick").text() == "quick\n"
        (world.agent / "go").write_text("\n")


def peak_memory(daemon: Daemon) -> int:
    """The most memory that the daemon has had, in bytes."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
