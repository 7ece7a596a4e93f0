"""Every message of the shim, as it stands in its sources, with what to do about it."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "native"

# A string, or some that are joined, possibly with constants between.
_TEXT = r'"(?:[^"\\]|\\.)*"(?:\s*\+\+\s*(?:"(?:[^"\\]|\\.)*"|\w+))*'
_SAID = re.compile(r"\b(?:report\(&\.\{(.*?)\}\);|advise\((.*?)\);)", re.DOTALL)
_PART = re.compile(r"\.(?:plain|shown) = (.*?) \}", re.DOTALL)
# A constant, and what is chosen among, by the name of a case.
_NAMED = re.compile(rf"^(?:const| +)\s*(\.?\w+) =>? ({_TEXT})[,;]", re.MULTILINE)
_HAS_WORDS = re.compile(r"(?:{\w+} ?)?[a-z][a-z/']*,? [a-z\d]")
_UNSAID = re.compile(r'^ *(?://|\\\\)[^\n]*|^test ".*?^}$', re.MULTILINE | re.DOTALL)
_CHARACTER = re.compile(r'("(?:[^"\\]|\\.)*")|\'(?:[^\'\\]|\\.)\'')

NO_REMEDY = {
    "ssh -G shows nothing here: its settings are those of the host": "nothing went wrong",
    "cannot write the command's output to {stream}: {describe}": "the reason is all that is known",
    "--exec needs a command": "--help follows, as for all wrong usage",
    "--install needs a directory and at least one name": "--help follows, as for all wrong usage",
}


def _find() -> Iterator[str]:
    """All messages, then the texts that they are made of beside those."""
    files = (path for path in sorted(SOURCES.glob("*.zig")) if not path.stem.endswith("tests"))
    codes = {path.name: _UNSAID.sub("", path.read_text()) for path in files}
    said = list(_find_said(codes))
    yield from said
    for name, code in codes.items():
        texts = map(_show, re.findall(_TEXT, _CHARACTER.sub(r"\1", code)))
        for text in dict.fromkeys(filter(_HAS_WORDS.match, texts)):
            if not any(text in line for line in said):
                yield f"{name}: ... {text}"


def _find_said(codes: Mapping[str, str]) -> Iterator[str]:
    """Each message with the hint that follows it, then constants and choices of a hint."""
    for name, code in codes.items():
        if 'import("diagnostics.zig")' not in code:
            continue
        for match in _SAID.finditer(code):
            report, advice = match.groups()
            said = "".join(map(_show, _PART.findall(f"{report or advice} }}")))
            yield f"{name}: {said}" if report else f"    > {said}"
        yield from (f"    {name} > {_show(text)}" for name, text in _NAMED.findall(code))


def _show(part: str) -> str:
    """A part of a message; what is only known when it runs is its name in braces."""
    if re.fullmatch(_TEXT, part):
        pieces = re.findall(r'"((?:[^"\\]|\\.)*)"|(\w+)', part)
        return "".join(text or (f"{{{name}}}" if name else "") for text, name in pieces)
    if part.startswith("if "):
        return "{reason}"
    return f"{{{re.findall(r'[a-z_]+', part.partition('(')[0])[-1]}}}"


def test_every_message_says_what_to_do() -> None:
    """A hint follows it, but where that would be guessing."""
    lines = [*_find(), ""]
    without = {
        line.partition(": ")[2]
        for line, following in pairwise(lines)
        if not re.match(r" |\w+\.zig: \.\.\. ", line) and not following.startswith("    >")
    }
    assert without == NO_REMEDY.keys()


def test_messages_begin_and_end_alike() -> None:
    """They stand behind "airlock: ": no capital but that of a sentence inside, no period."""
    for line in _find():
        text = line.partition("> ")[2] or line.partition(": ")[2]
        assert not text[:1].isupper(), text
        assert not text.endswith((".", " ")), text
