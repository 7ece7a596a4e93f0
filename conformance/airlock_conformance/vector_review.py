"""What a vector file must hold beyond its form, so that its figures mean something.

A module that refuses everything denies every evasion. So each class of trick must stand beside
everyday commands that stay allowed, and must be tried in more than one spelling. A trick is denied,
or it names the canary case that shows it harmless.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

LEAST_CLASSES = 25
LEAST_SPELLINGS = 2


def review(document: Mapping[str, Any], path: Path) -> list[str]:
    """Return what a vector file that follows the schema still lacks, one line each.

    `path` is where it was read from: its name must be the tool's.
    """
    found = [] if path.stem == document["tool"] else [f"the file must be {document['tool']}.json"]
    found += _review_tests(document)
    found += _review_flags(document)
    found += _review_classes(document)
    return found


def repeated_ids(documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the ids that more than one vector of all files has."""
    seen: set[str] = set()
    repeated: list[str] = []
    for document in documents:
        for test in _tests(document):
            (repeated.append if test["id"] in seen else seen.add)(test["id"])
    return repeated


def classes(document: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the tricks, denied or harmless, under each class that their flags name."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for test in _tests(document):
        if _is_trick(test):
            for name in sorted(_classes_of(test, document["notes"])):
                found.setdefault(name, []).append(test)
    return found


def _review_tests(document: Mapping[str, Any]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for test in _tests(document):
        key = json.dumps(test["args"])
        if key in seen:
            yield f"{test['id']}: the same arguments as {seen[key]}"
        seen.setdefault(key, test["id"])
        if not test["id"].startswith(f"{document['tool']}-"):
            yield f"{test['id']}: the id must begin with {document['tool']}-"
        for argument in test["args"]:
            if fault := _fault_of(argument):
                yield f"{test['id']}: {argument!r}: {fault}"


def _fault_of(argument: str | Mapping[str, str]) -> str | None:
    if isinstance(argument, str):
        return "no argument holds NUL" if "\0" in argument else None
    try:
        base64.b64decode(argument["base64"], validate=True).decode()
    except UnicodeDecodeError:
        return None
    except binascii.Error:
        return "not base64"
    return "it is UTF-8: write it as text"


def _review_flags(document: Mapping[str, Any]) -> Iterator[str]:
    used: set[str] = set()
    for test in _tests(document):
        used.update(test["flags"])
        for flag in test["flags"]:
            if flag not in document["notes"]:
                yield f"{test['id']}: the flag {flag} has no note"
    for flag in document["notes"]:
        if flag not in used:
            yield f"the note {flag} is the flag of no vector"


def _review_classes(document: Mapping[str, Any]) -> Iterator[str]:
    found = classes(document)
    if len(found) < LEAST_CLASSES:
        yield f"{len(found)} classes of tricks; {LEAST_CLASSES} are the least"
    neighboured = _classes_with_a_neighbour(document)
    for name, tests in found.items():
        if len(tests) < LEAST_SPELLINGS:
            yield f"class {name!r}: {tests[0]['id']} is its only spelling"
        if name not in neighboured:
            yield f"class {name!r}: no allowed vector in a group of it, or with a flag of it"


def _classes_with_a_neighbour(document: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    for group in document["groups"]:
        everyday = [test for test in group["tests"] if not _is_trick(test)]
        for test in group["tests"] if everyday else ():
            found |= _classes_of(test, document["notes"])
    return found


def _is_trick(test: Mapping[str, Any]) -> bool:
    return test["result"] == "denied" or "canary" in test


def _classes_of(test: Mapping[str, Any], notes: Mapping[str, Any]) -> set[str]:
    return {notes[flag]["class"] for flag in test["flags"] if flag in notes}


def _tests(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for group in document["groups"]:
        yield from group["tests"]
