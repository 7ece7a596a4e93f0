"""The features of the protocol, each with a real daemon and real tools."""

import os
from collections.abc import Iterator

import pytest

from running import Daemon
from talking import ALL, Talk
from worlds import World

TERMINAL = {"stdin": True, "stdout": True, "stderr": True, "rows": 24, "cols": 80, "term": "xterm"}


pytestmark = pytest.mark.usefixtures("inside")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One world for all tests here."""
    return World(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def daemon(world: World) -> Iterator[Daemon]:
    """One daemon for all tests here."""
    with Daemon(world) as running:
        yield running


def test_an_empty_list_is_answered_by_a_start(daemon: Daemon) -> None:
    """A client that can do nothing more still learns that the daemon knows of features."""
    with Talk(daemon, "echo hi") as talk:
        assert talk.start() == {"features": []}
        assert talk.result == {"exit_code": 0}
        assert talk.output["stdout"] == b"hi\n"


def test_a_client_without_features_gets_no_start(daemon: Daemon) -> None:
    """Released clients see what they always saw."""
    answer = daemon.shell("echo hi")
    assert [message.get("method") for message in answer.messages] == ["output", None]


def test_unknown_features_are_left_out(daemon: Daemon) -> None:
    """A later client can ask for anything."""
    with Talk(daemon, "true", ["later", "signals", "signals"]) as talk:
        assert talk.start() == {"features": ["signals"]}


def test_base64_is_exact(daemon: Daemon) -> None:
    """Every byte arrives, however it is cut."""
    script = "printf '\\377\\303'; sleep 0.01; printf '\\251\\000'; printf 'text\\n' >&2"
    with Talk(daemon, script, ["base64"]) as talk:
        talk.finish()
    assert talk.output == {"stdout": b"\xff\xc3\xa9\x00", "stderr": b"text\n"}


def test_stdin_reaches_the_tool_and_ends(daemon: Daemon) -> None:
    """What is sent is read in its order, then the end of the file."""
    with Talk(daemon, "cat; echo end", ["stdin"]) as talk:
        assert talk.start()["stdin_credit"] > 0
        talk.say("stdin", data="one\n")
        talk.until(b"one\n")
        talk.type(b"two\n")
        talk.say("stdin", data="three\n", eof=True)
        result = talk.result
    assert talk.output["stdout"] == b"one\ntwo\nthree\nend\n"
    assert result == {"exit_code": 0, "stdin_bytes": 14}


def test_a_half_close_ends_stdin_and_nothing_else(daemon: Daemon) -> None:
    """A client that closed its sending half still gets its answer."""
    with Talk(daemon, "cat; echo end", ["stdin"]) as talk:
        talk.start()
        talk.half_close()
        assert talk.result["exit_code"] == 0
    assert talk.output["stdout"] == b"end\n"


def test_credit_comes_as_the_tool_reads(daemon: Daemon) -> None:
    """A client that keeps to its credit can send any amount."""
    size = 3_000_000
    with Talk(daemon, "wc -c", ["stdin"]) as talk:
        credit = talk.start()["stdin_credit"]
        sent = 0
        while sent < size:
            count = min(credit, size - sent, 30_000)
            if count:
                talk.type(b"x" * count)
                sent += count
                credit -= count
            else:
                message = talk.next()
                assert message is not None
                assert message["method"] == "credit"
                credit += message["params"]["bytes"]
        talk.say("stdin", eof=True)
        assert talk.result["stdin_bytes"] == size
    assert talk.output["stdout"].strip() == str(size).encode()


def test_an_overdraft_ends_the_command(daemon: Daemon, world: World) -> None:
    """A client cannot make the daemon hold more than it granted."""
    with Talk(daemon, "exec sleep 600", ["stdin"]) as talk:
        credit = talk.start()["stdin_credit"]
        talk.type(b"x" * (credit + 1))
        assert talk.error["data"]["kind"] == "invalid-request"
    assert daemon.records()[-1]["outcome"] == "invalid"


def test_what_a_tool_did_not_read_is_counted(daemon: Daemon) -> None:
    """So a client can leave the rest where it was."""
    with Talk(daemon, "head -c 3 >/dev/null; echo read; read stop < gate", ["stdin"]) as talk:
        gate = "gate"
        os.mkfifo(gate)
        talk.start()
        talk.type(b"abcdef")
        talk.until(b"read")
        with open(gate, "w", encoding="ascii") as file:
            file.write("\n")
        count = talk.result["stdin_bytes"]
    os.unlink(gate)
    assert 3 <= count <= 6


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "WINCH"])
def test_signals_reach_the_process_group(daemon: Daemon, name: str) -> None:
    """Also a process that the tool has started gets it."""
    script = (
        f"trap 'echo got {name}; exit 7' {name};"
        f"sh -c 'trap \"echo child; exit\" {name}; echo up; while :; do sleep 0.01; done' &"
        "while :; do sleep 0.01; done"
    )
    with Talk(daemon, script, ["signals"]) as talk:
        talk.start()
        talk.until(b"up")
        talk.say("signal", name=f"SIG{name}")
        assert talk.result["exit_code"] == 7
    assert b"got" in talk.output["stdout"]


def test_other_signals_are_refused(daemon: Daemon) -> None:
    """The names of the protocol are all that may be sent."""
    with Talk(daemon, "exec sleep 600", ["signals"]) as talk:
        talk.start()
        talk.say("signal", name="SIGSTOP")
        assert talk.error["data"] == {"kind": "invalid-params", "path": "params.name"}


def test_the_signal_that_ended_the_tool_is_named(daemon: Daemon) -> None:
    """With 128+n beside it for whoever does not look."""
    with Talk(daemon, "kill -KILL $$", ["exit-signal"]) as talk:
        talk.start()
        assert talk.result == {"exit_code": 137, "signal": "SIGKILL"}
    with Talk(daemon, "exit 137", ["exit-signal"]) as talk:
        talk.start()
        assert talk.result == {"exit_code": 137}


def test_a_terminal_is_one(daemon: Daemon) -> None:
    """The tool sees a terminal of the client's size and name, and it is the controlling one."""
    script = "test -t 0 && test -t 1 && test -t 2 && stty size && echo $TERM && echo hi > /dev/tty"
    with Talk(daemon, script, ALL, tty=TERMINAL) as talk:
        assert "tty" in talk.start()["features"]
        assert talk.result["exit_code"] == 0
    assert talk.output["stdout"] == b"24 80\r\nxterm\r\nhi\r\n"


