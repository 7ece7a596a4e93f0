"""Which boxes the commands of a daemon get, told when it starts."""

from airlock_daemon.command.launcher import Launcher
from airlock_daemon.errors import Denied
from airlock_daemon.request.state import log
from airlock_daemon.sandbox.choice import find_maker
from airlock_daemon.sandbox.probe import probe_box
from airlock_daemon.setup.boxes import wants_box
from airlock_daemon.setup.load import Setup


async def try_boxes(setup: Setup, launcher: Launcher) -> str | None:
    """Try a box where a module of an agent wants one, and say on the log what came of it.

    Returns what records say of it, None where no module wants a box. Commands are not held to it: a
    box is tried for each of them, and what then does not work refuses the command.
    """
    for generation in setup.generations.values():
        for module in filter(wants_box, generation.grant.modules.values()):
            try:
                maker = find_maker(module, generation)
            except Denied as error:
                log.warning("warning: %s; %s", error.message, error.hint)
                return "none"
            if maker is None:
                log.warning(
                    'warning: commands run without the boxes of their modules; remove mode = "off" '
                    "from [sandbox] in config.toml"
                )
                return "off"
            problem = await probe_box(maker.program, maker.identity, launcher)
            if problem is None:
                log.info("boxes: made by %s, as user %d", maker.program, maker.identity.user)
                return "bubblewrap"
            log.warning(
                "warning: %s makes no box, so that commands that are to have one are refused: %s; "
                "airlock-daemon doctor says what forbids it",
                maker.program,
                problem,
            )
            return "none"
    return None
