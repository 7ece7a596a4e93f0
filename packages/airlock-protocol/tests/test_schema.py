"""Schemas and documents that are made from the types."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from airlock_wire import (
    Line,
)
from airlock_wire.messages import PROTOCOL_VERSION
from documents.__main__ import main
from documents.reference import BEGIN, END, replace_section
from documents.schema import make_schema, render_document, render_schemas
from documents.shapes import list_shapes

PACKAGE = Path(__file__).resolve().parent.parent
PROTOCOL = PACKAGE.parent.parent / "PROTOCOL.md"
REQUEST = '{"jsonrpc":"2.0","id":1,"method":"exec","params":{"command":"a","args":[]}}'
COMMAND = (
    "it is stale; run in packages/airlock-protocol: python -m documents schemas ../../PROTOCOL.md"
)


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(render_schemas()[f"{name}.json"]))


def validate(name: str, line: Line | str) -> None:
    validator(name).validate(json.loads(line))


def test_the_schemas_are_those_of_the_types() -> None:
    """The files that others read are checked in as they would be made now."""
    files = {path.name: path.read_text() for path in (PACKAGE / "schemas").iterdir()}
    assert files == render_schemas(), COMMAND


def test_the_document_is_that_of_the_types() -> None:
    """PROTOCOL.md's generated section is up to date, and its version is ours."""
    document = PROTOCOL.read_text()
    assert render_document(document) == document, COMMAND
    assert f"Version {PROTOCOL_VERSION}." in document


@pytest.mark.parametrize(("letter", "count"), [("B", 48), ("F", 23)])
def test_statements_are_numbered_once_and_without_gap(letter: str, count: int) -> None:
    """A number names one statement, so that a check can name it."""
    lines = PROTOCOL.read_text().splitlines()
    numbers = [line[4:8] for line in lines if line.startswith(f"- **{letter}-")]
    assert numbers == [f"{letter}-{number:02}" for number in range(1, count + 1)]


def test_examples_in_the_text_keep_the_schemas() -> None:
    """A line that is copied out of the document is a message of the protocol."""
    text = PROTOCOL.read_text().partition(BEGIN)[0]
    lines = re.findall(r'\{"jsonrpc".*\}$', text, re.MULTILINE)
    messages = [json.loads(line) for line in lines]
    assert {name_shape(message) for message in messages} >= {
        *("request", "start", "stdin", "credit", "signal", "resize", "output"),
        *("exec-result", "error"),
    }
    for message in messages:
        is_wrong = message.get("params", {}).get("name") == "SIGSEGV"
        assert validator(name_shape(message)).is_valid(message) != is_wrong, message


def name_shape(message: dict[str, Any]) -> str:
    if message.get("method") in {"exec", "check"}:
        return "request"
    if "method" in message:
        return str(message["method"])
    return "error" if "error" in message else "exec-result"


def test_the_command_writes_both(tmp_path: Path) -> None:
    """The command that the failures name brings everything up to date."""
    document = tmp_path / "PROTOCOL.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    main([str(tmp_path / "schemas"), str(document)])
    written = {path.name: path.read_text() for path in (tmp_path / "schemas").iterdir()}
    assert written == render_schemas()
    assert "old" not in document.read_text()
    assert document.read_text().startswith("before\n")
    assert document.read_text().endswith("after\n")


@pytest.mark.parametrize("document", ["", BEGIN, END, END + BEGIN])
def test_a_document_without_both_markers_is_refused(document: str) -> None:
    """Nothing is written into a document that has no place for it."""
    with pytest.raises(ValueError, match="needs the lines"):
        replace_section(document, [])


@pytest.mark.parametrize("shape", list_shapes(), ids=lambda shape: shape.name)
def test_schemas_and_examples_are_sound(shape: Any) -> None:
    """Each schema is a schema, and each example keeps it."""
    jsonschema.Draft202012Validator.check_schema(make_schema(shape))
    for example in shape.examples:
        validate(shape.name, example)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("request", REQUEST.replace("1", "null")),
        ("request", REQUEST.replace("exec", "run")),
        ("request", REQUEST.replace("[]", "[1]")),
        ("output", '{"jsonrpc":"2.0","method":"output","params":{"stream":"out","data":""}}'),
        (
            "output",
            '{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","encoding":"x","data":""}}',
        ),
        (
            "request",
            REQUEST.replace("}}", ',"env":{"A=":"x"}}}'),
        ),
        (
            "request",
            REQUEST.replace("}}", ',"tty":{"stdin":true,"stdout":true,"stderr":true,"rows":1}}}'),
        ),
        ("start", '{"jsonrpc":"2.0","method":"start","params":{"stdin_credit":1}}'),
        ("start", '{"jsonrpc":"2.0","method":"start","params":{"features":[],"stdin_credit":0}}'),
        ("credit", '{"jsonrpc":"2.0","method":"credit","params":{"bytes":0}}'),
        ("stdin", '{"jsonrpc":"2.0","method":"stdin","params":{}}'),
        ("stdin", '{"jsonrpc":"2.0","method":"stdin","params":{"data":5}}'),
        ("signal", '{"jsonrpc":"2.0","method":"signal","params":{"name":"SIGKILL"}}'),
        ("resize", '{"jsonrpc":"2.0","method":"resize","params":{"rows":1,"cols":65536}}'),
        ("exec-result", '{"jsonrpc":"2.0","id":1,"result":{"exit_code":0,"stdin_bytes":-1}}'),
        ("exec-result", '{"jsonrpc":"2.0","id":null,"result":{"exit_code":0}}'),
        ("check-result", '{"jsonrpc":"2.0","id":1,"result":{"decision":"denied"}}'),
        ("error", '{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"x"}}'),
        ("error", '{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"x","data":{}}}'),
    ],
)
def test_schemas_refuse_what_is_not_sent(name: str, line: str) -> None:
    """A schema that accepts anything would prove nothing."""
    assert not validator(name).is_valid(json.loads(line))
