"""The page is made of the attacks and the record."""

from e2e.canary.findings import CHECKOUT
from e2e.evidence import record
from e2e.evidence.page import write_page

_RECORD = record.load()


def test_the_page_is_what_is_made_of_the_record() -> None:
    """`./dev evidence` makes it."""
    assert (CHECKOUT / "docs/evidence.md").read_text(encoding="utf-8") == write_page(_RECORD)
