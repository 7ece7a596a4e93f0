"""What a person is told whose files are of an earlier release: one message, everywhere the same."""

import shlex

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.migrate.layout import EARLIER, recognise
from airlock_daemon.migrate.survey import look
from airlock_daemon.setup.finding import Finding
from airlock_daemon.setup.paths import Locations


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What to say of a layout, and whether a daemon of this release can serve it as it is."""

    finding: Finding
    can_serve: bool

    @property
    def where(self) -> str:
        """Where these files are, and what they are."""
        return f"{self.finding.source}: {self.finding.problem}"


def advise(locations: Locations, *, options: tuple[str, ...]) -> Advice | None:
    """What to say of files of an earlier release, or of a migration that was interrupted.

    None for files of this release, and for those that cannot be looked at. `options` are those
    that the command was given.
    """
    try:
        signs = look(locations)
    except AirlockError:
        return None
    layout = recognise(signs)
    if layout not in EARLIER:
        return None
    command = shlex.join(("airlock-daemon", "migrate", *options))
    if signs.unfinished is not None:
        problem = f"the migration of these files of Airlock {layout} was interrupted"
        remedy = f"go on with it: {command}"
    else:
        problem = f"these are files of Airlock {layout}"
        remedy = f"{command} makes them files of this release; with --dry-run it shows what changes"
        if layout in ("v0.2", "v0.3"):
            remedy += ". If v0.4 has served with --agents FILE since, name that file here too"
    return Advice(
        finding=Finding(locations.config_dir, "", problem, remedy, name="layout"),
        can_serve=layout == "v0.4" and signs.unfinished is None,
    )
