"""Running a command whose box holds credentials: they are fetched for it, and then it is made."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from msgspec.structs import replace

from airlock_daemon.brokers.asking import ask
from airlock_daemon.command.order import CommandLine
from airlock_daemon.request.execution import Finished
from airlock_daemon.request.plan import Boxed, Plan
from airlock_daemon.request.state import AgentState, DaemonState
from airlock_daemon.sandbox.credentials import Keeper, fill
from airlock_daemon.sandbox.hiding import hide, hides
from airlock_daemon.setup.generation import Generation
from airlock_daemon.workspace.directory import make_empty


async def execute_holding(
    run: Callable[..., Awaitable[Finished]],
    plan: Plan,
    boxed: Boxed,
    shared: DaemonState,
    agent: AgentState,
    generation: Generation,
    **more: object,
) -> Finished:
    """Call `run`, which is `execute`, with the `plan` whose box, `boxed`, has what it is to hold.

    That is fetched in the place of the command. Raises Denied where something of it cannot be had.
    """
    variables = plan.command_line.environment
    # What the profile sets is a choice for this agent.
    wanted = {name: each for name, each in boxed.held.env.items() if name not in variables}
    directory = make_empty(None)
    try:
        keeper = Keeper(
            environment=shared.environment,
            programs=generation.programs,
            ask=partial(_ask, shared, agent, generation.programs.path, directory.descriptor),
            lookups=agent.lookups,
            workspaces=boxed.workspaces,
            reserved=boxed.reserved,
            source=boxed.source,
        )
        held = await keeper.fetch(replace(boxed.held, env=wanted))
    finally:
        await directory.leave(agent.removals)
    variables = {**variables, **held.variables}
    box = fill(boxed.box, held)
    if hides(boxed.held):
        box, hidden = hide(box)
        variables = {**variables, **hidden}
    line = replace(plan.command_line, environment=variables)
    held_plan = replace(plan, command_line=line, boxed=replace(boxed, box=box))
    # A box that was made before has none of this.
    return await run(**{**more, "plan": held_plan, "room": None})


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
