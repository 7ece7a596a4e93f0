"""What a message must have: a cause, a place where it is about a file, and the way out."""

import re
import tomllib
from pathlib import Path

import pytest

from catalogue.messages import (
    CATALOGUE,
    Message,
    find_in,
    find_messages,
    has_words,
    write_catalogue,
)

RENEW = (
    "messages were added, changed or removed. Look at them, run in packages/airlock-daemon/tests: "
    "python -m catalogue, and commit messages.txt, so that a reviewer reads them too"
)

EXCEPTIONS = tomllib.loads(Path(__file__).with_name("without_remedy.toml").read_text("utf-8"))

REFUSALS = {"Denied", "Decision", "UnknownCommand"}
"""What refuses a request. Its remedy is one that a person decides on, no way round the rule."""

WHOLE = {"BinaryError", "LinkError", "launcher", "line", "log", "say"}
"""What is one text, and says what to do behind a semicolon, or in a line of its own."""

PROSE = {"line", "text"}
"""What is no message but a part of one, or tells a person what was asked for."""

WAYS_ROUND = re.compile(r"\b(instead|spell\w*|rewrite|rephrase|try|use --?\w+)\b")


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return find_messages()


def refuse(found: list[Message], rule: str) -> None:
    assert not found, f"{rule}:\n{write_catalogue(found)}"


def lacks_remedy(message: Message) -> bool:
    """Whether it says what was wrong and not what to do."""
    if message.kind == "line" and not re.match("(airlock|fault|warning): ", message.cause):
        return False
    is_told = message.kind in WHOLE and re.search("; |hint: ", message.cause)
    return not message.remedy and not is_told


def test_the_catalogue_lists_every_message(messages: list[Message]) -> None:
    """What a person can meet is listed for a person to read, word for word."""
    assert CATALOGUE.read_text(encoding="utf-8") == write_catalogue(messages), RENEW


def test_each_message_says_what_was_wrong(messages: list[Message]) -> None:
    """A cause has words of its own, or those of the error that it hands on."""
    found = [each for each in messages if not has_words(each.cause)]
    refuse([each for each in found if not each.remedy], "without a cause")


def test_messages_begin_and_end_alike(messages: list[Message]) -> None:
    """They can follow "airlock: " and stand before a hint: no capital, no period, no prefix."""
    for message in (each for each in messages if each.kind not in PROSE):
        for text in (message.cause, message.remedy):
            assert not re.match(r"[A-Z][a-z]", text), f"begins with a capital: {message}"
            assert not re.search(r"[^.]\.$|\s$", text), f"ends with a period or space: {message}"
            assert "airlock: " not in text, f"what prints it says that already: {message}"


def test_a_line_on_stdout_is_a_sentence_or_none(messages: list[Message]) -> None:
    """With a capital it ends as one does, with a period it begins as one does."""
    for text in (each.cause.removeprefix("# ") for each in messages if each.kind == "line"):
        is_begun, is_ended = re.match(r"[A-Z][a-z]", text), re.search(r"[^.]\.$", text)
        assert bool(is_begun) == bool(is_ended) or text.endswith(":"), text


def test_each_message_says_what_to_do(messages: list[Message]) -> None:
    """There is a remedy, or a reason in without_remedy.toml why there is none."""
    without_any = [each for each in messages if lacks_remedy(each)]
    found = [each for each in without_any if each.kind not in EXCEPTIONS["kinds"]]
    lacking = {each.cause for each in found}
    excused = {cause for causes in EXCEPTIONS["messages"].values() for cause in causes}
    refuse([each for each in found if each.cause not in excused], "without a remedy")
    assert excused <= lacking, f"these have one, or are gone: {sorted(excused - lacking)}"
    without = {each.kind for each in without_any}
    assert EXCEPTIONS["kinds"].keys() <= without, "a kind needs no exception any more"


def test_each_fault_of_a_file_names_its_place(messages: list[Message]) -> None:
    """A fault or remark about a file begins with the file."""
    about_files = [each for each in messages if each.kind in {"Fault", "Finding", "Remark"}]
    refuse([each for each in about_files if not each.place], "without a place")


def test_each_refusal_names_what_refused(messages: list[Message]) -> None:
    """A denial has its layer and, where one decided, its rule."""
    denials = [each for each in messages if each.kind == "Denied"]
    refuse([each for each in denials if "/" not in each.place], "without layer and rule")


def test_advice_to_edit_a_file_says_when_it_takes_effect(messages: list[Message]) -> None:
    """Who follows the hint of a running daemon is not left to wonder why nothing changes."""
    told = [each for each in messages if each.kind in REFUSALS | {"Failed", "Unmapped"}]
    edits = [each for each in told if re.search(r"\[\w+\] \w|\.toml", each.remedy)]
    assert edits
    refuse([each for each in edits if not re.search("reload|restart", each.remedy)], "no reload")


def test_no_refusal_invites_another_spelling(messages: list[Message]) -> None:
    """Its remedy sends nobody round the rule."""
    refusals = [each for each in messages if each.kind in REFUSALS]
    refuse([each for each in refusals if WAYS_ROUND.search(each.remedy)], "a way round the rule")


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("raise AirlockError('it is odd', hint='mend it')", "AirlockError it is odd"),
        ("class Odd(Exception): pass\nraise Odd('it is odd')", "Odd it is odd"),
        ("faults.append(Fault(file, 'key', 'is odd', 'mend it'))", "Fault [{file}/key] is odd"),
        ("log.info('it is %s; mend it', how)", "log it is {how}; mend it"),
        ("typer.echo(f'it is {how}')", "line it is {how}"),
        ("def tell() -> Iterator[str]:\n    yield f'it is {how}'", "line it is {how}"),
        (
            "def tell() -> Iterator[str]:\n    yield from (f'{a} is odd' for a in b)",
            "line {a} is odd",
        ),
        ("Step('rules', 'passed', 'it is odd')", "Step [rules/passed] it is odd"),
        ("raise LinkError(tuple([f'{a} is odd' for a in b]))", "LinkError {a} is odd"),
        ("client.whisper(f'it is {how}')", "text it is {how}"),
        ("say(f'{a} failed ({b})')\nclient.whisper(f'{who} failed')", "text {who} failed"),
        ("ODD = {1: 'it is odd'}", "text it is odd"),
    ],
)
def test_a_new_message_of_any_form_is_listed(code: str, line: str) -> None:
    """Wherever somebody writes a text for a person, the catalogue has it."""
    assert f"  {line}" in write_catalogue(find_in({"new": code}))


def test_a_new_error_must_say_what_to_do() -> None:
    """Also one of a class that nobody has told the catalogue of."""
    (message,) = find_in({"new": "class Odd(TypeError): pass\nreturn Odd('it is odd')"})
    assert lacks_remedy(message)
    assert message.kind not in EXCEPTIONS["kinds"]
