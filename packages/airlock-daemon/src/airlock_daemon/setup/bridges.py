"""The volumes of agents whose containers no socket of this host reaches, by name.

The name is random and stays with the agent until its bridge is removed. Whoever mounts the volume
is the agent, so it is told to the daemon's user alone.
"""

import re
import secrets

from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.state import State

LABEL = "airlock.bridge"
"""The label of an agent's volume and bridge container; its value is the agent."""

_NAME = re.compile(r"airlock-[0-9a-f]{32}\n?", re.ASCII)


def find_volume(state: State, agent: str, *, make: bool = False) -> str | None:
    """The name of the volume of `agent`; None if it has none yet, and none is to be made.

    Raises AirlockError.
    """
    written = _read(state, agent)
    if written is not None or not make:
        return written
    with state.changing():
        # The daemon and a command may both be the first.
        written = _read(state, agent)
        if written is None:
            written = f"airlock-{secrets.token_hex(16)}"
            state.write(_find_file(agent), f"{written}\n")
    return written


def forget_volume(state: State, agent: str) -> None:
    """Forget the volume of `agent`, which is removed: its next one has another name."""
    with state.changing():
        state.write(_find_file(agent), None)


def _read(state: State, agent: str) -> str | None:
    text = state.read(_find_file(agent))
    if text is None:
        return None
    if not _NAME.fullmatch(text):
        path = state.path(_find_file(agent))
        raise AirlockError(
            f"{path} has no name of a volume",
            hint=f"remove it, and recreate the agent's containers: rm {path}",
        )
    return text.strip()


def _find_file(agent: str) -> str:
    return f"bridges/{agent}"
