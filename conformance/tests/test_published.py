"""The suite beside the text and the schemas of the protocol, where those are there."""

import re
from pathlib import Path

import pytest

from airlock_conformance.message_schemas import SCHEMAS
from airlock_conformance.requirements import read_requirements

ROOT = Path(__file__).resolve().parent.parent.parent
PUBLISHED = ROOT / "packages" / "airlock-protocol" / "schemas"
PROTOCOL = ROOT / "PROTOCOL.md"


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published schemas are not beside the suite")
def test_the_schemas_are_the_published_ones() -> None:
    """The suite's own copies of the message schemas are those of the protocol."""
    copies = {path.name: path.read_text() for path in (SCHEMAS / "shape").glob("*.json")}
    published = {path.name: path.read_text() for path in PUBLISHED.glob("*.json")}
    assert copies == published, (
        "copy them: cp packages/airlock-protocol/schemas/*.json conformance/schemas/shape/"
    )


@pytest.mark.skipif(not PROTOCOL.is_file(), reason="PROTOCOL.md is not beside the suite")
def test_each_number_of_the_protocol_is_listed() -> None:
    """The list of requirements has every number of the protocol's text, and no other."""
    numbers = re.findall(r"^- \*\*([BF]-\d+)\*\*", PROTOCOL.read_text(), re.MULTILINE)
    assert sorted(item.id for item in read_requirements()) == sorted(numbers)


@pytest.mark.skipif(not PROTOCOL.is_file(), reason="PROTOCOL.md is not beside the suite")
def test_each_must_of_the_protocol_has_a_number() -> None:
    """What the protocol's text says that a peer MUST do stands in a numbered statement."""
    text = re.sub(r"(?s)^```.*?^```", "", PROTOCOL.read_text(), flags=re.MULTILINE)
    paragraphs = re.split(r"\n\s*\n|\n(?=- )", text)
    binding = [part for part in paragraphs if re.search(r"\bMUST\b", part)]
    unnumbered = [part for part in binding if not re.match(r"- \*\*[BF]-\d+\*\*", part)]
    # The only one is that which says what the words mean.
    assert ["RFC 2119" in part for part in unnumbered] == [True]
