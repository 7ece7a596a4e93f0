"""The features of the protocol that a command is run with, and the stdio that follows."""

import msgspec

from airlock_daemon.command.stdio import Direct, Piped, PseudoTerminal, Stdio
from airlock_daemon.connection.descriptors import Passed
from airlock_wire import Request, Terminal

# Those that mean the same whichever way the output goes.
_ALWAYS = frozenset(("signals", "exit-signal", "env"))


class Terms(msgspec.Struct, frozen=True):
    """What client and daemon agree on. `terminal` is None where the tool gets none of the daemon's.

    `features` is None for a client that asked for none, in the order of the request otherwise.
    """

    features: tuple[str, ...] | None
    terminal: Terminal | None = None

    def uses(self, feature: str) -> bool:
        """Whether a feature is used."""
        return self.features is not None and feature in self.features


def agree(request: Request, *, may_pass: bool, is_captured: bool) -> Terms:
    """Choose the features.

    `may_pass` says that descriptors came that the tool may have; `is_captured` that its output is
    held back for a hook, where a terminal would have a tool ask what nobody can read.
    """
    if request.features is None:
        return Terms(None)
    usable = set(_ALWAYS)
    terminal = None
    if may_pass:
        usable.add("fds")
    else:
        usable |= {"base64", "stdin"}
        wanted = request.terminal if "tty" in request.features and not is_captured else None
        if wanted is not None and wanted.is_wanted:
            terminal = wanted
            usable.add("tty")
    names = dict.fromkeys(name for name in request.features if name in usable)
    return Terms(tuple(names), terminal)


def find_term(request: Request, terms: Terms, passed: Passed) -> str | None:
    """The TERM of the tool: the client's, where it has a terminal of either kind."""
    if request.terminal is None:
        return None
    is_there = terms.terminal is not None or (terms.uses("fds") and "terminal" in passed.kinds)
    return request.terminal.term if is_there else None


def open_stdio(terms: Terms, passed: Passed, *, null: int) -> Stdio:
    """Open what the terms ask for, and close the passed descriptors where they are not used.

    `null` is the host's /dev/null, open for reading and writing. Raises OSError where there are no
    descriptors left.
    """
    if terms.uses("fds"):
        return Direct(passed, null=null)
    passed.close()
    if terms.terminal is not None:
        return PseudoTerminal(terms.terminal, has_input=terms.uses("stdin"))
    return Piped(has_input=terms.uses("stdin"))
