"""A tool's request: its workspace, the paths in its arguments, its box and its job."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from airlock_daemon.boundary.box import ApiAccess, Boxed, Maker
from airlock_daemon.boundary.command import CommandLine, build_environment
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.boundary.workspace.directory import Mounts, enter
from airlock_daemon.boundary.workspace.path_arguments import confine_paths, judge_paths
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.serving.request.execution import run_job
from airlock_daemon.serving.request.job import (
    Allowed,
    Call,
    Job,
    agree,
    find_term,
    prove,
)
from airlock_modules import Module, select_forwarded
from airlock_modules.operation import Operation
from airlock_wire import Request

if TYPE_CHECKING:
    from airlock_daemon.boundary.approval.questions import ApprovalRequest


async def run_tool(
    request: Request, allowed: Allowed, peer: Peer, call: Call, *, pre_exec: str | None
) -> Request | None:
    """Run a tool in its workspace, or return the hook's rewritten request."""
    module = allowed.module
    workspace, maker = await _enter(request, module, peer, call)
    try:
        args = request.args
        if allowed.paths:
            args = await _confine_paths(request, allowed, workspace, maker, call)
        if pre_exec is not None:
            container = peer.container if workspace.is_proven else None
            from airlock_daemon.serving.request.hooks import consult  # noqa: PLC0415

            operation = Operation(("run", request.command, *request.args))
            rewritten = await consult(
                request, pre_exec, call, container=container, operation=operation
            )
            if rewritten != request:
                return rewritten
        access = await _prepare_access(module, call) if module.apis else None

        program = call.generation.programs.demand(module.bin)
        job = await plan_tool(
            request,
            module,
            call=call,
            program=program,
            boxed=None
            if maker is None
            else await _choose_box(module, maker, workspace, program, call, access=access),
            args=args,
            workspace=workspace,
            peer=peer,
            access=access,
        )
        await run_job(job, call)
        return None
    finally:
        await workspace.release(call.agent.removals)


async def check_tool(request: Request, allowed: Allowed, peer: Peer, call: Call) -> None:
    """Raise what `run_tool` would, as far as `check` goes; only a `cwd` needs the workspace."""
    module, generation = allowed.module, call.generation
    if request.cwd is None:
        await _judge_paths(request, allowed, peer, call)
        return
    workspace, maker = await _enter(request, module, peer, call)
    try:
        await _confine_paths(request, allowed, workspace, maker, call)
        program = generation.programs.find(module.bin)
        if program is not None and maker is not None:
            await _choose_box(module, maker, workspace, program, call)
    finally:
        await workspace.release(call.agent.removals)


async def _choose_box(
    module: Module,
    maker: Maker,
    workspace: Workspace,
    program: str,
    call: Call,
    *,
    access: ApiAccess | None = None,
) -> Boxed:
    """The box in which a command runs."""
    generation, lookups = call.generation, call.agent.lookups
    templates = call.agent.plan_boxes(generation)
    choose = partial(templates.choose_box, module, maker, workspace, program, access)
    # It looks paths up, which may block.
    box = await workspace.host_paths.settle(choose, lookups)
    box = await templates.keep_home(box, module, maker, lookups)
    return Boxed(box, maker, generation.reserved)


async def _enter(
    request: Request, module: Module, peer: Peer, call: Call
) -> tuple[Workspace, Maker | None]:
    """Open the run's directory, which the caller leaves, and find its box's maker.

    The maker is None for a command without a box.
    """
    generation = call.generation
    if module.wants_box:
        await _refuse_elsewhere(module, peer, call)
    if module.workspace == "none":
        is_proven = await prove(peer, call) is not None
        maker = Maker.find(module, generation)
        return replace(Workspace.make_empty(None, is_read_only=True), is_proven=is_proven), maker
    maker = Maker.find(module, generation)
    workspace = await enter(
        request.cwd,
        peer=peer,
        generation=generation,
        module=module,
        containers=call.shared.containers,
        lookups=call.agent.lookups,
        in_box=maker is not None and maker.renames,
    )
    if peer.container is not None:
        call.recording.note(container_proven=workspace.is_proven)
    return workspace, maker


