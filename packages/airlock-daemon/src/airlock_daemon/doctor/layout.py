"""Files of an earlier release, which this one does not read as they are."""

from collections.abc import Iterator

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.errors import AirlockError
from airlock_daemon.migrate.advice import advise
from airlock_daemon.setup.finding import Finding, named
from airlock_modules import Fault


def find_earlier_layout(around: Surroundings) -> Iterator[Finding]:
    """Tell which release the files are of, and the command that makes them those of this one."""
    try:
        advice = advise(around.locations, options=around.options)
    except AirlockError as error:
        fault = Fault(around.locations.config_dir, "", error.message, error.hint or "")
        yield from named("layout", (fault,))
        return
    if advice is not None:
        yield advice.finding
