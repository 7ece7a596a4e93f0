"""`./dev canary` of what leaves no attack fails, and says why."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            ("--without", "box-files", "--box", "bubblewrap of user"),
            "by --box 'bubblewrap of root', --box 'landlock of root', --box 'landlock of user'",
        ),
        (("words", "--without", "refs"), "no attack is of all the families, names, guards"),
        (("words", "--box", "landlock of root"), "no attack is of all the families"),
        (("api-reading", "--openssh", "oldest"), "no attack is of all the families"),
    ],
)
def test_what_leaves_no_attack_fails(words: tuple[str, ...], why: str) -> None:
    """A status of 0 would be taken for walls that have held."""
    command = (sys.executable, "-m", "e2e.canary", *words)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("canary: nothing was tried: ")
    assert why in done.stderr
