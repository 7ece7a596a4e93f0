"""The pages of docs/where name what the programs have."""

import re

from tasks.places import ROOT

from airlock_daemon.platform.darwin.self_test import LEAVES

_ROW = re.compile(r"^\| `([a-z]+)` \| (.+) \|$", re.MULTILINE)


def test_the_page_of_macos_has_each_check_that_needs_a_mac() -> None:
    """With what it tries, in the order of the self-test."""
    text = (ROOT / "docs/where/macos.md").read_text("utf-8")
    checks, shown = [(name, what) for name, what, _ in LEAVES], _ROW.findall(text)
    assert [row for row in shown if row[0] in dict(checks)] == checks
