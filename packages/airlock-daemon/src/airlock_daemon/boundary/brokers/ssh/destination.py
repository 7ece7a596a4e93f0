"""Where the human's ssh leads for an agent, by ssh -G and known_hosts (sshd(8)), and its argv."""

import base64
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from airlock_daemon.boundary.brokers.http import find_inner, resolve
from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.errors import Denied, Failed
from airlock_daemon.path_text import expand_home
from airlock_wire import quote

# This machine's own host keys.
OWN_KEYS = "/etc/ssh"

_FIELDS = 3


class SshDestination(msgspec.Struct, frozen=True, kw_only=True):
    """A destination as the client named it: `host` has brackets around an IPv6 address.

    `port` None is the configured one or ssh's default; `family` 4 or 6 restricts the addresses.
    """

    user: str | None
    host: str
    port: int | None
    family: Literal[4, 6] | None

    @property
    def word(self) -> str:
        """The destination for ssh: without brackets around an address."""
        host = self.host.strip("[]")
        return host if self.user is None else f"{self.user}@{host}"

    @property
    def port_words(self) -> tuple[str, ...]:
        """The options for the port."""
        return () if self.port is None else ("-p", str(self.port))

    @property
    def family_words(self) -> tuple[str, ...]:
        """The options for the address family."""
        return () if self.family is None else (f"-{self.family}",)

    async def choose_argv(
        self,
        words: Sequence[str],
        command: Sequence[str],
        *,
        options: Sequence[str],
        log_level: str = "INFO",
        requester: Requester,
        refuse: Callable[[str], Denied],
        is_named: bool,
        is_granted: bool,
        is_reserved: "Callable[[SshSettings], bool] | None" = None,
    ) -> tuple[str, ...]:
        """Return ssh's argv to run `command` there; the other arguments are as of `build_words`.

        Unless the profile names the host itself (`is_named`), it is pinned to a checked address, as
        by `Pinning.pin`. `refuse` makes a refusal of a problem. Raises Denied, Failed.
        """
        build = partial(build_words, words, self, command, options=options, log_level=log_level)
        if is_named:
            return build()
        pinning = Pinning(self, build, requester=requester, refuse=refuse)
        return build(pinned=await pinning.pin(is_granted=is_granted, is_reserved=is_reserved))


# ssh uses an option's first value, so these override the human's configuration and the profile.
FORCED = (
    "-oBatchMode=yes",
    "-oStrictHostKeyChecking=yes",
    "-oUpdateHostKeys=no",
    "-oEscapeChar=none",
    "-oPermitLocalCommand=no",
    "-oRemoteCommand=none",
    "-oForwardAgent=no",
    "-oForwardX11=no",
    "-oClearAllForwardings=yes",
    "-oTunnel=no",
    "-oControlMaster=no",
    "-oControlPath=none",
    "-oAddKeysToAgent=no",
    "-oGSSAPIDelegateCredentials=no",
)


def build_words(
    words: Sequence[str],
    goal: SshDestination,
    command: Sequence[str],
    *,
    options: Sequence[str] = (),
    pinned: Sequence[str] = (),
    log_level: str = "INFO",
) -> tuple[str, ...]:
    """Build the argv from the operator's `words`, and `pinned` options for the address.

    `options` and `command` are the broker's own, or parsed from the client's arguments.
    """
    return (
        words[0],
        *FORCED,
        f"-oLogLevel={log_level}",
        *pinned,
        *options,
        *goal.family_words,
        *goal.port_words,
        *words[1:],
        "--",
        goal.word,
        *command,
    )


class Known(msgspec.Struct, frozen=True):
    """The entries of known_hosts files for one name.

    `keys` are on lines that have the name itself, hashed or not; `is_revoked`: a line revokes one
    of its keys.
    """

    keys: frozenset[str]
    is_revoked: bool


class SshSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings with which the human's ssh would connect to a destination.

    `name` is its name in known_hosts; `host` the name or address to connect to, through the proxy
    or jump host `route`, if any. `options` is the whole output of ssh -G, for comparison with
    another.
    """

    name: str
    host: str
    route: str | None
    known_hosts: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]


def read_settings(printed: str, *, home: str) -> SshSettings:
    """Parse the output of `ssh -G`: one option per line, in lower case. Raises KeyError."""
    options: dict[str, tuple[str, ...]] = {}
    for line in printed.removesuffix("\n").split("\n"):
        key, _, value = line.partition(" ")
        options[key] = (*options.get(key, ()), value)
    host, port = options["hostname"][0], options["port"][0]
    alias = options.get("hostkeyalias", (host if port == "22" else f"[{host}]:{port}",))[0]
    routes = (options.get(key, ("none",))[0] for key in ("proxyjump", "proxycommand"))
    files = " ".join(
        (*options.get("userknownhostsfile", ()), *options.get("globalknownhostsfile", ()))
    )
    return SshSettings(
        name=alias,
        host=host,
        route=next((route for route in routes if route != "none"), None),
        known_hosts=tuple(expand_home(file, home) for file in files.split()),
        options=options,
    )


def read_found(printed: Iterable[str], name: str) -> Known:
    """Parse the output of `ssh-keygen -F NAME` for one file: lines, with comments between them.

    It also finds lines with wildcards, certificate authorities and revoked keys.
    """
    keys = set()
    is_revoked = False
    for line in printed:
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if fields[0].startswith("@"):
            is_revoked = is_revoked or fields[0] == "@revoked"
        elif len(fields) >= _FIELDS and _names(fields[0], name):
            keys.add(fields[2])
    return Known(frozenset(keys), is_revoked)


def _names(hosts: str, name: str) -> bool:
    # A hashed line has one name, which ssh-keygen has matched.
    return hosts.startswith("|1|") or name.lower() in hosts.lower().split(",")


def read_own_keys(directory: str = OWN_KEYS) -> frozenset[str]:
    """This machine's public host keys, in the form of known_hosts."""
    return frozenset(_read_keys(directory))


