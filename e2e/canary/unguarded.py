"""``unguarded.py GUARD ...``: the daemon with one guard off, so that attacks are seen to work.

It is a program of its own, like any daemon under test, and the one place below e2e that knows the
packages: to switch a guard off is to know where it is.
"""

import sys
from collections.abc import Callable
from typing import Any

import airlock_wire.text
from airlock_daemon.brokers.git import conversation, push, rules
from airlock_daemon.brokers.git.errand import SshErrand
from airlock_daemon.brokers.ssh import pinning, session
from airlock_daemon.brokers.ssh import words as ssh_command
from airlock_daemon.brokers.ssh.known_hosts import Known
from airlock_daemon.brokers.ssh.session import Admitted
from airlock_daemon.cli import main
from airlock_daemon.request import errand, session_errand
from airlock_daemon.request.errand import Asked
from airlock_modules import Query, read_host_line
from airlock_modules.remotes import ssh_words
from airlock_modules.remotes.errors import RemoteError
from airlock_modules.remotes.grants import read_place
from airlock_modules.remotes.pkt_line import PacketReader
from airlock_modules.remotes.push_list import PushReader


def _put(where: object, name: str, value: object) -> Any:
    """Replace what is called so, and return it. Raises AttributeError where there is no such."""
    real = getattr(where, name)
    setattr(where, name, value)
    return real


def words() -> None:
    """What the client says stands behind the daemon's own words."""

    async def admit(args: tuple[str, ...], generation: Any, _: Any) -> SshErrand:
        ssh = ssh_command.profile_words(generation.agent.profile.env)
        return SshErrand(
            asked=ssh_words.read_ssh_words(("forge", "git-upload-pack 'x'")),
            program=generation.programs.find(ssh[0]),
            argv=(*ssh, *ssh_command.FORCED, *args[1:]),
            is_pinned=True,
        )

    _put(errand, "admit", admit)


def sessions() -> None:
    """The same of ssh itself."""

    async def admit(args: tuple[str, ...], module: Any, generation: Any, _: Any) -> Admitted:
        return Admitted(
            asked=Query(words=args),
            program=generation.programs.find(module.bin),
            argv=(module.bin, *module.prepend, *ssh_command.FORCED, "-oLogLevel=INFO", *args),
        )

    _put(session_errand, "admit", admit)


def logins() -> None:
    """Every host is granted by its name."""
    _put(session, "find_host", lambda _, login: read_host_line(login.host))


def paths() -> None:
    """A path is what the client says."""
    _put(ssh_words, "read_path", lambda text: text)


def places() -> None:
    """Every place is granted by its name."""
    _put(rules, "find_place", lambda *_: read_place("host/path"))


def addresses() -> None:
    """Every address is public."""
    _put(pinning, "find_inner", lambda _: None)


def known() -> None:
    """Every host is known, and its address is public: it is one of this host all the same."""

    async def find(*_: object) -> Known:
        return Known(frozenset(("any",)), is_revoked=False)

    addresses()
    _put(pinning.Pinning, "_known", find)


def refs() -> None:
    """Every push may do what it says."""
    _put(push, "judge_push", lambda *_: ())


def lists() -> None:
    """What cannot be read in a list is passed over."""

    def read_or_not(self: PushReader, packet: bytes) -> None:
        try:
            read(self, packet)
        except RemoteError:
            return

    def take_or_not(self: PacketReader) -> Any:
        try:
            return take(self)
        except RemoteError:
            self.size = len(self.held)
            return b""

    read = _put(PushReader, "_take", read_or_not)
    take = _put(PacketReader, "take", take_or_not)


def options() -> None:
    """The human's configuration says everything."""
    _put(ssh_command, "FORCED", ("-oBatchMode=yes",))


def environment() -> None:
    """The client's variables are those of ssh."""

    def begin_with(self: Any, request: Any, *rest: Any, **more: Any) -> None:
        begin(self, request, *rest, **more)
        self.means.variables.update(request.env)

    begin = _put(Asked, "__init__", begin_with)


def streams() -> None:
    """A descriptor is believed to be what it must be."""

    async def read(transport: Any, turns: Any) -> Any:
        return await transport.read(turns)

    _put(conversation, "_read", read)


def texts() -> None:
    """What a client says is shown as it is."""
    real = airlock_wire.text.quote
    for name, module in list(sys.modules.items()):
        if name.startswith("airlock_") and getattr(module, "quote", None) is real:
            _put(module, "quote", lambda text, **_: text)


OFF: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        *(words, sessions, logins, paths, places, addresses, known, refs),
        *(lists, options, environment, streams, texts),
    )
}


if __name__ == "__main__":
    OFF[sys.argv.pop(1)]()
    main()
