"""The list of cases that an implementation is known to fail.

One case a line, as ``ROLE/ID``, with the reason behind a ``#``; lines that are empty or only a
comment are skipped. A listed case that passes is an error, so that the list cannot outlive the
faults that it excuses.
"""

from collections.abc import Collection
from pathlib import Path


class ExpectationFileError(Exception):
    """The file of expected failures cannot be used; the message names the line and the remedy."""


def read_expected_failures(path: Path, *, known: Collection[str]) -> dict[str, str]:
    """Return the reason of each listed case.

    Raises `ExpectationFileError` for an unreadable file, a name that is not among the `known`
    cases, and a line without a reason.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError) as error:
        raise ExpectationFileError(f"{path}: cannot be read: {error}") from error
    reasons: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        name, _, reason = (part.strip() for part in line.partition("#"))
        if not name:
            continue
        if name not in known:
            raise ExpectationFileError(f"{path}:{number}: no case {name!r}; remove the line")
        if not reason:
            raise ExpectationFileError(f"{path}:{number}: {name}: add the reason after a '#'")
        reasons[name] = reason
    return reasons
