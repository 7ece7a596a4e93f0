"""Carrying out a family of attacks, and looking at what it leaves behind."""

from typing import NamedTuple

from e2e.hostile.attack import Family, Scene
from e2e.hostile.daemon import run_daemon
from e2e.hostile.load import HonestAgent
from e2e.hostile.log import LogReader
from e2e.hostile.rest import await_rest, warm_up
from e2e.world.errors import BrokenError, NotHereError

# So many may wait for each of two agents.
_BOXES = 8


class Report(NamedTuple):
    """What came of a family: how many attacks were tried, and what the daemon did not stand.

    `untried` are those that this machine lacks something for, with what that is.
    """

    family: Family
    tried: int
    untried: tuple[str, ...]
    faults: tuple[str, ...]


def carry_out(family: Family, *, executable: str | None = None, is_bridged: bool = False) -> Report:
    """Try each attack on a daemon of the family's own while an honest agent works.

    `is_bridged` is that of `Scene`.

    Afterwards the daemon must come back to what it held before: the same descriptors, memory and
    processes, no tool and no directory left, and a record in its log for each request.
    """
    with run_daemon(
        executable, limits=family.limits, descriptors=family.descriptors, boxed=family.boxed
    ) as daemon:
        log = LogReader(daemon.world.log)
        before = warm_up(daemon)
        honest = HonestAgent(daemon)
        scene = Scene(daemon, honest, is_bridged=is_bridged)
        tried = 0
        untried = []
        faults = []
        try:
            with honest.working():
                for attack in family.attacks:
                    tried += 1
                    try:
                        attack.run(scene)
                    except NotHereError as error:
                        tried -= 1
                        untried.append(f"{attack.name}: {error}")
                    except (BrokenError, OSError) as error:
                        faults.append(f"{attack.name}: {error}")
                        if not daemon.is_running():
                            raise BrokenError(f"the daemon ended: {daemon.read_words()}") from error
            await_rest(
                daemon,
                before=before,
                log=log,
                requests=scene.count_requests(),
                boxes=_BOXES if family.boxed else 0,
            )
        except (BrokenError, OSError) as error:
            faults.append(f"afterwards: {error}")
    return Report(family, tried, tuple(untried), tuple(faults))
