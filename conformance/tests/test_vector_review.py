"""What is required of vector files, tried on small ones that lack it."""

from pathlib import Path
from typing import Any

import pytest

from airlock_conformance import vector_review
from airlock_conformance.vector_review import classes, repeated_ids, review

PATH = Path("spade.json")


def vector(number: int, result: str, *flags: str, args: list[Any] | None = None) -> dict[str, Any]:
    """Return one vector; without arguments of its own it has its number."""
    words = [str(number)] if args is None else args
    return {"id": f"spade-{number:04}", "args": words, "result": result, "flags": list(flags)}


def document(*groups: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a file with the notes Short, Glued (one class) and Everyday."""
    return {
        "tool": "spade",
        "toolVersion": "1",
        "notes": {
            "Short": {"class": "respelled", "description": "x"},
            "Glued": {"class": "respelled", "description": "x"},
            "Everyday": {"class": "everyday", "description": "x"},
        },
        "groups": [{"comment": "x", "tests": tests} for tests in groups],
    }


GOOD = [
    vector(1, "denied", "Short"),
    vector(2, "denied", "Glued"),
    vector(3, "allowed", "Everyday"),
]


@pytest.fixture(autouse=True)
def _one_class_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_review, "LEAST_CLASSES", 1)


def test_a_file_that_lacks_nothing() -> None:
    """Two spellings of a class beside an everyday command are enough."""
    assert review(document(GOOD), PATH) == []
    assert {name: len(tests) for name, tests in classes(document(GOOD)).items()} == {"respelled": 2}


def test_a_neighbour_may_stand_elsewhere_with_a_flag_of_the_class() -> None:
    """An allowed vector that carries a flag of the class is its neighbour wherever it stands."""
    apart = [vector(4, "allowed", "Everyday", "Short")]
    assert review(document(GOOD[:2], GOOD[2:], apart), PATH) == []
    assert review(document(GOOD[:2], GOOD[2:]), PATH) == [
        "class 'respelled': no allowed vector in a group of it, or with a flag of it"
    ]


def test_a_trick_that_is_harmless_is_a_spelling_and_no_neighbour() -> None:
    """It names a canary case, and needs everyday commands beside it as one that is denied."""
    harmless = {**vector(2, "allowed", "Glued"), "canary": "box-spade/dig"}
    assert review(document([GOOD[0], harmless, GOOD[2]]), PATH) == []
    assert review(document([GOOD[0], harmless], GOOD[2:]), PATH) == [
        "class 'respelled': no allowed vector in a group of it, or with a flag of it"
    ]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (vector(4, "denied", "Odd"), "spade-0004: the flag Odd has no note"),
        (vector(4, "denied", "Short", args=["1"]), "spade-0004: the same arguments as spade-0001"),
        (
            {**vector(4, "denied", "Short"), "id": "fork-0004"},
            "fork-0004: the id must begin with spade-",
        ),
        (
            vector(4, "denied", "Short", args=[{"base64": "eA=="}]),
            "spade-0004: {'base64': 'eA=='}: it is UTF-8: write it as text",
        ),
        (
            vector(4, "denied", "Short", args=[{"base64": "?"}]),
            "spade-0004: {'base64': '?'}: not base64",
        ),
        (
            vector(4, "denied", "Short", args=["\0"]),
            "spade-0004: '\\x00': no argument holds NUL",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_vector_that_is_wrong(more: dict[str, Any], fault: str) -> None:
    """What is wrong with one vector is told with its id."""
    assert review(document([*GOOD, more]), PATH) == [fault]


def test_a_file_that_proves_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few classes, a single spelling, an unused note and another tool's name are told."""
    monkeypatch.setattr(vector_review, "LEAST_CLASSES", 25)
    assert review(document(GOOD[1:]), Path("fork.json")) == [
        "the file must be spade.json",
        "the note Short is the flag of no vector",
        "1 classes of tricks; 25 are the least",
        "class 'respelled': spade-0002 is its only spelling",
    ]


def test_ids_that_come_twice() -> None:
    """An id that two files use is found."""
    assert repeated_ids([document(GOOD), document([vector(3, "denied", "Short")])]) == [
        "spade-0003"
    ]
