"""Running a command whose box holds credentials: they are fetched for it, and then it is made."""

import shlex
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from airlock_daemon.brokers.asking import ask
from airlock_daemon.brokers.aws.giving import Given
from airlock_daemon.command.order import CommandLine
from airlock_daemon.errors import Denied
from airlock_daemon.identity.neighbours import find_mounted
from airlock_daemon.platform.threads import run_in_thread
from airlock_daemon.request.execution import Finished, Lead
from airlock_daemon.request.plan import Boxed, Plan
from airlock_daemon.request.state import AgentState, DaemonState, log
from airlock_daemon.sandbox.aws_endpoint import WEB_IDENTITY, give_keys, tell_address
from airlock_daemon.sandbox.aws_profile import (
    choose_profile,
    find_own_keys,
    find_profile,
    has_keys,
    has_profile,
    put_keys,
    read_keys,
    without_keys,
)
from airlock_daemon.sandbox.credentials import Held, Keeper, fill
from airlock_daemon.sandbox.hiding import hide, hides, spell_hidden
from airlock_daemon.setup.generation import Generation
from airlock_daemon.workspace.directory import make_empty
from airlock_modules import HostFile, Logins, Printed
from airlock_wire import quote

_Read = TypeVar("_Read")


async def execute_holding(
    run: Callable[..., Awaitable[Finished]],
    plan: Plan,
    boxed: Boxed,
    shared: DaemonState,
    agent: AgentState,
    generation: Generation,
    *,
    lead: Callable[[Given | None], Lead | None],
    **more: object,
) -> Finished:
    """Call `run`, which is `execute`, with the `plan` whose box, `boxed`, has what it is to hold.

    That is fetched in the place of the command. `lead`, told which keys are given in the box, makes
    what serves its connections. Raises Denied where something of it cannot be had.
    """
    variables = plan.command_line.environment
    # What the profile sets is a choice for this agent.
    wanted = {name: each for name, each in boxed.held.env.items() if name not in variables}
    beside = await _look_beside(boxed, agent)
    given: Given | None = None
    directory = make_empty(None)
    try:
        keeper = Keeper(
            environment=shared.environment,
            programs=generation.programs,
            ask=partial(_ask, shared, agent, generation.programs.path, directory.descriptor),
            lookups=agent.lookups,
            workspaces=(*boxed.workspaces, *beside),
            reserved=boxed.reserved,
            source=boxed.source,
            args=plan.command_line.argv[boxed.own_words :],
        )
        held = await keeper.fetch(replace(boxed.held, env=wanted))
        line = plan.command_line
        if boxed.held.aws_endpoint:
            given, held = await _find_keys(keeper, boxed, held, line)
            line = replace(line, environment=tell_address(variables, given, boxed.box.doors))
        else:
            held = await _export_profile(keeper, boxed, held, line)
    finally:
        await directory.leave(agent.removals)
    variables = {**line.environment, **held.variables}
    box = fill(boxed.box, held)
    if hides(boxed.held):
        box, hidden = hide(box)
        own, hidden = spell_hidden(line.argv[: boxed.own_words], hidden)
        variables = {**variables, **hidden}
        line = replace(line, argv=(*own, *line.argv[boxed.own_words :]))
    line = replace(line, environment=variables)
    held_plan = replace(plan, command_line=line, boxed=replace(boxed, box=box))
    return await run(**{**more, "plan": held_plan, "lead": lead(given)})


async def _export_profile(keeper: Keeper, boxed: Boxed, held: Held, line: CommandLine) -> Held:
    """What is held, with keys that the human's own client exports where the box needs them.

    Without these the tool tells its client what it lacks, and the log a person.
    """
    export = boxed.held.aws_export
    if export is None:
        return held
    profile = find_profile(held, {**line.environment, **held.variables}, line.argv)
    if profile is None:
        return held
    asked = _ask_for(export, profile)
    return await _export(keeper, asked, profile, partial(put_keys, held, profile)) or held


async def _find_keys(
    keeper: Keeper, boxed: Boxed, held: Held, line: CommandLine
) -> tuple[Given | None, Held]:
    """The keys that the box is to be given, None where there are none, and what else is held."""
    variables = {**line.environment, **held.variables}
    profile = choose_profile(variables)
    export = boxed.held.aws_export
    has_login = bool(keeper.environment.get(WEB_IDENTITY)) and not has_keys(variables)
    keys = None if has_login else find_own_keys(held, variables)
    if keys is None and export is not None and (has_login or has_profile(held, profile)):
        # A client that is told a profile does not look at the variables of that login.
        asked = export if has_login else _ask_for(export, profile)
        keys = await _export(keeper, asked, profile, read_keys)
    return None if keys is None else give_keys(keys), without_keys(held, profile)


def _ask_for(export: Printed, profile: str) -> Printed:
    return Printed((*export.argv, "--profile", profile))


async def _export(
    keeper: Keeper, asked: Printed, profile: str, read: Callable[[bytes], _Read]
) -> _Read | None:
    """What `read` makes of the keys that are `asked` for, None where there are none."""
    try:
        return read(await keeper.run("aws_export", asked))
    except Denied as error:
        problem = error.message
    except ValueError:
        problem = "what was printed has no keys in it"
    log.warning(
        "warning: the profile %s of AWS is not exported for a box: %s; run as the user of the "
        "daemon: %s",
        quote(profile),
        problem,
        shlex.join(asked.argv),
    )
    return None


async def _look_beside(boxed: Boxed, agent: AgentState) -> tuple[str, ...]:
    """What containers of other agents may write to, where a file of the host is to be read."""
    sockets_dir = boxed.reserved.sockets_dir
    is_read = any(isinstance(each, HostFile | Logins) for each in boxed.held.files.values())
    if sockets_dir is None or not is_read:
        return ()
    find = partial(find_mounted, sockets_dir)
    return await run_in_thread(find, limiter=agent.lookups)


async def _ask(
    shared: DaemonState,
    agent: AgentState,
    path: str,
    directory: int,
    program: str,
    argv: tuple[str, ...],
    *,
    said: bytes = b"",
    more: Mapping[str, str] = {},
) -> tuple[int, bytes]:
    line = CommandLine(program, argv, {**shared.environment, "PATH": path, **more}, directory)
    return await ask(line, shared.launcher, agent.turns, said=said)
