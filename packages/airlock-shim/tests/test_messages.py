"""Every message of the shim, as it stands in its sources, with what to do about it."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "native"
LIST = Path(__file__).with_name("messages.txt")

# A string, or some that are joined, possibly with constants between.
_TEXT = r'"(?:[^"\\]|\\.)*"(?:\s*\+\+\s*(?:"(?:[^"\\]|\\.)*"|\w+))*'
_SAID = re.compile(r"\b(?:report\(&\.\{(.*?)\}\);|advise\((.*?)\);)", re.DOTALL)
_PART = re.compile(r"\.(?:plain|shown) = (.*?) \}", re.DOTALL)
# A constant, and what is chosen among, by the name of a case.
_NAMED = re.compile(rf"^(?:const| +)\s*(\.?\w+) =>? ({_TEXT})[,;]", re.MULTILINE)
_UNSAID = re.compile(r'^ *//[^\n]*|^test ".*?^}$', re.MULTILINE | re.DOTALL)

NO_REMEDY = {
    "cannot write the command's output to {stream}: {describe}": "the reason is all that is known",
    "--install needs a directory and at least one name": "--help follows, as for all wrong usage",
}


def _find() -> Iterator[str]:
    """Each message with the hint that follows it, then constants and choices of a hint."""
    for path in sorted(SOURCES.glob("*.zig")):
        code = _UNSAID.sub("", path.read_text())
        if 'import("diagnostics.zig")' not in code:
            continue
        for match in _SAID.finditer(code):
            report, advice = match.groups()
            said = "".join(map(_show, _PART.findall(f"{report or advice} }}")))
            yield f"{path.name}: {said}" if report else f"    > {said}"
        yield from (f"    {name} > {_show(text)}" for name, text in _NAMED.findall(code))


def _show(part: str) -> str:
    """A part of a message; what is only known when it runs is its name in braces."""
    if re.fullmatch(_TEXT, part):
        pieces = re.findall(r'"((?:[^"\\]|\\.)*)"|(\w+)', part)
        return "".join(text or (f"{{{name}}}" if name else "") for text, name in pieces)
    if part.startswith("if "):
        return "{reason}"
    return f"{{{re.findall(r'[a-z_]+', part.partition('(')[0])[-1]}}}"


def test_every_message_is_listed() -> None:
    """A reviewer reads what a person will."""
    assert LIST.read_text().splitlines() == list(_find()), (
        "messages were added, changed or removed: python packages/airlock-shim/tests/"
        "test_messages.py lists them anew in messages.txt, for a reviewer to read"
    )


def test_every_message_says_what_to_do() -> None:
    """A hint follows it, but where that would be guessing."""
    lines = [*_find(), ""]
    without = {
        line.partition(": ")[2]
        for line, following in pairwise(lines)
        if not line.startswith(" ") and not following.startswith("    >")
    }
    assert without == NO_REMEDY.keys()


def test_messages_begin_and_end_alike() -> None:
    """They stand behind "airlock: ": no capital but that of a sentence inside, no period."""
    for line in _find():
        text = line.partition("> ")[2] or line.partition(": ")[2]
        assert not text[:1].isupper(), text
        assert not text.endswith((".", " ")), text


if __name__ == "__main__":
    LIST.write_text("\n".join([*_find(), ""]))