def _read_keys(directory: str) -> Iterator[str]:
    for path in sorted(Path(directory).glob("ssh_host_*_key.pub")):
        try:
            fields = path.read_text(encoding="ascii").split()
            base64.b64decode(fields[1], validate=True)
        except (OSError, ValueError, IndexError):
            # Not a key of OpenSSH, or not readable.
            continue
        yield fields[1]


# Options that pinning changes in the output of `ssh -G`.
_PINNED = frozenset(("hostname", "hostkeyalias", "checkhostip"))


class Pinning:
    """Resolves where `goal` leads, and pins ssh to the checked address.

    `build` makes ssh's argv; its `pinned` are the options that `pin` returns. `ssh -G` gets all of
    it, since a `Match` in its configuration may depend on any argument. `refuse` makes a refusal of
    a problem.
    """

    def __init__(
        self,
        goal: SshDestination,
        build: Callable[..., tuple[str, ...]],
        *,
        requester: Requester,
        refuse: Callable[[str], Denied],
    ) -> None:
        self._goal = goal
        self._build = build
        self._programs = requester.generation.programs
        self._requester = requester
        self._refuse = refuse

    async def pin(
        self, *, is_granted: bool, is_reserved: Callable[[SshSettings], bool] | None = None
    ) -> tuple[str, ...]:
        """Return the options that make ssh connect to a checked address.

        Unless `is_granted`, the host must be in known_hosts. Where ssh would connect to must not be
        reserved for git. Raises Denied, Failed.
        """
        settings = await self._settings(())
        if is_reserved is not None and is_reserved(settings):
            raise self._needs_naming("leads to an account of a server of git")
        if settings.route is not None:
            raise self._needs_naming(
                "is reached through a proxy or jump host, which resolves names itself"
            )
        known = await self._known(settings)
        if not is_granted and (not known.keys or known.is_revoked):
            raise self._needs_naming("is no host that known_hosts has by its own name")
        if known.keys & read_own_keys():
            raise self._needs_naming("shows a key of the daemon's own host")
        addresses = await resolve(
            settings.host, family=self._goal.family, limiter=self._requester.lookups
        )
        inner = find_inner(addresses)
        if inner is not None:
            raise self._needs_naming("has an address of this host or of no public network")
        pinned = (
            f"-oHostName={addresses[0]}",
            f"-oHostKeyAlias={settings.name}",
            "-oCheckHostIP=no",
        )
        again = await self._settings(pinned)
        if _without_pin(again) != _without_pin(settings):
            raise self._needs_naming("is configured by its address, or by Match host")
        return pinned

    def _needs_naming(self, why: str) -> Denied:
        return self._refuse(
            f"{quote(self._goal.host)} {why}, and is not named in the grant of this agent"
        )

    async def _settings(self, pinned: tuple[str, ...]) -> SshSettings:
        name, *words = self._build(pinned=pinned)
        program = self._programs.demand(name)
        status, said = await self._requester.run_program(program, (name, "-G", *words))
        try:
            if status != 0:
                raise KeyError(status)
            printed = said.decode("utf-8", "surrogateescape")
            return read_settings(printed, home=self._requester.home)
        except (KeyError, IndexError) as error:
            raise Failed(
                f"{name} does not say how it would reach a host (exit status {status})",
                hint="a person on the host can see why: ssh -G HOST",
            ) from error

    async def _known(self, settings: SshSettings) -> Known:
        found = Known(frozenset(), is_revoked=False)
        keygen = self._programs.demand("ssh-keygen")
        for file in filter(os.path.isfile, settings.known_hosts):
            words = ("ssh-keygen", "-F", settings.name, "-f", file)
            _, said = await self._requester.run_program(keygen, words)
            lines = said.decode("utf-8", "replace").splitlines()
            more = read_found(lines, settings.name)
            found = Known(found.keys | more.keys, found.is_revoked or more.is_revoked)
        return found


def _without_pin(settings: SshSettings) -> dict[str, tuple[str, ...]]:
    return {key: value for key, value in settings.options.items() if key not in _PINNED}
