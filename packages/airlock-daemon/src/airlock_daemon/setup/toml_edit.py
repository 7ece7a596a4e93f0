"""Changing a TOML file that a person wrote: the lines that it takes, and nothing else of it.

Comments, order, quotes and line ends stay. Every result is read again, and given back only if it
says what it should; a file that writes things in another form is left to its owner.
"""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

_TOKEN = re.compile(
    r"""
    (?P<comment> \#[^\n]* )
    | (?P<word> \"\"\"(?:\\.|[^\\])*?\"\"\"\"{0,2} | '''.*?''''{0,2}
        | "(?:\\.|[^"\\])*" | '[^']*' | [^\s\#"'\[\]{}=,]+ )
    | (?P<open> [\[{] ) | (?P<close> [\]}] ) | (?P<equals> = ) | (?P<comma> , )
    | (?P<newline> \n )
    """,
    re.VERBOSE | re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class _Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A header, or a key with its value: `text[start:end]`, a comment behind it left out.

    `path` is the dotted key as it stands there; `value` is where the value begins, 0 for a header.
    """

    path: tuple[str, ...]
    start: int
    value: int
    end: int


def quote_string(text: str) -> str:
    """`text` as a TOML string. It must be Unicode without control characters."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def format_array(items: Sequence[str]) -> str:
    """The strings as a TOML array on one line."""
    return f"[{', '.join(map(quote_string, items))}]"


def append_table(text: str, name: str, values: Mapping[str, str]) -> str | None:
    """`text` with a table of strings after all else; None where it has one of that name."""
    lines = [f"[{_format_key(name)}]", *(f"{key} = {quote_string(values[key])}" for key in values)]
    return _confirm(_add_lines(text, lines), {**tomllib.loads(text), name: dict(values)})


def remove_table(text: str, name: str) -> str | None:
    """`text` without the table `name`; None where that is not a header with keys below it."""
    wanted = tomllib.loads(text)
    wanted.pop(name, None)
    rest = iter(_split(text))
    header = next((each for each in rest if each.path == (name,) and not each.value), None)
    if header is None:
        return None
    end = header.end
    for each in rest:
        if not each.value:
            break
        end = each.end
    before, after = text[: header.start], text[_find_line_end(text, end) :]
    after = re.sub(r"\A\r?\n", "", after)
    # The blank line on one side of it is enough, and none is needed at the file's end.
    if not after:
        before = re.sub(r"(?<=\n)\r?\n\Z", "", before)
    elif not before or before.endswith(("\n\n", "\n\r\n")):
        after = re.sub(r"\A\r?\n", "", after)
    return _confirm(before + after, wanted)


def comment_out(text: str, keys: Collection[tuple[str, ...]]) -> str | None:
    """`text` with the `keys`, and all that is below them, as comments.

    None where they are written in a form that is not changed here.
    """
    wanted: dict[str, Any] = tomllib.loads(text)
    for *tables, key in keys:
        inner = wanted
        for name in tables:
            inner = inner.get(name, {})
        inner.pop(key, None)
    scope: tuple[str, ...] = ()
    pieces, position = [], 0
    for each in _split(text):
        path = each.path if not each.value else scope + each.path
        scope = scope if each.value else path
        if any(path[: len(key)] == tuple(key) for key in keys):
            start, end = text.rfind("\n", 0, each.start) + 1, _find_line_end(text, each.end)
            pieces += [text[position:start], re.sub("^", "# ", text[start:end], flags=re.MULTILINE)]
            position = end
    changed = "".join((*pieces, text[position:]))
    return changed if _prune(tomllib.loads(changed)) == _prune(wanted) else None


def extend_array(text: str, table: str, key: str, items: Sequence[str]) -> str | None:
    """`text` with `items` added to the array `key` of `table`, which are made where missing.

    None where they are written in a form that is not changed here.
    """
    wanted: dict[str, Any] = tomllib.loads(text)
    inner = wanted.setdefault(table, {})
    if not isinstance(inner, dict) or not isinstance(inner.setdefault(key, []), list):
        return None
    inner[key] = [*inner[key], *items]
    line = f"{key} = {format_array(items)}"
    scope: tuple[str, ...] = ()
    header: _Statement | None = None
    for each in _split(text):
        if not each.value:
            scope = each.path
            header = each if scope == (table,) else header
        elif scope + each.path == (table, key):
            return _confirm(_extend(text, each, items), wanted)
    if header is None:
        return _confirm(_add_lines(text, [f"[{table}]", line]), wanted)
    place = _find_line_end(text, header.end)
    return _confirm(text[:place] + _line_break(text) + line + text[place:], wanted)


def _split(text: str) -> Iterator[_Statement]:
    """The statements of a text that is valid TOML."""
    depth, start, value, end = 0, -1, 0, 0
    for token in _TOKEN.finditer(text + "\n"):
        kind = token.lastgroup
        if kind == "newline" and depth == 0 and start >= 0:
            key = text[start:end] if not value else f"{text[start:value]}0"
            yield _Statement(path=_find_path(key), start=start, value=value, end=end)
            start, value = -1, 0
        if kind in ("newline", "comment"):
            continue
        start = token.start() if start < 0 else start
        value = token.end() if kind == "equals" and depth == 0 and not value else value
        depth += {"open": 1, "close": -1}.get(kind or "", 0)
        end = token.end()


def _find_path(statement: str) -> tuple[str, ...]:
    path = []
    inner: Any = tomllib.loads(statement)
    while inner:
        # An array of tables is a list of one, and no table of its name.
        (key, inner), *_ = [("[]", inner[0])] if isinstance(inner, list) else inner.items()
        path.append(key)
    return tuple(path)


def _extend(text: str, statement: _Statement, items: Sequence[str]) -> str:
    """Add to the array that is the value of `statement`, in the manner of its last item."""
    tokens = [
        token
        for token in _TOKEN.finditer(text, statement.value, statement.end)
        if token.lastgroup not in ("newline", "comment")
    ]
    last, close = tokens[-2], tokens[-1]
    quoted = [quote_string(item) for item in items]
    if last.lastgroup == "open" and len(tokens) == 2:
        return text[: last.end()] + ", ".join(quoted) + text[close.start() :]
    has_comma = last.lastgroup == "comma"
    head = text[: last.end()] + ("" if has_comma else ",")
    if "\n" not in text[last.end() : close.start()]:
        added = ", ".join(quoted) + ("," if has_comma else "")
        return f"{head} {added}{text[last.end() :]}"
    item = tokens[-3] if has_comma else last
    line_start = text.rfind("\n", 0, item.start()) + 1
    before = text[line_start : item.start()]
    indent = before if not before.strip() else " " * 4
    rest = _find_line_end(text, last.end())
    lines = (_line_break(text) + indent + item for item in quoted)
    added = ",".join(lines) + ("," if has_comma else "")
    return head + text[last.end() : rest] + added + text[rest:]


def _add_lines(text: str, lines: Sequence[str]) -> str:
    newline = _line_break(text)
    gap = "" if not text else newline if text.endswith("\n") else newline * 2
    return text + gap + newline.join(lines) + newline


def _line_break(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _find_line_end(text: str, position: int) -> int:
    """Where the line of `position` ends, before its line break."""
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    return end - 1 if text[:end].endswith("\r") else end


def _format_key(name: str) -> str:
    return name if _BARE.fullmatch(name) else quote_string(name)


def _prune(value: Any) -> Any:
    """The same without empty tables, of which a header may be all that is there."""
    if not isinstance(value, dict):
        return value
    pruned = {key: _prune(inner) for key, inner in value.items()}
    return {key: inner for key, inner in pruned.items() if inner != {}}


def _confirm(text: str, wanted: object) -> str | None:
    try:
        return text if tomllib.loads(text) == wanted else None
    except tomllib.TOMLDecodeError:
        return None
