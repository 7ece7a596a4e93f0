"""Tests of `airlock_daemon.cli.explanation`: why a request is allowed or refused."""

import json

import pytest

from airlock_daemon.cli import explanation
from airlock_daemon.cli.explanation import explain
from airlock_modules import Grant, parse_module

MODULE = """
[command]
bin = "git"
[syntax]
subcommands = 1
abbreviations = true
flags = ["-f --force", "-o --push-option VALUE", "-C CHDIR"]
[deny]
args = ["push & --force", "-o=bad*", "gc"]
"""
SECURITY = """
| rules | reason |
|---|---|
| `push & --force` | Loses the work of others. |
| `-o=bad*` | Bad options. |
"""


@pytest.fixture(autouse=True)
def _security(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanation, "builtin_security", {"git": SECURITY}.__getitem__)


def grant(text: str = MODULE) -> Grant:
    """A grant of git with this module."""
    return Grant(ceiling=("git",), modules={"git": parse_module(text, name="git", source="test")})


def test_the_reading_and_the_reason_are_given() -> None:
    """What the arguments mean to the tool, and why the rule that matched is there."""
    found = explain(grant(), "git", ["-C", "sub", "push", "--forc"])
    assert found.decision.rule == "push & --force"
    assert found.reason == "Loses the work of others."
    shown = "\n".join(found.describe())
    assert 'subcommand "push"' in shown
    assert '"--forc"' in shown
    assert "--force" in shown
    assert 'path "sub"' in shown


def test_what_is_allowed_has_no_reason() -> None:
    """A reason is given for a refusal alone."""
    found = explain(grant(), "git", ["push"])
    assert found.decision.allowed
    assert found.reason is None


def test_a_rule_that_the_text_does_not_have_has_no_reason() -> None:
    """Nothing is made up for it."""
    found = explain(grant(), "git", ["gc"])
    assert found.decision.rule == "gc"
    assert found.reason is None


def test_without_a_module_nothing_is_read() -> None:
    """Nobody knows how the arguments of an unknown command are read."""
    found = explain(grant(), "make", ["-j"])
    assert found.describe() == ()
    assert found.dump()["arguments"] is None


def test_a_module_without_a_table_shows_the_plain_reading() -> None:
    """Flags, words, and words that may be values, each with the number of its argument."""
    text = '[command]\nbin = "x"\n[deny]\nargs = ["push & --force"]\n'
    found = explain(grant(text), "git", ["push", "-fx", "--force", "y", "--a=b"])
    assert found.describe() == (
        'word "push" in argument 1',
        'flag "-f" with "x" in argument 2',
        'flag "--force" in argument 3',
        'word, or value of the flag before, "y" in argument 4',
        'flag "--a" with "b" in argument 5',
    )
    assert found.reason == "Loses the work of others."


def test_bytes_that_are_no_text_are_shown_as_on_the_wire() -> None:
    """The dump is JSON whatever the arguments are."""
    found = explain(grant(), "git", ["push", "-o", "\udcff"])
    assert {"base64": "/w=="} in found.dump()["arguments"]["flags"][0]["values"]
    json.dumps(found.dump()).encode()


@pytest.mark.parametrize(
    ("row", "args"),
    [
        ("`push --force`", ["push", "-f"]),
        ("`-f`", ["push", "--force"]),
        ("`-o ci.skip`", ["push", "-oci.skip=1"]),
        ("`command`", ["gc"]),
        ("`gc`", ["gc"]),
        ("`unknown-flag`", ["push", "--frobnicate"]),
    ],
)
def test_what_is_not_listed_is_looked_up_by_all_its_names(
    monkeypatch: pytest.MonkeyPatch, row: str, args: list[str]
) -> None:
    """Where a module lists what it allows, the text may name what it does not in several ways."""
    text = f"| option | reason |\n|---|---|\n| {row} | This. |\n"
    monkeypatch.setattr(explanation, "builtin_security", {"git": text}.__getitem__)
    allowing = MODULE[: MODULE.index("[deny]")] + '[allow.commands]\npush = []\nfetch = ["*"]\n'
    assert explain(grant(allowing), "git", args).reason == "This."
