"""Tests of `airlock_daemon.admin.log.items`: readable, aligned, and never what it is not."""

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_daemon.admin.log.items import (
    Lines,
    Wanted,
    find_recent,
    open_log,
    show_word,
    to_object,
)
from airlock_daemon.boundary.audit_text import shorten, shorten_all
from airlock_modules.operation import LINE, MAX_WORD
from logs import recent, write


def lines_of(path: Path, *records: dict[str, Any]) -> list[str]:
    """How these records are shown, without their time."""
    write(path, *records)
    lines = Lines(is_coloured=False)
    return [lines.format(item)[24:].strip() for item in recent(path)]


def test_a_request_is_a_line_that_a_person_can_read(tmp_path: Path) -> None:
    """Agent, outcome, exit status or what refused, duration, words, and why."""
    git = {"command": "git", "args": ["push", "origin main"]}
    assert lines_of(
        tmp_path / "log",
        {"event": "daemon-start", "profile": None, "detail": "0.4.0"},
        {**git, "outcome": "allowed", "exit_code": 0, "duration_ms": 31.4},
        {**git, "outcome": "allowed", "signal": "SIGKILL", "exit_code": 137, "duration_ms": 12345},
        {**git, "outcome": "denied", "layer": "module", "rule": "push & --force"},
        {**git, "outcome": "aborted", "reason": "the client hung up", "duration_ms": 1},
        {**git, "event": "check", "outcome": "allowed"},
        {"event": "invalid", "outcome": "denied", "layer": "limit", "rule": "queued", "count": 7},
        {**git, "event": "exec-start"},
    ) == [
        "-         -        daemon-start            [0.4.0]",
        'my        allowed  exit 0           31 ms  git push "origin main"',
        'my        allowed  SIGKILL         12.3 s  git push "origin main"',
        'my        denied   module                  git push "origin main" [rule "push & --force"]',
        'my        aborted  -                 1 ms  git push "origin main" ["the client hung up"]',
        'my        allowed  check                   git push "origin main"',
        "my        denied   limit                   [rule queued] [7 of this kind]",
        'my        running  -                       git push "origin main"',
    ]


def test_what_a_broker_did_reads_as_its_operation(tmp_path: Path) -> None:
    """With what refused it; also in a log that somebody else has written."""
    push = "git push github.com/acme/app refs/heads/x 1111111..2222222"
    broker = {"event": "broker", "outcome": "allowed"}
    api = {"operation": "gh POST /repos/acme/app/pulls", "service": "https", "status": 201}
    shown = lines_of(
        tmp_path / "log",
        {**broker, "detail": {"operation": push, "service": "git-receive-pack"}},
        {**broker, "detail": {"operation": "ssh host", "unpinned": True}},
        {**broker, "detail": api, "duration_ms": 31.4},
        {**broker, "detail": api, "outcome": "denied", "layer": "broker", "rule": "api.deny"},
        {**broker, "detail": {"operation": "connect"}, "outcome": "failed", "reason": "no answer"},
        {**broker, "detail": {"operation": "a\x1b[2J"}},
        {**broker, "detail": {"operation": "a \u05d0"}},
        {**broker, "detail": {"operation": {"begins": "a b", "bytes": 900, "sha256": "0"}}},
        {**broker, "detail": ["\x1b"]},
    )
    assert [" ".join(line.split()) for line in shown] == [
        f"my allowed broker {push}",
        "my allowed broker ssh host [unpinned]",
        "my allowed status 201 31 ms gh POST /repos/acme/app/pulls",
        "my denied broker gh POST /repos/acme/app/pulls [rule api.deny]",
        'my failed broker connect ["no answer"]',
        r'my allowed broker "a\u{1b}[2J"',
        r'my allowed broker "a \u{5d0}"',
        'my allowed broker "a b"... (900 bytes)',
        r'my allowed broker ["[\"\\u001b\"]"]',
    ]


def test_what_ran_in_a_box_is_an_operation_too(tmp_path: Path) -> None:
    """A tool without a box, and a command that did not run, are shown by their words alone."""
    plan = {"command": "terraform", "args": ["apply", "my plan"], "outcome": "allowed"}
    boxed, unboxed, denied = lines_of(
        tmp_path / "log",
        {**plan, "sandbox": "bubblewrap"},
        {**plan, "sandbox": "off"},
        {**plan, "outcome": "denied", "layer": "module"},
    )
    assert boxed.endswith('  run terraform apply "my plan"')
    assert unboxed.endswith('  terraform apply "my plan"')
    assert denied.endswith('  terraform apply "my plan"')


