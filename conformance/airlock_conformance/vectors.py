"""The policy vectors: one file a tool, read and held against ``vectors.schema.json``.

A vector is an argument vector with what the tool's module must decide about it, and flags. A flag
is a note of the file: it names the class of trick, describes it, and refers to where it is known
from. A check of its own compares each file of the suite with the schema; another directory's file
that the schema refuses yields no cases.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

from airlock_conformance.cases import Case

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
_SCHEMA = VECTORS / "vectors.schema.json"


def vector_files(directory: Path = VECTORS) -> list[Path]:
    """Return the vector files of a directory, sorted by name."""
    return sorted(path for path in directory.glob("*.json") if path.name != _SCHEMA.name)


def read_vectors(path: Path) -> Mapping[str, Any]:
    """Return a vector file as it is written; `ValueError` if it is not JSON."""
    document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def form_faults(path: Path) -> list[str]:
    """Return what is wrong with a vector file by the schema, one line each."""
    try:
        document = read_vectors(path)
    except ValueError as error:
        return [f"not JSON: {error}"]
    return [f"{error.json_path}: {error.message}" for error in _validator().iter_errors(document)]


def load_vectors(directory: Path = VECTORS) -> list[Case]:
    """Return all vectors of a directory as cases of the role "policy".

    The body of such a case has ``command``, ``args``, ``result``, ``flags`` and ``canary``, None
    where it names none, and the ``profile`` of its file.
    """
    return [
        case
        for path in vector_files(directory)
        if directory == VECTORS or not form_faults(path)
        for case in _cases(path, read_vectors(path))
    ]


def _cases(path: Path, document: Mapping[str, Any]) -> Iterator[Case]:
    for group in document["groups"]:
        for test in group["tests"]:
            yield Case(
                id=test["id"],
                role="policy",
                description=test.get("comment") or group["comment"],
                reference=(),
                body={
                    "command": document["tool"],
                    "args": test["args"],
                    "result": test["result"],
                    "flags": test["flags"],
                    "canary": test.get("canary"),
                    "profile": document.get("profile", ""),
                },
                source=path,
            )


@functools.cache
def _validator() -> Any:
    return Draft202012Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))