def test_only_what_is_a_terminal_at_the_client_is_one(daemon: Daemon) -> None:
    """Output into a pipe stays exact, beside a terminal on stderr."""
    script = "test -t 2 && ! test -t 1 && ! test -t 0 && echo out && echo err >&2"
    tty = {**TERMINAL, "stdin": False, "stdout": False}
    with Talk(daemon, script, ALL, tty=tty) as talk:
        assert talk.result["exit_code"] == 0
    assert talk.output == {"stdout": b"out\n", "stderr": b"err\n"}, "the client makes line ends"


def test_keys_are_typed_into_the_terminal(daemon: Daemon) -> None:
    """It echoes, turns ^C into a signal and ^D into the end of the file."""
    script = "trap 'echo caught' INT; cat; echo $?; cat; echo end"
    with Talk(daemon, script, ALL, tty=TERMINAL) as talk:
        talk.start()
        talk.type(b"x\n")
        talk.until(b"x\r\nx\r\n")
        talk.type(b"a\x03")
        talk.until(b"caught\r\n130\r\n")
        talk.type(b"b\n")
        talk.until(b"b\r\nb\r\n")
        talk.say("stdin", eof=True)
        assert talk.result["exit_code"] == 0
    assert talk.output["stdout"].endswith(b"end\r\n")


def test_the_terminal_follows_the_clients_size(daemon: Daemon) -> None:
    """A resize is a SIGWINCH to whoever is in the foreground."""
    script = "trap 'stty size; exit' WINCH; echo up; while :; do sleep 0.01; done"
    with Talk(daemon, script, ALL, tty=TERMINAL) as talk:
        talk.start()
        talk.until(b"up")
        talk.say("resize", rows=50, cols=120)
        assert talk.result["exit_code"] == 0
    assert talk.output["stdout"] == b"up\r\n50 120\r\n"


def test_the_last_words_on_a_terminal_are_not_lost(daemon: Daemon) -> None:
    """Also where much is written at once before the end."""
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done"
    with Talk(daemon, script, ALL, tty=TERMINAL) as talk:
        assert talk.result["exit_code"] == 0
    assert talk.output["stdout"].count(b"\r\n") == 2000


def test_a_process_left_on_the_terminal_does_not_hold_up_the_answer(daemon: Daemon) -> None:
    """What the tool leaves behind is ended, not waited for."""
    script = "trap '' HUP; sleep 600 & echo done"
    with Talk(daemon, script, ALL, tty=TERMINAL) as talk:
        assert talk.result["exit_code"] == 0
    assert talk.output["stdout"] == b"done\r\n"


def test_a_client_that_does_not_read_is_heard(daemon: Daemon) -> None:
    """A signal arrives while the output has nowhere to go."""
    script = "trap 'exit 9' TERM; while :; do echo line; done"
    with Talk(daemon, script, ["signals"]) as talk:
        talk.start()
        talk.until(b"line")
        talk.say("signal", name="SIGTERM")
        assert talk.result["exit_code"] == 9


def test_a_broken_line_ends_the_command(daemon: Daemon) -> None:
    """What is no JSON is answered as a request would be."""
    with Talk(daemon, "exec sleep 600", ["signals"]) as talk:
        talk.start()
        talk._connection.sendall(b"nonsense\n")
        assert talk.error["code"] == -32700
