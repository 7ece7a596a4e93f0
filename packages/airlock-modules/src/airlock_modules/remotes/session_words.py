"""Parsing ssh's command line as ssh does, and selecting the options to forward.

Options come before the destination and directly after it, in clusters, with their value joined or
as the next argument. As in ssh the first value wins, except for -4 and -6 and for -t and -T, where
the last one wins.

Of the named options (`-o NAME=VALUE`) only those pass that name no file, run no program, forward
nothing through the connection and do not weaken the host key check.
"""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from airlock_modules.remotes.destination import (
    Login,
    RemoteError,
    read_host,
    read_port,
    read_user,
)
from airlock_wire.text import quote

# ssh's syntax of an option: blanks around the name, and one = or blanks before the value.
_OPTION = re.compile(r"[ \t]*([A-Za-z0-9]+)(?:[ \t]*=[ \t]*|[ \t]+)(.*)", re.DOTALL)

# ssh removes these quotes. A value with blanks, # or other quotes inside stays quoted.
_QUOTED = re.compile(r"\"([^\s\"'\\#]+)\"")

_YES, _NO, _EITHER, _NUMBER = "yes", "no", "yes|no", "[0-9]{1,9}"
# Algorithms such as ciphers: names, joined by commas, with wildcards and a leading + - or ^.
_ALGORITHMS = "[+^-]?[A-Za-z0-9*][A-Za-z0-9@.,*_-]*"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
# Names of methods, without dots.
_METHODS = "[a-z,-]+"

_PASSED: Mapping[str, str] = {
    "BindAddress": "[0-9A-Fa-f.:]+",
    "BindInterface": "[A-Za-z0-9._-]+",
    "ChallengeResponseAuthentication": _EITHER,
    "Ciphers": _ALGORITHMS,
    "Compression": _EITHER,
    "ConnectTimeout": "[0-9]{1,9}[smhd]?|none",
    "ConnectionAttempts": _NUMBER,
    "FingerprintHash": "md5|sha256",
    "GSSAPIAuthentication": _NO,
    "HostKeyAlgorithms": _ALGORITHMS,
    "IPQoS": "[A-Za-z0-9]+( [A-Za-z0-9]+)?",
    # "no" would offer keys that the host's configuration withholds from this destination.
    "IdentitiesOnly": _YES,
    "IdentityAgent": "none",
    "KbdInteractiveAuthentication": _EITHER,
    "KexAlgorithms": _ALGORITHMS,
    "MACs": _ALGORITHMS,
    "NumberOfPasswordPrompts": _NUMBER,
    "PasswordAuthentication": _EITHER,
    "PreferredAuthentications": _METHODS,
    "PubkeyAcceptedAlgorithms": _ALGORITHMS,
    "PubkeyAcceptedKeyTypes": _ALGORITHMS,
    "PubkeyAuthentication": _EITHER,
    "RekeyLimit": "[0-9]+[KMG]?( [0-9]+[smhdw]?)?",
    "ServerAliveCountMax": _NUMBER,
    "ServerAliveInterval": "[0-9]{1,9}[smhd]?",
    # Excludes values that ssh would expand ($, %) or split (quotes, blanks).
    "SetEnv": rf"{_VARIABLE}=[A-Za-z0-9_.,:/@+=-]*",
    "TCPKeepAlive": _EITHER,
    "VerifyHostKeyDNS": _NO,
    "VisualHostKey": _EITHER,
}
"""The forwarded options, in the manual's spelling, with their permitted values."""

_HELD: Mapping[str, str] = {
    "AddKeysToAgent": _NO,
    "BatchMode": _EITHER,
    "CheckHostIP": _EITHER,
    "ClearAllForwardings": _YES,
    # Without connection sharing a client works the same, only slower.
    "ControlMaster": ".*",
    "ControlPath": ".*",
    "ControlPersist": ".*",
    "EscapeChar": "none",
    "ExitOnForwardFailure": _EITHER,
    "ForwardAgent": _NO,
    "ForwardX11": _NO,
    "ForwardX11Trusted": _NO,
    "GSSAPIDelegateCredentials": _NO,
    "PermitLocalCommand": _NO,
    "RemoteCommand": "none",
    "StrictHostKeyChecking": "yes|ask|accept-new",
    "Tunnel": _NO,
    "UpdateHostKeys": _NO,
}
"""Options that the daemon sets itself: these values agree with it, or are ignored."""

_SESSION: Mapping[str, str] = {
    "AddressFamily": "any|inet|inet6",
    "LogLevel": "QUIET|FATAL|ERROR|INFO|VERBOSE|DEBUG[123]?",
    "Port": ".*",
    "RequestTTY": "no|yes|force|auto",
    "SendEnv": r"(LANG|LC_\*|LC_[A-Z]+|GIT_PROTOCOL)([ \t]+(LANG|LC_\*|LC_[A-Z]+|GIT_PROTOCOL))*",
    "StdinNull": _EITHER,
    "User": ".*",
}
"""Options equivalent to a flag, or checked more closely elsewhere."""

