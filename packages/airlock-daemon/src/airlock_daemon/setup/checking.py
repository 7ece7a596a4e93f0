"""Everything that can be said of the files on disk, good and bad."""

from collections.abc import Iterator

import msgspec

from airlock_daemon.errors import SetupError
from airlock_daemon.setup.findings import find_builtin_faults
from airlock_daemon.setup.load import load_setup
from airlock_daemon.setup.overrides import find_losses
from airlock_daemon.setup.paths import Locations
from airlock_daemon.setup.sockets_directory import find_unusable
from airlock_modules import Fault


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Faults, which `start` refuses; findings, of which it warns; notes, which may be meant.

    `agents` are the names of those that would be served, none where there are faults in the files.
    """

    faults: tuple[Fault, ...] = ()
    findings: tuple[Fault, ...] = ()
    notes: tuple[Fault, ...] = ()
    agents: tuple[str, ...] = ()

    def describe(self) -> Iterator[str]:
        """Return a line for each, which begins with what it is."""
        for kind in ("faults", "findings", "notes"):
            for each in getattr(self, kind):
                yield f"{kind[:-1]}: {each}"


def check_files(locations: Locations) -> Checked:
    """Read everything, the built-in modules included, and look at the sockets directory."""
    faults = (*find_builtin_faults(), *find_unusable(locations.sockets_dir))
    try:
        setup = load_setup(locations)
    except SetupError as error:
        return Checked(faults=(*faults, *error.faults))
    own = [generation.agent.modules.own for generation in setup.generations.values()]
    return Checked(
        faults=faults,
        findings=setup.warnings,
        notes=tuple(find_losses([setup.shared, *own], setup.config.enable)),
        agents=tuple(setup.generations),
    )
