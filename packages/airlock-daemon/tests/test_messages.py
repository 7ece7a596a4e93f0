"""Rules of messages that mypy cannot check: valid remedies, also in logs and programs.

That each error has a remedy is in its type (`airlock_daemon.errors`, `airlock_modules.Fault`).
"""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("airlock_daemon", "airlock_modules", "airlock_shim", "airlock_wire")
NATIVE = Path(__file__).parents[1] / "native"

REFUSALS = {"Denied", "UnknownCommand", "denied", "unknown_command"}
CLIENTS = REFUSALS | {"Failed", "Unmapped", "failed"}
"""Errors sent to clients, which cannot know when the daemon reads an edited file."""

WHOLE = {"BinaryError", "LinkError", "error", "exception", "warning"}
"""Messages of one text, in which the remedy follows a semicolon."""

NOTHING_TO_DO = {
    "%s": "hands on the text of another message, which has one",
    "warning: %s": "hands on the text of another message, which has one",
    "not reloaded: the daemon goes on with what it had": "faults with their remedies follow",
    "SIGHUP: not reloaded, since the daemon is stopping": "tells what happens",
    "there is no shim for the processor {}, only for {}": "names what there is",
}

WAYS_ROUND = re.compile(r"\b(instead|spell\w*|rewrite|rephrase|try|use --?\w+)\b")
EDITS = re.compile(r"\[\w+\] \w|\.toml")
TAKES_EFFECT = re.compile("reload|restart|RELOAD|_THEN")


def list_calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield each call in the packages, with the name of the called function."""
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        for folder in spec.submodule_search_locations or ():
            for path in Path(folder).rglob("*.py"):
                yield from find_calls(path.read_text("utf-8"))


def find_calls(code: str) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "attr", getattr(node.func, "id", "")), node


def show(value: ast.expr) -> str:
    """Return the text of an expression; run-time values become {}, constants their name."""
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.FormattedValue(value=ast.Name(id=name)) | ast.Name(id=name) if name.isupper():
            return f"{{{name}}}"
        case ast.JoinedStr(values=parts):
            return "".join(map(show, parts))
        case ast.IfExp(body=one, orelse=other):
            return f"{show(one)}{show(other)}"
        case ast.BinOp(left=one, right=other):
            return show(one) + show(other)
    return "{}"


def find_faults(name: str, call: ast.Call) -> Iterator[str]:
    """Yield the faults of a call's message."""
    hint = next((each.value for each in call.keywords if each.arg in ("hint", "remedy")), None)
    if hint is not None and name != "__init__":
        text = show(hint)
        if not text:
            yield "has no remedy"
        if re.match(r"[A-Z][a-z]", text) or re.search(r"[^.]\.$|\s$", text):
            yield "begins with a capital, or ends with a period or blank"
        if name in REFUSALS and WAYS_ROUND.search(text):
            yield "invites another spelling"
        if name in CLIENTS and EDITS.search(text) and not TAKES_EFFECT.search(text):
            yield "does not say when an edit of a file takes effect"
    elif name in CLIENTS and isinstance(call.func, ast.Attribute):
        yield "has no remedy"
    if name in WHOLE and call.args:
        text = show(call.args[0])
        if text != "{}" and "; " not in text and text not in NOTHING_TO_DO:
            yield "has no remedy"


def test_messages_say_what_to_do() -> None:
    """A remedy has words, does not help to evade a rule, and says when an edit takes effect."""
    calls = list(list_calls())
    found = [
        f"{fault}: {ast.unparse(call)}" for name, call in calls for fault in find_faults(name, call)
    ]
    assert not found, "\n".join(found)
    said = {show(call.args[0]) for name, call in calls if name in WHOLE and call.args}
    assert NOTHING_TO_DO.keys() <= said, "these have a remedy, or are gone"


def test_the_launcher_says_what_to_do() -> None:
    """The native launcher has no types that require it."""
    sources = "".join(path.read_text("utf-8") for path in NATIVE.glob("*.zig"))
    complaints = re.findall(r"complain\(&\.\{(.*?)\}\);", sources, re.DOTALL)
    assert complaints
    assert [each for each in complaints if "; " not in each] == []


@pytest.mark.parametrize(
    "code",
    [
        "Denied('no', layer='module', rule='x', hint='')",
        "Denied('no', layer='module', rule='x', hint='try another flag')",
        "Failed('odd', hint='write [log] path in config.toml')",
        "AirlockError('odd', hint='Mend it.')",
        "ErrorObject.failed('odd')",
        "log.error('it is odd')",
        "LinkError(f'{path} is odd')",
    ],
)
def test_a_message_without_a_way_out_is_found(code: str) -> None:
    """Each rule can fail."""
    assert [fault for name, call in find_calls(code) for fault in find_faults(name, call)]