_KNOWN = {
    name.lower(): (name, re.compile(values, re.IGNORECASE | re.ASCII))
    for table in (_PASSED, _HELD, _SESSION)
    for name, values in table.items()
}


def read_option(text: str) -> tuple[str, str]:
    """Parse the value of `-o`: the name in the manual's spelling, and a permitted value.

    Raises RemoteError.
    """
    found = _OPTION.fullmatch(text)
    known = None if found is None else _KNOWN.get(found[1].lower())
    if found is None or known is None:
        raise RemoteError(f"-o {quote(text, limit=80)} is not passed on", rule="-o")
    name, values = known
    value = found[2].rstrip(" \t")
    quoted = _QUOTED.fullmatch(value)
    value = value if quoted is None else quoted[1]
    if not values.fullmatch(value):
        shown = quote(value, limit=80)
        raise RemoteError(f"-o {name} cannot be set to {shown} here", rule=f"-o {name}")
    return name, value


def is_passed(name: str) -> bool:
    """Whether an option from `read_option` is given to ssh unchanged."""
    return name in _PASSED


Terminal = Literal["no", "auto", "yes", "force"]

# Maximum bytes of the remote command; an argument may have 128 KiB.
_MAX_COMMAND = 100_000
_QUERY = re.compile("[A-Za-z0-9][A-Za-z0-9-]*")

_FILES = "it names a file: keys and settings are those of the host's own ssh configuration"
_WAYS = "it would lead between the networks of the host and others"
_LENDING = "it would lend the host's keys, tickets or display"
_SHARING = "it would use or leave behind a connection that others share"
_REFUSED: Mapping[str, str] = {
    **dict.fromkeys("iFEI", _FILES),
    **dict.fromkeys("LRDWwgNf", _WAYS),
    **dict.fromkeys("AKXY", _LENDING),
    **dict.fromkeys("SMO", _SHARING),
    "J": "a jump host is named in the host's own ssh configuration (ProxyJump)",
    "P": "it would choose among the settings of the host's own ssh configuration",
    "G": "it would print the host's own ssh configuration",
    "y": "it would write to a log of the host",
    "e": "it would bring back escapes, whose menu opens tunnels and command lines",
}
_VALUED = frozenset("BbcDEeFIiJLlmOoPpQRSWw")
# Flags with a value, and the named option equivalent to each.
_NAMED = {
    "B": "BindInterface",
    "b": "BindAddress",
    "c": "Ciphers",
    "l": "User",
    "m": "MACs",
    "p": "Port",
}
_FAMILIES: Mapping[str, Literal[4, 6]] = {"inet": 4, "inet6": 6}
_TERMINALS: Mapping[str, Terminal] = {"no": "no", "yes": "yes", "force": "force"}
# Flags that switch off what is off already.
_OFF = frozenset("akx2")


class Session(Struct, frozen=True, kw_only=True):
    """One session requested by a client.

    `command` goes to the remote shell, None for a login; with `is_subsystem` it names a subsystem
    (sftp). `options` are pairs of name and value for ssh, each name once. `sends` are names of
    variables for the remote. `family` is 4 or 6 to restrict addresses to IPv4 or IPv6.
    """

    login: Login
    command: str | None
    is_subsystem: bool = False
    family: Literal[4, 6] | None = None
    terminal: Terminal = "auto"
    log_level: str = "INFO"
    is_verbose: bool = False
    has_no_input: bool = False
    options: tuple[tuple[str, str], ...] = ()
    sends: tuple[str, ...] = ()


class Query(Struct, frozen=True, kw_only=True):
    """A query about ssh itself: its version (-V), its features (-Q), or its usage (())."""

    words: tuple[str, ...]


def read_session_words(words: Sequence[str]) -> Session | Query:
    """Parse ssh's arguments. Raises RemoteError for those that are not forwarded.

    The result names no file, and runs nothing on the machine where ssh runs.
    """
    reader = _Reader(words)
    reader.read_options()
    if reader.query is None and reader.rest:
        reader.read_destination()
        if not reader.is_terminated:
            reader.read_options()
    return reader.conclude()


