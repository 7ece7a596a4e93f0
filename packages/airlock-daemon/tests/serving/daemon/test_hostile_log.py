"""A hostile client that controls command, args, cwd, env and container, against the log's readers.

It wants to forge a line, to drive the terminal of whoever reads it, to make two records look like
one, or to hide one.
"""

import base64
import json
import re
import unicodedata

from commanding import run
from logs import FULL, verify
from running import Daemon, Message, connect_to, read_answer, request
from worlds import World

NOW = "2026-01-01T00:00:00.000Z"

FORGED = json.dumps(
    {"ts": NOW, "seq": 1, "event": "exec", "profile": "my", "outcome": "allowed", "prev": None}
)

TEXTS = {
    "newline": f"x\n{NOW}  my  allowed  exit 0  git push",
    "forged record": f'"]}}\n{FORGED}\n{{"args":["',
    "carriage return": "secret\rharmless",
    "clear screen": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;ZWNobyBvd25lZA==\x07",
    "link": "\x1b]8;;http://example.com\x1b\\click\x1b]8;;\x1b\\",
    "C1": "\x9b2J\x9d0;owned\x9c\x90q\x9c",
    "cursor up and erase": "\x1b[1A\x1b[2K",
    "backspaces": "denied\b\b\b\b\b\ballowed",
    "bidi": "\u202eyks\u202c \u2066x\u2069 \u200f",
    "invisible": "git\u200bpush\ufeff\u2060\u00ad",
    "line separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "tags": "\U000e0041\U000e0042",
    "fillers": "\u3164\u115f\u2800",
    "combining": "e" + "\u0301" * 300,
    "not UTF-8": "\udcff\udc9b2J",
    "spaces": "  my   allowed  exit 0  ",
    "wide spaces": "a\u3000\u2003\u00a0b",
    "like ours": '[rule "x"] ... (3 more arguments) [900 of this kind]',
    "like an object": '{"more":3,"sha256":"0"}',
    "quotes": '" allowed "',
    "backslashes": "\\u001b[2J \\n \\",
    "long": "A" * 100_000,
    "empty": "",
    "option": "--json",
    "tabs": "my\tgit\t999\t999",
    "markup": "[red]x[/red] [link=x]",
    "percent": "%s%n%(message)s",
}


