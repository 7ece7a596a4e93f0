"""Asks the human's ssh how it would reach a host that no line of a grant names by itself."""

import os
from collections.abc import Callable

from airlock_daemon.brokers.addresses import find_inner, resolve
from airlock_daemon.brokers.requester import Requester
from airlock_daemon.brokers.ssh.goal import Goal
from airlock_daemon.brokers.ssh.known_hosts import (
    Known,
    SshSettings,
    read_found,
    read_own_keys,
    read_settings,
)
from airlock_daemon.errors import Denied, Failed
from airlock_daemon.setup.programs import Programs
from airlock_wire import quote

# What may differ between two answers of `ssh -G` of which one was given the address.
_PINNED = frozenset(("hostname", "hostkeyalias", "checkhostip"))


class Pinning:
    """Looks at where `goal` leads.

    `build` makes the argument vector that ssh is to be run with, from the options that `pin`
    returns: ssh is asked with all of it, since a `Match` of its configuration may look at any word.
    `refuse` makes the refusal of a place from what is wrong with it.
    """

    def __init__(
        self,
        goal: Goal,
        build: Callable[[tuple[str, ...]], tuple[str, ...]],
        *,
        programs: Programs,
        requester: Requester,
        refuse: Callable[[str], Denied],
    ) -> None:
        """Remember what is to be asked."""
        self._goal = goal
        self._build = build
        self._programs = programs
        self._requester = requester
        self._refuse = refuse

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
        name, *words = self._build(pinned)
        program = self._programs.demand(name)
        status, said = await self._requester.ask(program, (name, "-G", *words))
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
            _, said = await self._requester.ask(keygen, words)
            lines = said.decode("utf-8", "replace").splitlines()
            more = read_found(lines, settings.name)
            found = Known(found.keys | more.keys, found.is_revoked or more.is_revoked)
        return found


def _without_pin(settings: SshSettings) -> dict[str, tuple[str, ...]]:
    return {key: value for key, value in settings.options.items() if key not in _PINNED}
