"""Reading a TOML file key by key, and collecting all its faults.

A person who fixes a file wants all faults at once, each with the file, the key and a remedy. So a
reader never raises: a faulty key yields its default and appends a `Fault` to the list given to
`TableReader.parse`. At the end the caller checks whether that list is empty.

The reader records which keys were read. `finish` refuses every other key and suggests the nearest
known one, so that a mistyped `stripp` is never taken for an empty `strip`.
"""

import difflib
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Self, overload

from msgspec import Struct

from airlock_wire.text import quote

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_name(text: str) -> bool:
    """Return whether `text` is a valid name of a command or an agent.

    A name has 1 to 64 characters of `A-Z a-z 0-9 . _ -` and begins with a letter or digit, so it is
    never a path, an option or a hidden file.
    """
    return _NAME.fullmatch(text) is not None


# The first part of a dotted TOML key: bare, or in double quotes.
_FIRST_PART = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^."]+)')
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Fault(Struct, frozen=True):
    """One fault in a file.

    `source` is the path or name of the file, `key` the dotted TOML key ("" for the whole file),
    `problem` what is wrong, `remedy` how to fix it.
    """

    source: str
    key: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """Return the fault as one line: `FILE: [table] key: problem; remedy`."""
        where = f"{self.source}: "
        if self.key:
            first = _FIRST_PART.match(self.key)
            table = first.group() if first else self.key
            rest = self.key[len(table) + 1 :]
            where += f"[{table}] {rest}: " if rest else f"{table}: "
        return f"{where}{self.problem}; {self.remedy}"


class ModuleError(Exception):
    """An unusable module file or option table. `faults` has everything wrong in it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Create the error; its text has one line per fault."""
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def join_key(parts: tuple[str, ...]) -> str:
    """Return the dotted form of a key, with parts quoted where TOML requires it."""
    return ".".join(_quote_part(part) for part in parts)


def _quote_part(part: str) -> str:
    if _BARE_KEY.fullmatch(part):
        return part
    escaped = "".join(
        f"\\u{ord(char):04X}" if not char.isprintable() else f"\\{char}" if char in '"\\' else char
        for char in part
    )
    return f'"{escaped}"'


_KINDS: Mapping[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "a table",
}


