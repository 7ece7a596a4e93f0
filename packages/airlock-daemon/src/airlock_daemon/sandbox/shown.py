"""What of the host a box shows because somebody names it: authorities, and `[sandbox] read`."""

import os
from collections.abc import Iterator, Mapping

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.sandbox.box import HOME
from airlock_daemon.sandbox.programs import SYSTEM
from airlock_daemon.setup.paths import expand_home
from airlock_daemon.setup.reserved import Reserved, is_within
from airlock_modules import Module
from airlock_wire import quote


def find_certificates(environment: Mapping[str, str]) -> Iterator[str]:
    """The authorities that the daemon's environment names, if a box does not have them anyway."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = environment.get(name, "")
        if not (os.path.isabs(path) and os.path.exists(path)):
            continue
        if not any(is_within(path, place) for place in (*SYSTEM, "/etc/ssl/certs")):
            yield path


def find_read(
    paths: tuple[str, ...], home: str, module: Module, *, has_home: bool
) -> Iterator[tuple[str, str]]:
    """Each path of the host, and where the box has it: what is in a home is in the other one.

    A box that has the human's home has that with it.
    """
    for path in paths:
        if has_home and path.startswith("~"):
            continue
        target = expand_home(path, HOME)
        real = os.path.realpath(expand_home(path, home))
        if not (os.path.isfile(real) or os.path.isdir(real)):
            raise Denied(
                f"{path} is no file and no directory of the host, and a box is to show it",
                layer="sandbox",
                rule="read",
                hint=f"a person on the host can remove it from [sandbox] read of {module.source}"
                f"{AND_RELOAD}",
            )
        yield real, target


def refuse_private(place: str, module: Module, reserved: Reserved) -> None:
    """Raise Denied where a box of `module` would show something of Airlock's own at `place`."""
    conflict = reserved.private.conflict(os.path.realpath(place))
    if conflict is not None:
        raise Denied(
            f"{quote(place)} cannot be shown in a box: {conflict}",
            layer="sandbox",
            rule="reserved",
            hint="a person on the host can install it elsewhere, or name less in [sandbox] read of "
            f"{module.source}{AND_RELOAD}",
        )
