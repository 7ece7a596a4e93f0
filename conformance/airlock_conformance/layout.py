"""How the suite's JSON files are written: a case, a step or a vector a line, where it fits.

An object or an array is one line if it fits. Else each of its parts begins a line, one blank
deeper, but plain parts (those without an object in them) share lines with their neighbours. In a
table, an object whose values are all of one type, each entry keeps a line of its own. Characters
that show nothing are escaped. To write all files anew: ``python -m airlock_conformance.layout`` in
the folder of the suite.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

WIDTH: Final = 200

_SUITE = Path(__file__).resolve().parent.parent
# Not ``schemas/shape``: that is a link to files that are written elsewhere.
_FOLDERS: Final = ("cases", "vectors", "schemas/conduct")


def data_files() -> list[Path]:
    """Return the files that are kept in this form, sorted by path."""
    found = [path for folder in _FOLDERS for path in (_SUITE / folder).rglob("*.json")]
    return sorted([*found, _SUITE / "requirements.json"])


def lay_out(value: Any) -> str:
    """Return a JSON value as the text of a file, its last newline included."""
    return _lay_out(value, indent=0, taken=0) + "\n"


def _lay_out(value: Any, *, indent: int, taken: int) -> str:
    """Return a value whose first line has `taken` characters before it, and whose others none."""
    flat = _dump(value)
    if not isinstance(value, dict | list) or not value or taken + len(flat) < WIDTH:
        return flat
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    lines = _fill(value, indent=indent + 1)
    blank = " " * indent
    return f"{opening}\n" + ",\n".join(lines) + f"\n{blank}{closing}"


def _fill(value: dict[str, Any] | list[Any], *, indent: int) -> Iterator[str]:
    """Yield the lines of the parts of a value, the commas between them left out."""
    line, is_open = "", False
    for name, part in _parts(value):
        text = name + _lay_out(part, indent=indent, taken=indent + len(name))
        shares = _is_plain(part) and not _is_table(value)
        if shares and is_open and len(line) + 2 + len(text) < WIDTH:
            line += f", {text}"
            continue
        if line:
            yield line
        line, is_open = " " * indent + text, shares and "\n" not in text
    yield line


def _parts(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        yield from (("", item) for item in value)
        return
    for name, item in value.items():
        yield f"{_dump(name)}: ", item


def _dump(value: Any) -> str:
    """Return a value on one line, every character in it visible."""
    return re.sub(r"[^ -~]", _show, json.dumps(value, ensure_ascii=False))


def _show(character: re.Match[str]) -> str:
    # An escape of JSON is one of UTF-16: two of them for what lies beyond the first plane.
    text = character[0]
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and len({type(part) for part in value.values()}) == 1


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return not any(isinstance(item, dict | list) for item in value)
    return not isinstance(value, dict)


def main() -> None:
    """Write all files in this form."""
    for path in data_files():
        path.write_text(lay_out(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
