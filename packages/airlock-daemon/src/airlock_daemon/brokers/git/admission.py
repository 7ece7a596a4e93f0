"""Whether a conversation with a remote may be held, and the errand that it is then."""

import os
from collections.abc import Awaitable, Callable

import msgspec
import trio

from airlock_daemon.brokers.addresses import find_inner, resolve
from airlock_daemon.brokers.git.errand import Errand
from airlock_daemon.brokers.git.known_hosts import (
    Known,
    SshSettings,
    read_found,
    read_own_keys,
    read_settings,
)
from airlock_daemon.brokers.git.ssh_command import (
    build_words,
    destination_word,
    profile_words,
)
from airlock_daemon.errors import AND_RELOAD, Denied, Failed
from airlock_daemon.setup.generation import Generation
from airlock_modules import (
    Grant,
    RemoteError,
    RemoteRequest,
    evaluate,
    find_place,
    read_ssh_words,
)
from airlock_wire import quote

# What may differ between two answers of `ssh -G` of which one was given the address.
_PINNED = frozenset(("hostname", "hostkeyalias", "checkhostip"))


Ask = Callable[[str, tuple[str, ...]], Awaitable[tuple[int, bytes]]]


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """How the world is asked: programs of the host by `ask`, which takes a program and its words
    and gives exit status and output, and names by threads of which `lookups` gives some.

    `home` is that of the daemon's user.
    """

    ask: Ask
    lookups: trio.CapacityLimiter
    home: str


async def admit(args: tuple[str, ...], generation: Generation, means: Means) -> Errand:
    """Admit what `args` of git-remote ask for.

    Raises Denied (layer "broker" for words and destination, "module" or "profile" by git's rules),
    Failed where the human's ssh cannot be asked.
    """
    asked = read_words(args)
    grant = generation.agent.profile.git
    places = grant.push if asked.is_push else (*grant.push, *grant.fetch)
    place = find_place(places, asked.destination)
    if place is None and grant.is_pinned:
        what = f"{_verb(asked)} {'to' if asked.is_push else 'from'}"
        message = f"this agent may not {what} {quote(str(asked.destination))}"
        raise _needs_line(asked, message, "add")
    words = profile_words(generation.agent.profile.env)
    program = generation.programs.demand(words[0])
    pinned: tuple[str, ...] = ()
    if place is None or not place.is_literal:
        asking = _Asking(asked, (program, *words), generation, means)
        pinned = await asking.pin(is_granted=place is not None)
    judge_as_git((_verb(asked), url_of(asked)), generation)
    return Errand(
        asked=asked,
        program=program,
        argv=build_words(words, asked, pinned=pinned),
        grant=grant,
        is_pinned=place is not None,
    )


def read_words(args: tuple[str, ...]) -> RemoteRequest:
    """Read the arguments of git-remote. Raises Denied."""
    transport, words = (args[0], args[1:]) if args else ("", ())
    if transport != "ssh":
        raise Denied(
            f"git-remote does not speak {quote(transport, limit=40)}: it speaks ssh",
            layer="broker",
            rule="transport",
            hint="use a remote like git@HOST:PATH",
        )
    try:
        return read_ssh_words(words)
    except RemoteError as error:
        raise refuse_words(error) from error


def refuse_words(error: RemoteError) -> Denied:
    """The refusal of what a client said that is not passed on."""
    return Denied(
        f"git-remote is refused: {error.problem}",
        layer="broker",
        rule=error.rule,
        hint="git itself calls it, as its ssh; nothing else is passed on",
    )


def _verb(asked: RemoteRequest) -> str:
    return "push" if asked.is_push else "fetch"


def url_of(asked: RemoteRequest) -> str:
    """The destination as a URL, for rules that look at one."""
    return f"{asked.destination.scheme}://{asked.destination}"


def judge_as_git(args: tuple[str, ...], generation: Generation) -> None:
    """Ask git's own rules about what is done in effect. Raises Denied."""
    grant = Grant(ceiling=("git",), modules={"git": generation.git_rules})
    decision = evaluate(grant, "git", args)
    if not decision.allowed:
        raise Denied(
            decision.message,
            layer=decision.layer or "module",
            rule=decision.rule,
            hint=decision.hint,
        )


def _needs_line(asked: RemoteRequest, message: str, verb: str) -> Denied:
    """The refusal of a place, with the line of the profile that would grant it."""
    key = _verb(asked)
    return Denied(
        message,
        layer="broker",
        rule=f"git.{key}",
        hint=f"a person on the host can {verb} it in [git] of its airlock.toml: "
        f'{key} = ["{asked.destination}"]{AND_RELOAD}',
    )


class _Asking:
    """Asks the human's ssh how it would reach a host that no line of a grant names by itself."""

    def __init__(
        self,
        asked: RemoteRequest,
        command: tuple[str, ...],
        generation: Generation,
        means: Means,
    ) -> None:
        """`command` is the program, and then the words of the profile."""
        self._asked = asked
        self._program, self._words = command[0], command[1:]
        self._generation = generation
        self._means = means

    async def pin(self, *, is_granted: bool) -> tuple[str, ...]:
        """The options with which ssh connects with an address that was looked at.

        Without `is_granted` the host must be a known one. Raises Denied, Failed.
        """
        settings = await self._settings(())
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
            settings.host, family=self._asked.family, limiter=self._means.lookups
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
        host = quote(self._asked.destination.host)
        message = f"{host} {why}, and is not named in the grant of this agent"
        return _needs_line(self._asked, message, "name")

    async def _settings(self, pinned: tuple[str, ...]) -> SshSettings:
        port = self._asked.destination.port
        options = () if port is None else ("-p", str(port))
        words = ("-G", *pinned, *options, *self._words[1:], "--", destination_word(self._asked))
        status, said = await self._means.ask(self._program, (self._words[0], *words))
        try:
            if status != 0:
                raise KeyError(status)
            printed = said.decode("utf-8", "surrogateescape")
            return read_settings(printed, home=self._means.home)
        except (KeyError, IndexError) as error:
            raise Failed(
                f"{self._words[0]} does not say how it would reach a host (exit status {status})",
                hint="a person on the host can see why: ssh -G HOST",
            ) from error

    async def _known(self, settings: SshSettings) -> Known:
        found = Known(frozenset(), is_revoked=False)
        keygen = self._generation.programs.demand("ssh-keygen")
        for file in filter(os.path.isfile, settings.known_hosts):
            words = ("ssh-keygen", "-F", settings.name, "-f", file)
            _, said = await self._means.ask(keygen, words)
            lines = said.decode("utf-8", "replace").splitlines()
            more = read_found(lines, settings.name)
            found = Known(found.keys | more.keys, found.is_revoked or more.is_revoked)
        return found


def _without_pin(settings: SshSettings) -> dict[str, tuple[str, ...]]:
    return {key: value for key, value in settings.options.items() if key not in _PINNED}
