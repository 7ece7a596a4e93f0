"""The cases: files in ``cases/``, described by ``case.schema.json``.

Each file belongs to a role by its folder and holds several cases about one subject. A check of its
own (`test_cases.py`) compares each file with the schema, once: to do so at each start takes longer
than a case. A file of which no cases can be made yields none, and fails that check.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

from airlock_conformance.variants import spread

CASES = Path(__file__).resolve().parent.parent / "cases"

Role = Literal["daemon", "rules", "shim", "bridge", "policy", "checks"]
# The roles that have a folder in ``cases/``; policy vectors have one of their own, checks none.
ROLES: tuple[Role, ...] = ("daemon", "rules", "shim", "bridge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case: what is done (`steps`) and what must come of it (`expect`).

    `reference` names requirements of the protocol or sections of its text. `needs` are features
    of the protocol without which the case says nothing. `body` holds the members that only cases
    of this role have.
    """

    id: str
    role: Role
    description: str
    reference: tuple[str, ...]
    body: Mapping[str, Any]
    source: Path
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the case among those of all roles: ``ROLE/ID``."""
        return f"{self.role}/{self.id}"


def case_files(role: Role) -> list[Path]:
    """Return the case files of a role, sorted by name."""
    return sorted((CASES / role).glob("*.json"))


def setup_files() -> list[Path]:
    """Return the files that describe the configuration of a daemon under test."""
    return sorted((CASES / "setups").glob("*.json"))


def faults(path: Path) -> list[str]:
    """Return what is wrong with a case or setup file by the schema, one line each."""
    try:
        document = _read(path)
    except ValueError as error:
        return [str(error)]
    validator = _validator(path.parent.name)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def load(role: Role) -> list[Case]:
    """Return all cases of a role, in the order of their files."""
    cases: list[Case] = []
    for path in case_files(role):
        with suppress(ValueError, LookupError, TypeError, AttributeError):
            cases += list(_cases(path, role))
    return cases


def load_setup(name: str) -> Mapping[str, Any]:
    """Return a setup by name; `OSError` if there is no such file."""
    setup: Mapping[str, Any] = json.loads((CASES / "setups" / f"{name}.json").read_text())
    return setup


def _read(path: Path) -> Any:
    """Return a file with the variants of its cases; ValueError where there is no telling them."""
    document = json.loads(path.read_text())
    if not isinstance(document, dict) or not isinstance(document.get("cases"), list):
        return document
    return {**document, "cases": list(spread(document["cases"]))}


def _cases(path: Path, role: Role) -> Iterator[Case]:
    document = _read(path)
    shared = {name: value for name, value in document.items() if name != "cases"}
    for item in document["cases"]:
        merged = {**shared, **item}
        yield Case(
            id=merged.pop("id"),
            role=role,
            description=merged.pop("description"),
            reference=tuple(merged.pop("reference")),
            needs=tuple(merged.pop("needs", ())),
            body=merged,
            source=path,
        )


@functools.cache
def _validator(folder: str) -> Any:
    schema = json.loads((CASES / "case.schema.json").read_text())
    return Draft202012Validator({**schema, "$ref": f"#/$defs/{folder}-file"})
