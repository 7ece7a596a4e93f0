"""The agent as one party of a conversation with a remote."""

from collections.abc import Callable

import msgspec

from airlock_daemon.fairness.gate import Gate
from airlock_daemon.fairness.turns import Turns
from airlock_daemon.setup.generation import Generation


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """Whose conversation it is.

    `generation` is the one that admitted the errand, `current` tells that of now. `turns` are the
    agent's, and `gate` counts what is held of its clients' bytes.
    """

    generation: Generation
    current: Callable[[], Generation]
    turns: Turns
    gate: Gate
