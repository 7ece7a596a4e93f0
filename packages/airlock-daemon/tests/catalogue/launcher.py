"""What the native launcher says, as it stands in its sources."""

import re
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "native"

_UNSAID = re.compile(r'^ *//[^\n]*|^test ".*?^}$', re.MULTILINE | re.DOTALL)
_COMPLAINT = re.compile(r"complain\(&\.\{(.*?)\}\);", re.DOTALL)
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PART = re.compile(rf"{_TEXT.pattern}|(?:\w+\.)?(\w+)(?:\([^)]*\))?")


def find_complaints() -> Iterator[tuple[str, str, str]]:
    """File, kind and text of each message, then of what else is more than a word."""
    for path in sorted(SOURCES.glob("*.zig")):
        code, file = _UNSAID.sub("", path.read_text("utf-8")), f"native/{path.name}"
        said = [
            "".join(text or f"{{{name}}}" for text, name in _PART.findall(parts))
            for parts in _COMPLAINT.findall(code)
        ]
        yield from ((file, "launcher", text) for text in said)
        for text in _TEXT.findall(code):
            if " " in text.strip() and not any(text in each for each in said):
                yield file, "text", text
