"""Chooses what makes boxes: tried at start and at each reload, and logged."""

import sys
from collections.abc import Mapping
from functools import partial

from msgspec.structs import replace

from airlock_daemon.boundary.command import Groups, Identity, Launcher
from airlock_daemon.errors import Denied
from airlock_daemon.serving.request import DaemonState, log
from airlock_daemon.setup.generation import BoxConfig, Mode, Setup
from airlock_daemon.threads import run_in_thread
from airlock_modules import Fault


async def settle_boxes(setup: Setup, shared: DaemonState) -> tuple[Setup, str | None]:
    """Try a box for the modules that want one, and fix what makes boxes from then on.

    Returns the setup, and the records' word for the choice. In the setup, mode "auto" is replaced
    by what works here, so that no command gets less protection later than at the start; and git in
    boxes has its configuration. A command is refused if its box cannot be made later.
    """
    modules = [each for one in setup.generations.values() for each in one.grant.modules.values()]
    boxed = [module for module in modules if module.wants_box]
    wanted = ", ".join(sorted({module.name for module in boxed}))
    if sys.platform != "linux":
        log.info("boxes: macOS has none, so that %s: refused; brokers need none", wanted)
        return setup, "none"
    if any(each.runs_git for each in boxed):
        setup = await _configure_git(setup, shared.environment)
    if setup.config.boxes.mode == "off":
        log.warning(
            "warning: commands run without the boxes of their modules, and built-in ones that are "
            'to have one are refused; remove mode = "off" from [sandbox] in config.toml'
        )
        return setup, "off"
    from airlock_daemon.boundary.box import find_identity  # noqa: PLC0415

    try:
        identity = find_identity(setup.config.boxes, wanted=wanted)
    except Denied as error:
        log.warning("warning: %s; %s", error.message, error.hint)
        return setup, "none"
    setup, name = await _settle_as(identity, setup, shared.launcher)
    refused = sorted({module.name for module in boxed if module.needs_bubblewrap})
    if name == "landlock" and refused:
        log.warning(
            "warning: %s: refused, since Landlock makes no box that leads anywhere; "
            "airlock doctor says what bubblewrap lacks",
            ", ".join(refused),
        )
    if name != "none":
        await _settle_groups(shared)
    return setup, name


async def _configure_git(setup: Setup, environment: Mapping[str, str]) -> Setup:
    from airlock_daemon.setup.human_git import HumanGit  # noqa: PLC0415

    warnings: list[Fault] = []
    read = partial(HumanGit.read, setup.search_path, environment, warnings=warnings)
    found = await run_in_thread(read)
    for warning in warnings:
        log.warning("warning: %s", warning)
    return _replace(setup, git_config=found.config, signs_commits=found.signs_commits)


async def _settle_as(
    identity: Identity, setup: Setup, launcher: Launcher
) -> tuple[Setup, str | None]:
    mode = setup.config.boxes.mode
    if mode != "landlock":
        problem = await _try_bubblewrap(identity, setup, launcher)
        if problem is None:
            return _settle(setup, "require-bubblewrap"), "bubblewrap"
        log.warning("warning: %s; airlock doctor says what forbids it", problem)
    missing = "" if mode == "require-bubblewrap" else BoxConfig.explain_no_fence()
    if missing is not None:
        log.warning(
            "warning: %scommands that are to have a box are refused; give bubblewrap what "
            "airlock doctor says it lacks",
            f"{missing}; " if missing else "",
        )
        return (_settle(setup, "require-bubblewrap") if mode == "auto" else setup), "none"
    log.info("boxes: by Landlock, as user %d; SECURITY.md says what that leaves", identity.user)
    return _settle(setup, "landlock"), "landlock"


async def _settle_groups(shared: DaemonState) -> None:
    """Test the cgroups of boxes, and do without them if they do not work."""
    groups = shared.groups
    if isinstance(groups, Groups):
        from airlock_daemon.boundary.box import probe_groups  # noqa: PLC0415

        problem = await probe_groups(groups, shared.launcher)
        if problem is None:
            said = " and ".join(groups.controllers) or "nothing"
            log.info("boxes: cgroups bound those of an agent (%s); [limits] says how much", said)
            return
        groups.close()
        shared.groups = problem
    log.info(
        "boxes: each has limits, those of an agent together none: %s; airlock doctor tells more",
        shared.groups,
    )


async def _try_bubblewrap(identity: Identity, setup: Setup, launcher: Launcher) -> str | None:
    """Return why bubblewrap makes no box, None if it does."""
    program = next(iter(setup.generations.values())).programs.find(BoxConfig.BUBBLEWRAP)
    if program is None:
        return "bubblewrap is not installed"
    from airlock_daemon.boundary.box import probe_box  # noqa: PLC0415

    problem = await probe_box(program, identity, launcher)
    if problem is not None:
        return f"{program} makes no box: {problem}"
    log.info("boxes: made by %s, as user %d", program, identity.user)
    return None


def _settle(setup: Setup, mode: Mode) -> Setup:
    return _replace(setup, boxes=replace(setup.config.boxes, mode=mode))


def _replace(setup: Setup, **changed: object) -> Setup:
    generations = {name: replace(one, **changed) for name, one in setup.generations.items()}
    return replace(setup, generations=generations)
