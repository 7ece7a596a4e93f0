"""Files of an earlier release, which this one does not read as they are."""

from collections.abc import Iterator

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.migrate.layout import advise
from airlock_daemon.setup.finding import Finding


def find_earlier_layout(around: Surroundings) -> Iterator[Finding]:
    """Tell which release the files are of, and the command that makes them those of this one."""
    advice = advise(around.locations, options=around.options)
    if advice is not None:
        yield advice.finding