def encode(text: str) -> object:
    """A text as the wire has it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return {"base64": base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()}
    return text


def attack(daemon: Daemon, text: str) -> int:
    """Send the text in each place of a request; returns how many requests that were."""
    value = encode(text)
    params: list[Message] = [
        {"command": "sh", "args": ["-c", "exit 0", value]},
        {"command": "sh", "args": [value, value]},
        {"command": "git", "args": [value], "cwd": value},
        {"command": "sh", "args": ["-c", ":"], "container_id": value},
        {"command": "sh", "args": ["-c", ":"], "features": ["env"], "env": {text[:99]: value}},
    ]
    if isinstance(value, str):
        params.append({"command": value, "args": []})
    for each in params:
        for method in ("exec", "check"):
            message = {"jsonrpc": "2.0", "id": text[:50], "method": method, "params": each}
            with daemon.connect() as connection:
                connection.sendall(json.dumps(message).encode() + b"\n")
                assert read_answer(connection).messages
    return 2 * len(params)


def test_no_text_of_a_client_deceives_who_reads_the_log(world: World) -> None:
    """Each request is one line of each reader, with nothing in it that is not shown."""
    with Daemon(world) as daemon:
        count = sum(attack(daemon, text) for text in TEXTS.values())
        assert daemon.stop() == 0
    shown = run(world, "log", "tail", "-n", "1000").stdout
    records = run(world, "--json", "log", "tail", "-n", "1000").stdout
    counted = run(world, "log", "stats").stdout
    for output in (world.log.read_text(), shown, records, counted):
        hidden = {char for char in output if is_dangerous(char)}
        assert not hidden, hidden
    lines = shown.splitlines()
    # With the daemon's start and its stop.
    assert len(lines) == len(records.splitlines()) == count + 2
    outcome = r"(allowed|denied |failed |aborted|invalid)"
    for line in lines[1:-1]:
        assert re.match(rf"\d{{4}}-\S{{18}}Z  my {{6}}  {outcome}  ", line), line
    assert f"requests: {count} (" in counted
    report = json.loads(run(world, "log", "stats", "--json").stdout)
    assert report["requests"] == count
    assert {row["agent"] for row in report["commands"]} == {"my"}
    assert (report["running"], report["cut_off"], report["no_records"]) == (0, 0, 0)
    verified = verify(world.log)
    assert verified.is_whole
    assert verified.notes == ()


NUMBERS = ("1e308", "1e400", "-0.0", "1e-400", "9" * 300, "9" * 4000, "NaN", "0x1")
VALUES = ("null", "true", "[1]", '{"a":1}', '"\\ud800"', '"\\u0000"')
ODD = (
    *(f'"id":{value}' for value in (*NUMBERS, *VALUES)),
    '"id":1,"id":"\\u001b[2J"',
    '"id":1,"more":' + "[" * 900 + "]" * 900,
    '"id":1,"ts":"x","seq":9,"event":"daemon-start","prev":null',
    '"id":"' + "\\u202e" * 5000 + '"',
)


def test_no_request_makes_a_record_that_is_none(world: World) -> None:
    """Numbers beyond all bounds, halves of characters, members of a record: each is recorded."""
    with Daemon(world) as daemon:
        for odd in ODD:
            params = '"params":{"command":"sh","args":["-c","exit 0"]}'
            with daemon.connect() as connection:
                connection.sendall(f'{{"jsonrpc":"2.0",{odd},"method":"exec",{params}}}\n'.encode())
                assert read_answer(connection).messages
        daemon.stop()
    report = json.loads(run(world, "log", "stats", "--json").stdout)
    assert (report["requests"], report["no_records"], report["cut_off"]) == (len(ODD), 0, 0)
    lines = run(world, "--json", "log", "tail", "-n", "100").stdout.splitlines()
    assert len(lines) == len(ODD) + 2
    assert all(json.loads(line)["profile"] == "my" for line in lines[1:-1])
    assert verify(world.log).notes == ()


def is_dangerous(char: str) -> bool:
    return char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co")


def test_a_table_of_counts_cannot_be_forged(world: World) -> None:
    """A name with tabs is one cell."""
    with Daemon(world) as daemon:
        daemon.ask("git\t999\t999\t0\t0\t0\t0\t1\t1")
        daemon.ask("(other names)")
        daemon.stop()
    rows = [
        line.split("\t")
        for line in run(world, "log", "stats").stdout.splitlines()
        if line.startswith("my\t")
    ]
    assert {len(row) for row in rows} == {10}
    assert sum(int(row[2]) for row in rows) == 2
    assert all(row[1].startswith('"') for row in rows)


def test_refusals_push_no_record_of_another_agent_out(world: World) -> None:
    """However many there are: those that an agent has no room for are counted."""
    world.write_config("max_size_mb = 1\nmax_files = 1\n[limits]\nrefusals_per_s = 1000\n")
    world.add_agent("other")
    with Daemon(world) as daemon:
        with connect_to(world.socket.replace("/my/", "/other/")) as connection:
            connection.sendall(request("sh", "-c", "exit 42"))
            assert read_answer(connection).exit_code == 42
        for _ in range(500):
            assert daemon.ask("sudo", *FULL, cwd="/" + "x" * 440).error["code"] == -32601
        daemon.stop()
        first, *refusals = daemon.records()
    assert (first["profile"], first["exit_code"]) == ("other", 42)
    assert {record["profile"] for record in refusals} == {"my"}
    assert sum(record["count"] or 1 for record in refusals) == 500


def test_no_request_is_hidden_by_what_stands_around_it(world: World) -> None:
    """Requests of the largest size, of no sense, and cut off, before and after one that matters."""
    noise = (
        b"\x00" * 500 + b"\n",
        b"[" * 2000 + b"\n",
        b'{"jsonrpc"',
        request("sh", *["x"] * 9000),
    )
    with Daemon(world) as daemon:
        for _ in range(2):
            for line in noise:
                with daemon.connect() as connection:
                    connection.sendall(line)
                    connection.shutdown(1)
                    read_answer(connection)
            daemon.shell("exit 42")
        daemon.stop()
    shown = run(world, "log", "tail", "-n", "100", "--command", "sh").stdout
    assert shown.count("exit 42") == 4
    assert run(world, "log", "tail", "-n", "100").stdout.count("\n") == 2 + 2 * (len(noise) + 1)
    assert verify(world.log).is_whole
