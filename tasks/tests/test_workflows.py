"""The actions that workflows use; `./dev lint` checks everything else of them."""

import re

from tasks.places import ROOT

OURS = ROOT / ".github"


def test_actions_are_of_one_version() -> None:
    """Every use of an action is of the same commit, with the version beside it."""
    found: dict[str, set[str]] = {}
    for path in (OURS / "workflows").iterdir():
        for name, pin in re.findall(r"uses: ([^@\s]+)@(.*)", path.read_text()):
            assert re.fullmatch(r"[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+", pin), f"{path}: {name}"
            found.setdefault(name, set()).add(pin)
    assert found
    assert all(len(pins) == 1 for pins in found.values()), found
