"""The ways in which a command is run, each to be compared with the direct run."""

from dataclasses import dataclass
from typing import Literal

from e2e.faithful.runner.entry import Entry

Carriage = Literal["direct", "descriptors", "streamed"]

UNBOXED = "unboxed-"
"""What the name of a daemon begins with that has the tools of modules of its own in no box."""

BUILT_IN = ("git", "ssh")
"""The tools whose built-in modules are taken as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """From where a command is called, and how what it writes comes back."""

    place: Literal["host", "libc", "bare", "run"]
    """This host; a container with a libc; one without; one that `docker run -it` makes for it."""
    carriage: Carriage
    boxed: bool = True
    """Whether each tool is in the box that it gets where nobody turns that off."""

    def __str__(self) -> str:
        """Return the name that tests and summaries use."""
        return f"{self.place}-{self.daemon}"

    @property
    def daemon(self) -> str:
        """The daemon that serves this way; of a direct run, "direct"."""
        return self.carriage if self.boxed else f"{UNBOXED}{self.carriage}"

    def takes(self, entry: Entry) -> bool:
        """Whether `entry` can be run in this way, and is meant to be."""
        if self.carriage != "direct" and not self._fits_box(entry):
            return False
        if self.place == "host":
            return self.carriage not in entry.apart
        left_out = {self.carriage, f"container-{self.carriage}"} & entry.apart.keys()
        if left_out or not entry.container or not _fits_container(entry):
            return False
        if self.place == "run":
            return entry.docker_run
        # A `docker exec` for one entry takes a quarter of a second, and the shim is the same where
        # there is no libc: so there these are run with descriptors alone.
        return self != _BARE_STREAMED or not entry.needs_attention

    def _fits_box(self, entry: Entry) -> bool:
        """Whether the tools of `entry` are in what this way wants; built-ins keep their boxes."""
        return "boxed" not in entry.apart if self.boxed else not {*entry.tools} & {*BUILT_IN}


def _fits_container(entry: Entry) -> bool:
    """Whether the engine's client can connect `entry` as it wants.

    It passes no signals on, and connects either a terminal or three pipes.
    """
    if "closed" in entry.ends or any(step.signal for step in entry.talk):
        return False
    if entry.screen is not None:
        return entry.is_on_terminal
    return entry.stdin != "idle" or bool(entry.talk)


_BARE_STREAMED = Way(place="bare", carriage="streamed")

HOST_WAYS = (
    *(Way(place="host", carriage=carriage) for carriage in ("direct", "descriptors", "streamed")),
    Way(place="host", carriage="descriptors", boxed=False),
    Way(place="host", carriage="streamed", boxed=False),
)
CONTAINER_WAYS = (
    *(Way(place="libc", carriage=carriage) for carriage in ("descriptors", "streamed")),
    Way(place="bare", carriage="descriptors"),
    _BARE_STREAMED,
    Way(place="run", carriage="descriptors"),
    Way(place="run", carriage="streamed"),
)
