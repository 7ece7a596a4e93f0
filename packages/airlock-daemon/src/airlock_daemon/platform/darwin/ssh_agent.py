"""The ssh-agent of a macOS session.

launchd makes its socket, `/private/tmp/com.apple.launchd.*/Listeners`, under a new name at each
login. A stored name is therefore soon that of no agent, and is asked for at each use.
"""

import re
import subprocess
from collections.abc import Mapping

_VARIABLE = "SSH_AUTH_SOCK"

_OF_LAUNCHD = re.compile(r"/(private/)?(var/run|tmp)/com\.apple\.launchd\.[^/]+/Listeners")
_LAUNCHCTL = "/bin/launchctl"
_TIMEOUT_S = 5.0


def is_of_launchd(path: str) -> bool:
    """Whether a socket is that of the session's own agent, not of one that a person started."""
    return _OF_LAUNCHD.fullmatch(path) is not None


def find_agent(environment: Mapping[str, str], *, launchctl: str = _LAUNCHCTL) -> str | None:
    """The socket of the ssh-agent to use now, None if there is none.

    A person's own agent, in the daemon's `environment`, comes first.
    """
    stored = environment.get(_VARIABLE)
    if stored and not is_of_launchd(stored):
        return stored
    words = (launchctl, "getenv", _VARIABLE)
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