class TableReader:
    """One table of a TOML file, read by key.

    Methods named after a type return a value of that type, or the default if the key is absent or
    faulty. Readers of inner tables share the list of faults and finish with the outermost one.
    """

    def __init__(
        self,
        data: Mapping[str, object],
        *,
        source: str,
        faults: list[Fault],
        path: tuple[str, ...] = (),
    ) -> None:
        """Read `data`, the value of the key `path` in the file `source`."""
        self._data = data
        self._source = source
        self._faults = faults
        self._path = path
        self._known: dict[str, None] = {}
        self._looked_for: set[str] = set()
        self._refused: set[str] = set()
        self._inner: dict[str, TableReader] = {}
        self._finished = False

    @classmethod
    def parse(cls, text: str, *, source: str, faults: list[Fault]) -> Self | None:
        """Return a reader of the whole file, or None after a fault with line and column.

        `source` is the file name shown in faults.
        """
        try:
            data = tomllib.loads(text)
        except ValueError as error:  # also raised for an integer with thousands of digits
            problem = f"not valid TOML: {error}".replace("end of document", _end_of(text))
            faults.append(Fault(source, "", problem, "mend that line"))
            return None
        except RecursionError:
            faults.append(Fault(source, "", "nested too deeply", "write it flatter"))
            return None
        return cls(data, source=source, faults=faults)

    def has(self, key: str) -> bool:
        """Return whether the table has this key, of any type."""
        self._looked_for.add(key)
        return key in self._data

    def has_array(self, key: str) -> bool:
        """Return whether the value of this key is an array."""
        return isinstance(self._data.get(key), list)

    def is_empty(self, key: str) -> bool:
        """Return whether the value of this key, which is read by this, is an empty array."""
        self._known[key] = None
        return self._data.get(key) == []

    def names(self) -> tuple[str, ...]:
        """Return the keys of the table, known or not."""
        return tuple(self._data)

    def fault(self, key: str, problem: str, remedy: str) -> None:
        """Record a fault of this key; "" is the table itself."""
        path = (*self._path, key) if key else self._path
        self._faults.append(Fault(self._source, join_key(path), problem, remedy))

    def refuse(self, key: str, problem: str, remedy: str) -> None:
        """Record a fault if this key or table is present: it does not belong in this file."""
        self._refused.add(key)
        if key in self._data:
            what = "this table" if isinstance(self._data[key], dict) else "this key"
            self.fault(key, f"{what} {problem}", remedy)

    @overload
    def string(self, key: str, *, default: str, nonempty: bool = True) -> str: ...
    @overload
    def string(self, key: str, *, required: Literal[True], nonempty: bool = True) -> str: ...
    @overload
    def string(self, key: str, *, default: None = None, nonempty: bool = True) -> str | None: ...
    def string(
        self, key: str, *, default: str | None = None, required: bool = False, nonempty: bool = True
    ) -> str | None:
        """Return a string without NUL; "" if it is required but absent or faulty."""
        fallback = "" if required else default
        value = self._take(key, str, required=required)
        if not isinstance(value, str):
            return fallback
        if not value and nonempty:
            self.fault(key, "must not be empty", "write a value or remove the key")
            return fallback
        return value if self._has_no_nul(key, value) else fallback

    def strings(
        self, key: str, *, default: Sequence[str] = (), required: bool = False
    ) -> tuple[str, ...]:
        """Return an array of strings without NUL; one faulty item makes the array faulty."""
        items = self._take(key, list, required=required)
        if not isinstance(items, list):
            return tuple(default)
        good = [self._is_string(key, item, f"item {n}: ") for n, item in enumerate(items, start=1)]
        return tuple(items) if all(good) else tuple(default)

    def entries(self, key: str, *, required: bool = False) -> "tuple[str | TableReader, ...]":
        """Return an array of tables and strings without NUL, omitting faulty items."""
        items = self._take(key, list, required=required)
        found: list[str | TableReader] = []
        for number, item in enumerate(items if isinstance(items, list) else (), start=1):
            if isinstance(item, dict):
                inner = self._inner[f"{key}.{number}"] = self._open(item, key, str(number))
                found.append(inner)
            elif self._is_string(key, item, f"item {number}: "):
                found.append(item)
        return tuple(found)

    def boolean(self, key: str, *, default: bool) -> bool:
        """Return a boolean."""
        value = self._take(key, bool)
        return value if isinstance(value, bool) else default

    def integer(
        self, key: str, *, default: int, minimum: int | None = None, maximum: int | None = None
    ) -> int:
        """Return an integer from `minimum` to `maximum`, inclusive."""
        value = self._take(key, int)
        if not isinstance(value, int) or not self._is_in_range(key, value, minimum, maximum):
            return default
        return value

    def integers(
        self, key: str, *, default: Sequence[int], minimum: int, maximum: int
    ) -> tuple[int, ...]:
        """Return an array of integers from `minimum` to `maximum`, inclusive."""
        items = self._take(key, list)
        if not isinstance(items, list):
            return tuple(default)
        for number, item in enumerate(items, start=1):
            if type(item) is not int:
                problem = f"item {number}: must be an integer, not {_kind_of(item)}"
                self.fault(key, problem, "correct its value")
                return tuple(default)
            if not self._is_in_range(key, item, minimum, maximum):
                return tuple(default)
        return tuple(items)

    def number(
        self,
        key: str,
        *,
        default: float,
        minimum: float | None = None,
        maximum: float | None = None,
    ) -> float:
        """Return an integer or finite float as a float, from `minimum` to `maximum`, inclusive."""
        value = self._take(key, float)
        if not isinstance(value, int | float):
            return default
        if not abs(value) <= sys.float_info.max:
            self.fault(key, "must be a finite number", "write a number such as 30 or 0.5")
            return default
        return float(value) if self._is_in_range(key, value, minimum, maximum) else default

    def string_map(self, key: str) -> dict[str, str]:
        """Return a table of strings without NUL, in file order, omitting faulty members."""
        table = self._take(key, dict)
        if not isinstance(table, dict):
            return {}
        inner = TableReader(
            table, source=self._source, faults=self._faults, path=(*self._path, key)
        )
        return {name: value for name, value in table.items() if inner._is_string(name, value)}

    def choice(self, key: str, options: Sequence[str], *, default: str) -> str:
        """Return a string that is one of `options`."""
        value = self.string(key)
        if value is None or value in options:
            return default if value is None else value
        allowed = ", ".join(f'"{option}"' for option in options)
        self.fault(key, f"{quote(value)} is not one of its values", f"write one of {allowed}")
        return default

    def table(self, key: str, *, required: bool = False) -> "TableReader":
        """Return a reader of an inner table, empty if it is absent or faulty."""
        if key not in self._inner:
            data = self._take(key, dict, required=required)
            self._inner[key] = self._open(data if isinstance(data, dict) else {}, key)
        return self._inner[key]

    def tables(self) -> "dict[str, TableReader]":
        """Return a reader of every member, for a table whose keys are user-chosen names."""
        return {key: self.table(key) for key in self._data}

    def finish(self) -> None:
        """Record a fault for every key that was not read, here and in inner tables. Idempotent."""
        if self._finished:
            return
        self._finished = True
        for key, value in self._data.items():
            if key not in self._known and key not in self._refused:
                what = "table" if isinstance(value, dict) else "key"
                self.fault(key, f"unknown {what}", self._advise(key))
        for inner in self._inner.values():
            inner.finish()

    def _open(self, data: Mapping[str, object], *keys: str) -> "TableReader":
        """Return a reader of a table inside this one."""
        path = (*self._path, *keys)
        return TableReader(data, source=self._source, faults=self._faults, path=path)

    def _take(self, key: str, kind: type, *, required: bool = False) -> object:
        """Return the value if it has the right type, else None and, unless absent, a fault."""
        self._known[key] = None
        if key not in self._data:
            if required:
                self.fault(key, "is missing", f"add it; it must be {_KINDS[kind]}")
            return None
        value = self._data[key]
        # A boolean is an int to Python but not to TOML; an integer is valid as a float.
        if type(value) is kind or (kind is float and type(value) is int):
            return value
        self.fault(key, f"must be {_KINDS[kind]}, not {_kind_of(value)}", "correct its value")
        return None

    def _is_string(self, key: str, value: object, where: str = "") -> bool:
        if isinstance(value, str):
            return self._has_no_nul(key, value, where)
        self.fault(key, f"{where}must be a string, not {_kind_of(value)}", "put it in quotes")
        return False

    def _has_no_nul(self, key: str, value: str, where: str = "") -> bool:
        if "\0" not in value:
            return True
        self.fault(key, f"{where}holds a NUL character", "remove it; no program can be given one")
        return False

    def _is_in_range(
        self, key: str, value: float, minimum: float | None, maximum: float | None
    ) -> bool:
        if minimum is not None and value < minimum:
            self.fault(key, f"{value} is too small", f"write {minimum} or more")
            return False
        if maximum is not None and value > maximum:
            self.fault(key, f"{value} is too large", f"write {maximum} or less")
            return False
        return True

    def _advise(self, key: str) -> str:
        known = sorted({*self._known, *self._looked_for} - {key, *self._refused})
        nearest = difflib.get_close_matches(key, known, n=1)
        if nearest:
            return f'write "{nearest[0]}", or remove it'
        return f"remove it; known here: {', '.join(known) or 'nothing'}"


def _end_of(text: str) -> str:
    """Return the position of the text's end, in tomllib's wording."""
    before, _, last = text.rpartition("\n")
    line = before.count("\n") + 2 if len(last) < len(text) else 1
    return f"line {line}, column {len(last) + 1}"


def _kind_of(value: object) -> str:
    return _KINDS.get(type(value), "a date or time")
