"""The suite beside the text of the protocol, where that is there."""

import re
from pathlib import Path

import pytest

from airlock_conformance.requirements import read_requirements

ROOT = Path(__file__).resolve().parent.parent.parent
PROTOCOL = ROOT / "PROTOCOL.md"


@pytest.mark.skipif(not PROTOCOL.is_file(), reason="PROTOCOL.md is not beside the suite")
def test_each_number_of_the_protocol_is_listed() -> None:
    """The list of requirements has every number of the protocol's text, and no other."""
    numbers = re.findall(r"^- \*\*([BFS]-\d+)\*\*", PROTOCOL.read_text(), re.MULTILINE)
    assert sorted(item.id for item in read_requirements()) == sorted(numbers)


@pytest.mark.skipif(not PROTOCOL.is_file(), reason="PROTOCOL.md is not beside the suite")
def test_each_must_of_the_protocol_has_a_number() -> None:
    """What the protocol's text says that a peer MUST do stands in a numbered statement."""
    text = re.sub(r"(?s)^```.*?^```", "", PROTOCOL.read_text(), flags=re.MULTILINE)
    paragraphs = re.split(r"\n\s*\n|\n(?=- )", text)
    binding = [part for part in paragraphs if re.search(r"\bMUST\b", part)]
    unnumbered = [part for part in binding if not re.match(r"- \*\*[BFS]-\d+\*\*", part)]
    # The only one is that which says what the words mean.
    assert ["RFC 2119" in part for part in unnumbered] == [True]
