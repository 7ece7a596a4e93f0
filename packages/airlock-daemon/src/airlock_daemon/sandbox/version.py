"""Which bubblewrap there is: an old one does not know how to show what is open (`--bind-fd`)."""

import re

import trio

OLDEST = (0, 10)
"""The first one with all that a box is made by."""

_LONGEST_S = 10.0
_SAYS = re.compile(rb"^bubblewrap (\d+)\.(\d+)")


async def explain_too_old(program: str) -> str | None:
    """Why the bubblewrap at `program` makes no boxes, as it is older than OLDEST.

    None where it is not, and where it does not say its version: then a box that is tried tells.
    """
    try:
        with trio.fail_after(_LONGEST_S):
            done = await trio.run_process(
                (program, "--version"),
                stdin=b"",
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
    except (OSError, trio.TooSlowError):
        return None
    found = _SAYS.match(done.stdout)
    if found is None or (version := tuple(map(int, found.groups()))) >= OLDEST:
        return None
    said, needed = (".".join(map(str, each)) for each in (version, OLDEST))
    return f"it is bubblewrap {said}, and {needed} or newer is needed"
