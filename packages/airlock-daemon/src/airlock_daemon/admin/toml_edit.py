"""Edits of a person's TOML: comments, order, quotes and line ends stay.

Every result is parsed again, and returned only if it says what it should; unsupported forms are
left to the file's owner.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

_BOM = "\ufeff"


def edit(text: str, how: Callable[[str], str | None]) -> str | None:
    """Apply `how` to `text` without its byte order mark, which stays."""
    edited = how(text.removeprefix(_BOM))
    return _BOM + edited if edited is not None and text.startswith(_BOM) else edited


def quote_string(text: str) -> str:
    """`text` as a TOML string. It must be Unicode without control characters."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def format_array(items: Sequence[str]) -> str:
    """The strings as a TOML array on one line."""
    return f"[{', '.join(map(quote_string, items))}]"


def append_table(text: str, name: str, values: Mapping[str, str]) -> str | None:
    """`text` with a table of strings appended; None if it has one of that name."""
    wanted = tomllib.loads(text)

    def append(document: "TOMLDocument") -> None:
        document[name] = dict(values)

    return None if name in wanted else _edit(text, append, {**wanted, name: dict(values)})


def extend_array(text: str, table: str, key: str, items: Sequence[str]) -> str | None:
    """`text` with `items` added to the array `key` of `table`, created if missing.

    None if these names have other types, or the array's form cannot be extended.
    """
    wanted: dict[str, Any] = tomllib.loads(text)
    inner = wanted.setdefault(table, {})
    if not isinstance(inner, dict) or not isinstance(inner.setdefault(key, []), list):
        return None
    inner[key] += items

    def extend(document: "TOMLDocument") -> None:
        document.setdefault(table, {}).setdefault(key, []).extend(items)

    return _edit(text, extend, wanted)


def remove_table(text: str, name: str) -> str | None:
    """`text` without the table `name`; None if its lines also contain something else."""
    changed = _change_lines(text, [(name,)], lambda _: "")
    return None if changed is None else re.sub(r"(?<=\n)\r?\n\Z", "", changed)


def comment_out(text: str, keys: Collection[tuple[str, ...]]) -> str | None:
    """`text` with the `keys`, and all below them, as comments.

    None if their lines also contain something else.
    """
    return _change_lines(text, keys, lambda line: f"# {line}")


def _edit(text: str, change: "Callable[[TOMLDocument], None]", wanted: object) -> str | None:
    """The text after `change`; None if it does not parse to `wanted`."""
    edited = _apply(text if text.endswith("\n") or not text else f"{text}\n", change)
    if edited is None:
        return None
    # With mixed line ends, the lines that stay keep theirs.
    if 0 < text.count("\n") == text.count("\r\n"):
        edited = re.sub("\r?\n", "\r\n", edited)
    try:
        return edited if tomllib.loads(edited) == wanted else None
    except tomllib.TOMLDecodeError:
        return None


def _apply(text: str, change: "Callable[[TOMLDocument], None]") -> str | None:
    """The text after `change`; None if tomlkit rejects the text or the change."""
    # Imported late: a daemon that serves does not need it.
    import tomlkit  # noqa: PLC0415
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415

    try:
        document = tomlkit.parse(text)
        change(document)
        return document.as_string()
    except TOMLKitError:
        return None


def _change_lines(
    text: str, keys: Collection[tuple[str, ...]], change: Callable[[str], str]
) -> str | None:
    """Change each line that only the keys, and what is below them, occupy."""

    def drop(document: Any) -> None:
        for *tables, key in keys:
            inner = document
            for name in tables:
                inner = inner.get(name, {})
            inner.pop(key, None)

    wanted: dict[str, Any] = tomllib.loads(text)
    drop(wanted)
    rest = _apply(text, drop)
    if rest is None:
        return None
    before = text.splitlines(keepends=True)
    dropped = _find_dropped(before, rest.splitlines(keepends=True))
    if dropped is None:
        return None
    lines: list[str] = []
    position = 0
    for start, end in (*dropped, (len(before), len(before))):
        _keep(before[position:start], lines)
        # A comment above the next table belongs to that one.
        own = end
        while own > start and before[own - 1].lstrip()[:1] in ("", "#"):
            own -= 1
        lines += filter(None, map(change, before[start:own]))
        _keep(before[own:end], lines)
        position = end
    changed = "".join(lines)
    return changed if _prune(tomllib.loads(changed)) == _prune(wanted) else None


def _find_dropped(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int]] | None:
    """The ranges of lines that are missing `after`; None if other lines replaced them."""
    codes = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    if any(tag not in ("equal", "delete") for tag, *_ in codes):
        return None
    places = [(start, end) for tag, start, end, *_ in codes if tag == "delete"]
    found = []
    for number, (start, end) in enumerate(places, start=1):
        limit = places[number][0] if number < len(places) else len(before)
        # Two tables may end alike: a removed table begins with its own header.
        shift = 0
        while end + shift < limit and before[start + shift] == before[end + shift]:
            shift += 1
        found.append((start + shift, end + shift))
    return found


def _keep(kept: Sequence[str], lines: list[str]) -> None:
    """Append `kept` to `lines`, without a second blank line where lines were removed."""
    first = 0
    while first < len(kept) and not kept[first].strip() and lines and not lines[-1].strip():
        first += 1
    lines += kept[first:]


def _prune(value: Any) -> Any:
    """The value without empty tables, which a mere header makes."""
    if not isinstance(value, dict):
        return value
    pruned = {key: _prune(inner) for key, inner in value.items()}
    return {key: inner for key, inner in pruned.items() if inner != {}}
