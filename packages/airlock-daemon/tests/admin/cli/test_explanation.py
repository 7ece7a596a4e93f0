"""What `airlock test --json` says of a decision."""

import json

from airlock_daemon.admin.cli.test import dump_decision
from airlock_modules import Decision, Grant, evaluate, parse_module

MODULE = """
[command]
bin = "git"
[syntax]
subcommands = 1
flags = ["-f --force", "-o --push-option VALUE"]
[deny]
args = [{ rule = "push & --force", reason = "it loses the work of others" }]
[sandbox]
box = "closed"
"""


def ask(command: str, *args: str) -> Decision:
    """What is decided where git alone is granted."""
    module = parse_module(MODULE, name="git", source="test")
    return evaluate(Grant(ceiling=("git",), modules={"git": module}), command, args)


def test_the_reading_and_the_reason_are_given() -> None:
    """What the arguments mean to the tool, which rule decided, and why that is there."""
    found = dump_decision(ask("git", "push", "-f"))
    assert found["decision"]["rule"] == "push & --force"
    assert found["decision"]["steps"][-1]["verdict"] == "refused"
    assert found["reason"] == "it loses the work of others"
    assert found["arguments"]["flags"][0]["names"] == ["-f", "--force"]


def test_without_a_module_nothing_is_read() -> None:
    """Nobody knows how the arguments of an unknown command are read."""
    found = dump_decision(ask("make", "-j"))
    assert (found["arguments"], found["reason"]) == (None, None)


def test_bytes_that_are_no_text_are_shown_as_on_the_wire() -> None:
    """The dump is JSON whatever the arguments are."""
    found = dump_decision(ask("git", "push", "-o", "\udcff"))
    assert {"base64": "/w=="} in found["arguments"]["flags"][0]["values"]
    json.dumps(found).encode()
