"""Sessions of ssh: words that are more than a session, and hosts that [ssh] does not name."""

from collections.abc import Iterator
from functools import partial

from e2e.canary.attack import Attack, Family
from e2e.canary.attack import ask as ask_any
from e2e.canary.families.hosts import HERE
from e2e.canary.families.words import DESTINATIONS, OPTIONS

_READ = "cat <account>/notes"

# What is no word for git's ssh either, or one of its own there.
_MORE: tuple[tuple[tuple[str, ...], bool], ...] = (
    (("-vo", "ProxyCommand=:><proof>/proxy; false"), True),
    (("-ttvo", "proxycommand :><proof>/proxy; false"), True),
    (("-o", "ProxyCommand = :><proof>/proxy; false"), True),
    (("-o", "=ProxyCommand=:><proof>/proxy; false"), True),
    (("-o", '"ProxyCommand" :><proof>/proxy; false'), True),
    (("-o", "ConnectTimeout=5\nProxyCommand=:><proof>/proxy"), False),
    (("-b", "--", "-oProxyCommand=:><proof>/proxy"), False),
    (("-P", "tag"), False),
    (("-oTag=tag",), False),
    (("-y",), False),
    (("-K",), False),
    (("-X",), False),
    (("-e", "~"), False),
    (("-O", "check"), False),
    (("-oProxyUseFdpass=yes",), False),
    (("-oIgnoreUnknown=*",), False),
    (("-oMatch exec :><proof>/match",), False),
    (("-oIdentitiesOnly=no",), False),
    (("-oIdentityAgent=<proof>/agent",), False),
    (("-oHostName=127.0.0.1",), False),
    (("-oHostKeyAlias=other",), False),
    (("-oSendEnv=HOME",), False),
    (("-oSetEnv=A=${HOME}",), False),
    (("-oSetEnv=A=%d",), False),
    (("-oXAuthLocation=/bin/touch", "-X"), False),
    (("-oRemoteCommand=:><proof>/remote",), False),
)
# What a session may do there by a command as well.
_MEANT = (("-o", "SetEnv=GIT_PROTOCOL=evil"),)
_SHOWING = (("-v",), ("-vvv",), ("-oLogLevel=DEBUG3",), ("-G",), ("-vT",))
_COMMANDS = ("\x1b]0;evil\x07", "\u202eevil", "a\nairlock: b", "x" * 5000)


def _attacks() -> Iterator[Attack]:
    ask = partial(ask_any, agent="session", command="ssh")
    for option, works in (*OPTIONS, *_MORE):
        if option in _MEANT:
            continue
        # Both sides of the destination are places for options.
        yield ask(
            f"before {' '.join(option)!r}",
            "sessions",
            *option,
            "forge",
            "true",
            works_without=works,
        )
        yield ask(
            f"behind {' '.join(option)!r}",
            "sessions",
            "forge",
            *option,
            "true",
            works_without=works,
        )
    for option in _SHOWING:
        works = option != ("-oLogLevel=DEBUG3",)
        name = f"showing {' '.join(option)}"
        yield ask(name, "sessions", *option, "proxied", "true", works_without=works)
    for destination in dict.fromkeys(DESTINATIONS):
        yield ask(f"destination {destination!r}", "sessions", destination, "true")
    for words in (("localhost",), ("-l", "<user>", "localhost"), ("ssh://localhost",)):
        yield ask(f"host {words}", "logins", *words, _READ, works_without=True)
    for words in (("-p", "23", "forge"), ("ssh://forge:23",), ("root@localhost", "-l", "<user>")):
        yield ask(f"host {words}", "logins", *words, _READ)
    for agent in ("session-wide", "session-free"):
        for host in HERE:
            # The address stands for 127.0.0.1 alone, at which the server is.
            works = host != "127.9.9.9"
            name = f"{agent} at {host}"
            yield ask(name, "addresses", host, _READ, agent=agent, works_without=works)
        yield ask(f"{agent} proxied", "addresses", "proxied", _READ, agent=agent)
    yield ask("unknown 0x7f.1", "known", "0x7f.1", _READ, agent="session-free", works_without=True)
    yield ask("nothing but ssh", "options", "forge", "true", works_without=True)
    for name in ("LC_ALL", "LC_EVIL", "LD_PRELOAD", "SSH_ASKPASS", "SSH_AUTH_SOCK", "GIT_PROTOCOL"):
        works = name == "LC_ALL"
        env = {name: "evil"}
        yield ask(
            *(f"variable {name}", "environment", "forge", "true"),
            env=env,
            works_without=works,
            tries=("CVE-2026-22708", "OpenSandbox#1194"),
        )
    for command in _COMMANDS:
        yield ask(f"command {command[:9]!r}", "texts", "forge", "true", command)
        yield ask(f"option {command[:9]!r}", "texts", f"-o{command}", "forge", works_without=False)


FAMILY = Family("sessions", tuple(_attacks()))