async def _refuse_elsewhere(module: Module, peer: Peer, call: Call) -> None:
    """Refuse a box to a client that this kernel cannot identify, if the engine is elsewhere."""
    is_own = call.generation.agent.profile.host and peer.kind == "local"
    if is_own or peer.kind == "container":
        return
    where = await call.shared.containers.find_elsewhere()
    if where is not None:
        Maker.refuse_elsewhere(module, where)


async def _confine_paths(
    request: Request, allowed: Allowed, workspace: Workspace, maker: Maker | None, call: Call
) -> tuple[str, ...]:
    """Return the arguments, with each confined path replaced by the host's."""
    renames = maker is not None and maker.renames
    if not allowed.paths or renames:
        # Paths in a box are the client's, and the box contains nothing that the client lacks.
        return request.args
    return await confine_paths(
        request.args,
        allowed.paths,
        directory=workspace,
        reserved=call.generation.reserved,
        lookups=call.agent.lookups,
        pause=call.agent.turns.take,
    )


async def _judge_paths(request: Request, allowed: Allowed, peer: Peer, call: Call) -> None:
    maker = Maker.find(allowed.module, call.generation)
    if allowed.paths and not (maker is not None and maker.renames):
        agent = call.generation.agent
        await judge_paths(
            request.args,
            allowed.paths,
            mounts=await Mounts.read(peer=peer, agent=agent, containers=call.shared.containers),
            reserved=call.generation.reserved,
            lookups=call.agent.lookups,
            pause=call.agent.turns.take,
        )


async def _prepare_access(module: Module, call: Call) -> ApiAccess | None:
    """Prepare a box's access to the APIs of `module`; None if it uses none."""
    if not module.uses_apis:
        return None
    granted = any(api.module == module.name for api in call.generation.apis.apis)
    if call.agent.apis is None or not granted:
        from airlock_daemon.setup.apis import refuse_ungranted  # noqa: PLC0415 - few need it

        raise refuse_ungranted(module)
    return await call.agent.apis.prepare()


async def plan_tool(
    request: Request,
    module: Module,
    *,
    call: Call,
    program: str,
    boxed: Boxed | None,
    args: tuple[str, ...],
    workspace: Workspace,
    peer: Peer,
    access: ApiAccess | None,
) -> Job:
    """Plan to run `program`, the tool of `module`, with `args` in `workspace`, which stays open.

    It runs in `boxed`, None for no box. `access` is the box's access to APIs, if any.
    """
    generation, daemon = call.generation, call.shared.find_inherited(module)
    programs, passed = generation.programs, call.session.passed
    is_captured = generation.agent.hooks.post_exec is not None
    may_pass = generation.pass_descriptors and not is_captured and bool(passed.numbers)
    may_pass = may_pass and await passed.are_usable(peer, call.agent.lookups)
    terms = agree(request, may_pass=may_pass, is_captured=is_captured)
    client = request.env if terms.uses("env") else {}
    term = find_term(request, terms, passed)
    if boxed is None:
        variables = build_environment(
            module,
            generation.agent.profile,
            daemon=daemon,
            search_path=programs.path,
            client=client,
            term=term,
            root=None if workspace.mounts is None else workspace.root,
        )
    else:
        variables = boxed.build_environment(
            module,
            generation.agent.profile,
            daemon=daemon,
            search_path=programs.path,
            client=client,
            term=term,
        )
        if access is not None:
            variables |= access.environment
    line = CommandLine(
        program=program,
        argv=(module.bin, *module.prepend, *args, *module.append),
        environment=variables,
        directory=workspace.descriptor,
    )
    return Job(
        generation=generation,
        module=module,
        terms=terms,
        peer=peer,
        command_line=line,
        boxed=boxed,
        container_proven=None if peer.container is None else workspace.is_proven,
        asked=_describe(request, module, client) if call.has_approvals else None,
    )


def _describe(request: Request, module: Module, client: Mapping[str, str]) -> "ApprovalRequest":
    from airlock_daemon.serving.request.approvals import describe_tool  # noqa: PLC0415

    return describe_tool(
        (request.command, *request.args),
        module,
        directory=request.cwd or "",
        variables=select_forwarded(client, module.forward),
    )
