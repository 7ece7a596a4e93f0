"""Options of ssh by name (`-o NAME=VALUE`): those that a client may set, and to what.

None of them names a file, runs a program, opens a way through the connection or weakens the check
of the host's key.
"""

import re
from collections.abc import Mapping

from airlock_modules.remotes.errors import RemoteError
from airlock_wire.text import quote

# What ssh takes for one option: blanks around the name, and one = or blanks before the value.
_OPTION = re.compile(r"[ \t]*([A-Za-z0-9]+)(?:[ \t]*=[ \t]*|[ \t]+)(.*)", re.DOTALL)

# ssh takes these quotes off. What blanks, a # or other quotes within them mean is left to it.
_QUOTED = re.compile(r"\"([^\s\"'\\#]+)\"")

_YES, _NO, _EITHER, _NUMBER = "yes", "no", "yes|no", "[0-9]{1,9}"
# Ciphers and their like: names, joined by commas, with + - ^ in front and stars in them.
_ALGORITHMS = "[+^-]?[A-Za-z0-9*][A-Za-z0-9@.,*_-]*"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
# Names of methods, which hold no dots.
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
    # "no" would offer keys that the host's configuration keeps from this destination.
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
    # Values that ssh would replace ($, %) or take apart (quotes, blanks) are none.
    "SetEnv": rf"{_VARIABLE}=[A-Za-z0-9_.,:/@+=-]*",
    "TCPKeepAlive": _EITHER,
    "VerifyHostKeyDNS": _NO,
    "VisualHostKey": _EITHER,
}
"""What is passed on, in the manual's spelling, with the values that it may have."""

_HELD: Mapping[str, str] = {
    "AddKeysToAgent": _NO,
    "BatchMode": _EITHER,
    "CheckHostIP": _EITHER,
    "ClearAllForwardings": _YES,
    # Without a shared connection a client does the same, but for the time it takes.
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
"""What the daemon says itself: these values agree with that, or are ignored."""

_SESSION: Mapping[str, str] = {
    "AddressFamily": "any|inet|inet6",
    "LogLevel": "QUIET|FATAL|ERROR|INFO|VERBOSE|DEBUG[123]?",
    "Port": ".*",
    "RequestTTY": "no|yes|force|auto",
    "SendEnv": r"(LANG|LC_\*|LC_[A-Z]+|GIT_PROTOCOL)([ \t]+(LANG|LC_\*|LC_[A-Z]+|GIT_PROTOCOL))*",
    "StdinNull": _EITHER,
    "User": ".*",
}
"""What a flag of ssh says as well, or what is looked at more closely elsewhere."""

_KNOWN = {
    name.lower(): (name, re.compile(values, re.IGNORECASE | re.ASCII))
    for table in (_PASSED, _HELD, _SESSION)
    for name, values in table.items()
}


def read_option(text: str) -> tuple[str, str]:
    """Read what stands behind `-o`: the name in the manual's spelling, and a value it may have.

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
    """Whether an option that `read_option` knows is given to ssh as it is."""
    return name in _PASSED
