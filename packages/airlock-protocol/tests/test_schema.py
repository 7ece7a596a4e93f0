"""Schemas and documents that are made from the types."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire import ErrorObject, Request, ServerSession
from airlock_wire.messages import PROTOCOL_VERSION
from airlock_wire.reference import BEGIN, END, replace_section
from airlock_wire.schema import main, make_schema, render_document, render_schemas
from airlock_wire.shapes import list_shapes

PACKAGE = Path(__file__).resolve().parent.parent
PROTOCOL = PACKAGE.parent.parent / "PROTOCOL.md"
COMMAND = (
    "it is stale; run in packages/airlock-protocol: "
    "python -m airlock_wire.schema schemas ../../PROTOCOL.md"
)


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(render_schemas()[f"{name}.json"]))


def validate(name: str, line: bytes | str) -> None:
    validator(name).validate(json.loads(line))


def test_the_schemas_are_those_of_the_types() -> None:
    """The files that others read are checked in as they would be made now."""
    files = {path.name: path.read_text() for path in (PACKAGE / "schemas").iterdir()}
    assert files == render_schemas(), COMMAND


def test_the_document_is_that_of_the_types() -> None:
    """The section of PROTOCOL.md is as it would be made now, and its version is ours."""
    document = PROTOCOL.read_text()
    assert render_document(document) == document, COMMAND
    assert f"Version {PROTOCOL_VERSION}." in document


def test_statements_are_numbered_once_and_without_gap() -> None:
    """A number names one statement, so that a check can name it."""
    numbers = [line[4:8] for line in PROTOCOL.read_text().splitlines() if line.startswith("- **B-")]
    assert numbers == [f"B-{number:02}" for number in range(1, len(numbers) + 1)]


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


@given(
    args=st.lists(
        st.binary(max_size=5).map(lambda data: data.decode("utf-8", "surrogateescape")), max_size=3
    ),
    output=st.binary(min_size=1, max_size=9),
    code=st.integers(0, 255),
)
def test_what_sessions_send_keeps_the_schemas(args: list[str], output: bytes, code: int) -> None:
    """Every message of a run is one that the schemas describe."""
    request = Request(
        id="x", method="exec", command="git", args=tuple(a.replace("\0", "") for a in args)
    )
    validate("request", request.encode())
    session = ServerSession()
    session.receive_data(request.encode())
    session.next_event()
    lines = (session.send_output("stdout", output) + session.send_result(code)).splitlines()
    for line in lines[:-1]:
        validate("output", line)
    validate("exec-result", lines[-1])


def test_decisions_and_errors_keep_the_schemas() -> None:
    """So do the answers to `check`, and errors of each kind."""
    check = Request(id=1, method="check", command="git", args=())
    for not_consulted in ((), ("workspace",)):
        session = ServerSession()
        session.receive_data(check.encode())
        session.next_event()
        validate("check-result", session.send_decision(not_consulted=not_consulted))
    for error in (
        ErrorObject.parse_error("x", hint="y"),
        ErrorObject.invalid_request("x"),
        ErrorObject.denied("x", layer="limit", rule="arguments"),
        ErrorObject.unknown_command("x", hint="y"),
        ErrorObject.unknown_method("x"),
        ErrorObject.invalid_params("x", path="params.args[0]"),
        ErrorObject.failed("x"),
    ):
        validate("error", ServerSession().send_error(error))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "request",
            '{"jsonrpc":"2.0","id":null,"method":"exec","params":{"command":"a","args":[]}}',
        ),
        ("request", '{"jsonrpc":"2.0","id":1,"method":"run","params":{"command":"a","args":[]}}'),
        ("request", '{"jsonrpc":"2.0","id":1,"method":"exec","params":{"command":"a","args":[1]}}'),
        ("output", '{"jsonrpc":"2.0","method":"output","params":{"stream":"out","data":""}}'),
        ("exec-result", '{"jsonrpc":"2.0","id":null,"result":{"exit_code":0}}'),
        ("check-result", '{"jsonrpc":"2.0","id":1,"result":{"decision":"denied"}}'),
        ("error", '{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"x"}}'),
        ("error", '{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"x","data":{}}}'),
    ],
)
def test_schemas_refuse_what_is_not_sent(name: str, line: str) -> None:
    """A schema that accepts anything would prove nothing."""
    assert not validator(name).is_valid(json.loads(line))
