"""Files that are replaced unless somebody has edited them: the last line is a hash of the rest."""

import hashlib
import re
from typing import Literal

State = Literal["absent", "current", "outdated", "edited", "foreign"]
"""How a file is: not there, as it would be written, as it once was, changed, or not of ours."""

_SEAL = "airlock-daemon init: sha256 "
_LINE = re.compile(rf"^\W+{_SEAL}([0-9a-f]{{64}})\W*$", re.MULTILINE)


def seal(text: str, *, opening: str, closing: str = "") -> str:
    """Add the last line to `text`, as a comment between `opening` and `closing`."""
    return f"{text}{opening} {_SEAL}{_digest(text)} {closing}".rstrip() + "\n"


def compare(found: str | None, text: str) -> State:
    """How the file `found` is beside the sealed `text` that is to be there; None is no file."""
    if found is None:
        return "absent"
    if found == text:
        return "current"
    line = _LINE.search(found)
    if line is None:
        return "foreign"
    is_last = not found[line.end() :].strip()
    is_whole = line.group(1) == _digest(found[: line.start()])
    return "outdated" if is_last and is_whole else "edited"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
