"""Which programs are shells of this host, whatever they are called."""

import os

_SHELLS = "/etc/shells"


def is_shell(path: str) -> bool:
    """Whether a file is, under whatever name, one of those in /etc/shells (shells(5))."""
    try:
        with open(_SHELLS, encoding="utf-8", errors="replace") as file:
            named = [line.strip() for line in file if line.startswith("/")]
        found = os.stat(path)
    except OSError:
        return False
    return any(os.path.samestat(found, each) for each in _stat_all(named))


def _stat_all(paths: list[str]) -> list[os.stat_result]:
    found = []
    for path in paths:
        try:
            found.append(os.stat(path))
        except OSError:
            continue
    return found
