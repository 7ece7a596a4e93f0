"""Public reports on similar tools, and findings of audits: a reader of findings.toml."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

CHECKOUT = Path(__file__).resolve().parents[2]
_FILE = Path(__file__).with_name("findings.toml")
_ROW = re.compile(r"^\| (G\d+) \| (.+?) \| (.+?) \|$", re.MULTILINE)


class Finding(NamedTuple):
    """An attack that somebody has found; attacks of the canaries that try it have its `id`.

    `tried_by` are more attacks, as FAMILY: NAME, and tests, as FILE::NAME. The tests of `without`
    show that it works with the guard off. `open` says what is left of it, and `id` may be empty.
    """

    what: str
    id: str = ""
    tried_by: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    open: str = ""

    @property
    def tests(self) -> tuple[str, ...]:
        """Those of `tried_by` that are tests."""
        return tuple(each for each in self.tried_by if "::" in each)


class Guarantee(NamedTuple):
    """A line of the table in SECURITY.md, and the tests of it."""

    id: str
    text: str
    holds: str
    tests: tuple[str, ...]


def read_findings() -> list[Finding]:
    """All of them, in the order of the file."""
    return [
        Finding(
            what=row["what"],
            id=row.get("id", ""),
            tried_by=tuple(row.get("tried_by", ())),
            without=tuple(row.get("without", ())),
            open=row.get("open", ""),
        )
        for row in _read()["attack"]
    ]


def read_guarantees() -> Mapping[str, Guarantee]:
    """Those of SECURITY.md by their ids, in its order."""
    text = (CHECKOUT / "SECURITY.md").read_text(encoding="utf-8")
    tests = _read()["guarantees"]
    return {
        name: Guarantee(name, says, holds, tuple(tests.get(name, ())))
        for name, says, holds in _ROW.findall(text)
    }


def _read() -> Mapping[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