class _Reader:
    """The state of parsing ssh's arguments."""

    def __init__(self, words: Sequence[str]) -> None:
        self.rest = deque(words)
        self.is_terminated = False
        self.query: Query | None = None
        self._host: str | None = None
        self._values: dict[str, str] = {}
        self._sends: dict[str, None] = {}
        self._family: Literal[4, 6] | None = None
        self._terminal: Terminal | None = None
        self._flags: set[str] = set()

    def read_options(self) -> None:
        """Consume options up to the first operand, or through `--`."""
        while self.query is None and self.rest and self.rest[0].startswith("-"):
            # A lone dash is an operand to getopt(3).
            if self.rest[0] == "-":
                return
            word = self.rest.popleft()
            if word == "--":
                self.is_terminated = True
                return
            self._read_cluster(word[1:])

    def read_destination(self) -> None:
        """Consume the destination. An earlier option takes precedence over its user and port."""
        login = read_login(self.rest.popleft())
        self._host = login.host
        if login.user is not None:
            self._values.setdefault("User", login.user)
        if login.port is not None:
            self._values.setdefault("Port", str(login.port))

    def _read_cluster(self, letters: str) -> None:
        for at, letter in enumerate(letters):
            if letter not in _VALUED:
                self._take_flag(letter)
                continue
            value = letters[at + 1 :]
            if not value:
                if not self.rest:
                    raise RemoteError(f"-{letter} has no value", rule="words")
                value = self.rest.popleft()
            self._take_value(letter, value)
            return

    def _take_flag(self, letter: str) -> None:
        match letter:
            case "4" | "6":
                self._family = 4 if letter == "4" else 6
            case "T":
                self._terminal = "no"
            case "t":
                self._terminal = "force" if self._terminal in ("yes", "force") else "yes"
            case "q" | "v" | "n" | "s":
                self._flags.add(letter)
            case "C":
                self._values.setdefault("Compression", "yes")
            case "V":
                self.query = Query(words=("-V",))
            case _ if letter not in _OFF:
                raise _refuse(letter)

    def _take_value(self, letter: str, value: str) -> None:
        if letter == "Q":
            if not _QUERY.fullmatch(value):
                raise RemoteError(f"{quote(value, limit=80)} is nothing to ask for", rule="-Q")
            self.query = self.query or Query(words=("-Q", value))
        elif letter == "o":
            self._take_option(*read_option(value))
        elif letter in _NAMED:
            self._take_option(*read_option(f"{_NAMED[letter]}={value}"))
        elif letter not in "eS" or value != "none":
            raise _refuse(letter)

    def _take_option(self, name: str, value: str) -> None:
        if name == "User":
            read_user(value)
        elif name == "Port":
            read_port(value, "ssh")
        elif name == "SendEnv":
            self._sends.update(dict.fromkeys(value.split()))
            return
        self._values.setdefault(name, value)

    def conclude(self) -> Session | Query:
        """Return the result. Without a destination ssh prints its usage."""
        if self.query is not None or self._host is None:
            return self.query or Query(words=())
        return self._make_session(self._host)

    def _make_session(self, host: str) -> Session:
        values = self._values
        port = values.get("Port")
        level = values.get("LogLevel", "INFO").upper()
        is_quiet = "q" in self._flags
        is_verbose = "v" in self._flags or level.startswith(("VERBOSE", "DEBUG"))
        return Session(
            login=Login(
                user=values.get("User"),
                host=host,
                port=None if port is None else read_port(port, "ssh"),
            ),
            command=self._read_command(),
            is_subsystem="s" in self._flags,
            family=self._family or _FAMILIES.get(values.get("AddressFamily", "").lower()),
            terminal=self._terminal or _TERMINALS.get(values.get("RequestTTY", "").lower(), "auto"),
            log_level="QUIET" if is_quiet else "INFO" if is_verbose else level,
            is_verbose=is_verbose and not is_quiet,
            has_no_input="n" in self._flags or values.get("StdinNull", "").lower() == "yes",
            options=tuple((name, value) for name, value in values.items() if is_passed(name)),
            sends=tuple(self._sends),
        )

    def _read_command(self) -> str | None:
        if not self.rest:
            if "s" in self._flags:
                raise RemoteError("-s has no subsystem behind the destination", rule="words")
            return None
        command = " ".join(self.rest)
        if len(command.encode("utf-8", "surrogatepass")) > _MAX_COMMAND:
            raise RemoteError(
                f"the command is longer than {_MAX_COMMAND} bytes: send it on stdin",
                rule="command",
            )
        return command


def _refuse(letter: str) -> RemoteError:
    shown = f"-{letter}" if letter in _VALUED or letter in _REFUSED else quote(f"-{letter}")
    reason = _REFUSED.get(letter, "it is not known to be harmless")
    return RemoteError(f"{shown} is not passed on: {reason}", rule=shown)


_URI = re.compile(r"ssh://(?P<login>[^/:\[\]]+|[^/\[\]]*\[[^/\]]*\])(?::(?P<port>[^/]+))?/?")


def read_login(text: str) -> Login:
    """Parse an ssh destination: `[user@]host` or `ssh://[user@]host[:port]`.

    Raises RemoteError for what ssh would expand, or another program could interpret.
    """
    port = None
    if text.startswith("ssh://"):
        found = _URI.fullmatch(text)
        if found is None:
            raise RemoteError(f"{quote(text, limit=80)} cannot name a host", rule="host")
        text = found["login"]
        port = None if found["port"] is None else read_port(found["port"], "ssh")
    user, at, host = text.rpartition("@")
    return Login(user=read_user(user) if at else None, host=read_host(host), port=port)