def test_colours_are_around_our_own_words_only(tmp_path: Path) -> None:
    """The outcome's and the time's; what a client sent can end none of them."""
    path = tmp_path / "log"
    write(path, {"command": "\x1b[32mgit", "args": ["\x1b[0m"], "outcome": "denied"})
    (item,) = recent(path)
    line = Lines(is_coloured=True).format(item)
    assert re.fullmatch(
        r"\x1b\[2m[^\s\x1b]+\x1b\[0m  my {6}  \x1b\[31mdenied \x1b\[0m  - {19} "
        r'"\\u\{1b\}\[32mgit" "\\u\{1b\}\[0m"',
        line,
    )


@given(st.text(), st.text())
def test_no_text_breaks_its_line_or_drives_a_terminal(one: str, two: str) -> None:
    """Whatever it is, the word is one line of characters that are shown."""
    for word in (show_word(shorten(one)), *map(show_word, shorten_all([one, two]))):
        assert not any(
            unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in word
        )
        assert word
        # What is not in quotes is a plain word or a note of ours.
        assert word[0] == '"' or re.match(r"[A-Za-z0-9_@%+=:,./~^-]+$|\.\.\. \(", word)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("push", "push"),
        ("", '""'),
        ("a b", '"a b"'),
        ('"quoted"', '"\\"quoted\\""'),
        ("x\n2026-01-01T00:00:00.000Z  my  allowed", '"x\\n2026-01-01T00:00:00.000Z  my  allowed"'),
        ("\x9b2J\u202e\u200b", '"\\u{9b}2J\\u{202e}\\u{200b}"'),
        ("[rule x]", '"[rule x]"'),
        ("... (3 more arguments)", '"... (3 more arguments)"'),
        ({"base64": "/w=="}, '"\\xff"'),
        ({"base64": "?"}, '""'),
        ({"begins": "a b", "bytes": 5000, "sha256": "0"}, '"a b"... (5000 bytes)'),
        ({"more": 3, "sha256": "0"}, "... (3 more arguments)"),
        (None, '"null"'),
        ({"more": "x"}, '"{\\"more\\":\\"x\\"}"'),
    ],
)
def test_a_word_is_bare_only_where_it_is_plain(value: object, shown: str) -> None:
    """What is ours, such as brackets and dots, stands outside of quotes, and nothing else does."""
    assert show_word(value) == shown


def test_long_words_and_many_of_them_are_cut(tmp_path: Path) -> None:
    """With how much there is; a line stays a line."""
    (long, many) = lines_of(
        tmp_path / "log",
        {"command": "git", "args": ["x" * 1000]},
        {"command": "git", "args": ["a-word"] * 190},
    )
    assert long.endswith('x"... (1000 characters)')
    assert many.endswith(" more)")
    assert max(len(long), len(many)) < MAX_WORD + LINE


def test_columns_stand_below_each_other(tmp_path: Path) -> None:
    """Whatever a client sends; a longer name of an agent moves those behind it."""
    git = {"command": "git", "outcome": "allowed", "exit_code": 0, "duration_ms": 1}
    shown = lines_of(
        tmp_path / "log",
        {**git, "profile": "a-long-name-of-an-agent"},
        {**git, "command": "\x1b[9D" * 20},
        {**git, "exit_code": 255},
    )
    assert len({line.index("allowed") for line in shown}) == 1
    assert len({line.index("1 ms") for line in shown}) == 1


def test_json_is_the_record_on_one_line(tmp_path: Path) -> None:
    """As it is in the file, escaped; with a member more where its end is missing."""
    path = tmp_path / "log"
    write(path, {"args": ["\x9b\u202e\n"], "command": "git"}, {"event": "exec-start"})
    with path.open("ab") as file:
        file.write(b'{"ts":"x","event":"\xc2\x9b"}\n\x1b[2J\n')
    with open_log(str(path)) as files:
        items = find_recent(files, Wanted(), limit=10)
        whole, begun, raw, none = [to_object(item) for item in items]
    assert whole == path.read_bytes().splitlines()[0]
    assert json.loads(begun)["unfinished"] == "running"
    assert raw == b'{"ts":"x","event":"\\u009b"}'
    assert json.loads(none) == {"no_record": {"file": str(path), "line": 4, "text": "\x1b[2J"}}
    assert b"\x1b" not in none
