"""One command of the list: what is run, on what it stands, and what it is connected to.

The list is `commands/*.toml`; README.md describes its keys. Everything here is plain data.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

Stream = Literal["pipe", "file", "null", "closed", "terminal"]


class Word(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments that a list of strings cannot hold.

    Either one that need not be UTF-8, as `hex`adecimal digits, or `repeat` of them, each `text`
    with its number behind it.
    """

    hex: str = ""
    text: str = ""
    repeat: int = 0

    def arguments(self) -> list[bytes]:
        """Return them."""
        if self.hex:
            return [bytes.fromhex(self.hex)]
        return [f"{self.text}{number}".encode() for number in range(self.repeat)]


class Content(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a standard input or a file holds: `text`, or one of the generated contents.

    `random` is a number of bytes, the same each time; `lines` a number of numbered lines. As a
    standard input it comes `via` a pipe, a socket, or a file of its own outside the workspace.
    """

    text: str = ""
    random: int = 0
    lines: int = 0
    via: Literal["pipe", "file", "socket"] = "pipe"


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One exchange with a command that runs: once it has written `expect`, one of the others.

    `send` is text for its standard input or terminal, `end` closes its standard input, `signal` is
    sent to the client, `resize` gives the terminal that many rows and columns.
    """

    expect: str
    send: str = ""
    end: bool = False
    signal: str = ""
    resize: tuple[int, int] | None = None


class Screen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terminal on which the client stands."""

    rows: int = 24
    cols: int = 80
    term: str = "xterm-256color"


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One command of the list.

    Either `run` is the argument vector of the tool, or `shell` a line for the client's own shell in
    which `{NAME}` stands for the tool NAME. `status` is what the direct run must end with, as a
    shell shows it, and `shows` what it must write: an entry that no longer does what it says fails.
    `apart` names carriages that are left out, each with its reason; with `container-` in front,
    from containers only; `boxed` is for what no box can show. `normalise` names what differs by
    chance. `tells_place` is for what tells where it runs: a box has the container's own path, which
    then stands for the host's. `adds` is part of a last line that Airlock writes to stderr:
    it must be there, and is left out of the comparison.
    """

    id: str
    run: tuple[str | Word, ...] = ()
    shell: str = ""
    status: int = 0
    shows: str = ""
    workspace: str = ""
    files: Mapping[str, Content] = {}
    stdin: Content | Literal["null", "closed", "idle", "terminal"] | None = None
    stdout: Stream | None = None
    stderr: Stream | Literal["stdout"] | None = None
    screen: Screen | None = None
    talk: tuple[Step, ...] = ()
    normalise: tuple[Literal["uuid", "terminal-name"], ...] = ()
    tells_place: bool = False
    adds: str = ""
    apart: Mapping[str, str] = {}
    container: bool = True
    docker_run: bool = False

    @property
    def tool(self) -> str:
        """The tool of the first word; of a shell line, the first that it names."""
        return self.tools[0]

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools that go through Airlock, each once, in the order of their appearance."""
        if self.run:
            first = self.run[0]
            assert isinstance(first, str)
            return (first,)
        names = (piece.partition("}")[0] for piece in self.shell.split("{@")[1:])
        return tuple(dict.fromkeys(names))

    @property
    def ends(self) -> tuple[Content | str, str, str]:
        """What stdin, stdout and stderr are connected to. On a screen, the terminal by default."""
        other = ("terminal",) * 3 if self.screen else ("null", "pipe", "pipe")
        return (self.stdin or other[0], self.stdout or other[1], self.stderr or other[2])

    @property
    def is_on_terminal(self) -> bool:
        """Whether all three are the terminal: what `docker exec -it` gives."""
        return self.ends == ("terminal",) * 3

    @property
    def needs_attention(self) -> bool:
        """Whether somebody has to be there while it runs: to answer it, or to hold its terminal."""
        return self.screen is not None or bool(self.talk)

    def argv(self, calls: Mapping[str, Sequence[str]]) -> list[bytes]:
        """Return the client's argument vector; `calls` has the first words of a call by tool."""
        if self.shell:
            text = self.shell
            for name in self.tools:
                text = text.replace("{@" + name + "}", shlex.join(calls[name]))
            return [b"sh", b"-c", text.encode(), b"sh"]
        words = [word.encode() for word in calls[self.tool]]
        for item in self.run[1:]:
            words += [item.encode()] if isinstance(item, str) else item.arguments()
        return words
