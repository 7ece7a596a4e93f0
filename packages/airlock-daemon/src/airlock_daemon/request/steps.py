"""The steps of one request that come before it is carried out, or that a `check` ends with."""

from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from airlock_daemon.errors import AND_RELOAD, Denied, Failed
from airlock_daemon.identity.engine_sockets import refuse_engine_socket
from airlock_daemon.identity.peer import Peer
from airlock_daemon.request.decision import Allowed
from airlock_daemon.request.errand import Asked, Planner
from airlock_daemon.request.plan import plan_boxed
from airlock_daemon.request.recording import Recording
from airlock_daemon.request.session_errand import admit_session
from airlock_daemon.request.state import AgentState, DaemonState
from airlock_daemon.sandbox.api_access import ApiAccess
from airlock_daemon.sandbox.choice import Maker, find_maker
from airlock_daemon.sandbox.refusing import advising, refuse
from airlock_daemon.setup.boxes import wants_box
from airlock_daemon.setup.generation import Generation
from airlock_daemon.workspace.directory import Workspace, enter, make_empty
from airlock_daemon.workspace.path_arguments import hold_paths, judge_paths
from airlock_daemon.workspace.seeing import see_mounts
from airlock_modules import Module
from airlock_wire import Request

T = TypeVar("T")


class Steps:
    """Those of `request`. Each raises the refusal that it ends with, an AirlockError."""

    def __init__(
        self,
        request: Request,
        *,
        generation: Generation,
        agent: AgentState,
        shared: DaemonState,
        recording: Recording,
    ) -> None:
        self._request = request
        self._generation = generation
        self._agent = agent
        self._shared = shared
        self._recording = recording
        self._found: tuple[Module, Maker | None] | None = None

    def find_maker(self, module: Module) -> Maker | None:
        """As `choice.find_maker`, which is asked once."""
        if self._found is None or self._found[0] is not module:
            self._found = (module, find_maker(module, self._generation))
        return self._found[1]

    def _renames_paths(self, module: Module) -> bool:
        """Whether a command of `module` runs where paths are those of the container."""
        maker = self.find_maker(module)
        return maker is not None and maker.renames

    async def refuse_engine_socket(self, peer: Peer) -> None:
        """As `engine_sockets.refuse_engine_socket`, unless the profile accepts it."""
        agent = self._generation.agent
        if not agent.profile.engine_socket:
            await refuse_engine_socket(
                peer,
                agent=agent.name,
                profile_file=agent.profile_file,
                sockets_dir=self._generation.reserved.sockets_dir,
                containers=self._shared.containers,
            )

    async def enter(self, peer: Peer, module: Module) -> Workspace:
        """Open the directory of the run, which the caller leaves or closes."""
        await self._refuse_elsewhere(peer, module)
        if module.workspace == "none":
            is_proven = await self.prove(peer) is not None
            return replace(make_empty(None, is_read_only=True), is_proven=is_proven)
        workspace = await enter(
            self._request.cwd,
            peer=peer,
            generation=self._generation,
            module=module,
            containers=self._shared.containers,
            lookups=self._agent.lookups,
            in_box=self._renames_paths(module),
        )
        if peer.container is not None:
            self._recording.note(container_proven=workspace.is_proven)
        return workspace

    async def prepare_access(self, module: Module) -> ApiAccess | None:
        """What the box of a command of `module` gets to reach APIs, None where it reaches none."""
        if not module.uses_apis:
            return None
        granted = any(api.module == module.name for api in self._generation.apis.apis)
        if self._agent.apis is None or not granted:
            keys = any(api.aws is not None for api in module.apis)
            lines = ' with profile = "NAME" and regions = ["eu-west-1"]' if keys else ""
            raise Denied(
                f"{module.name} reaches APIs, and this agent is granted none of its",
                layer="profile",
                rule="apis",
                hint=f"a person on the host can write [{module.name}]{lines} in its airlock.toml"
                f"{AND_RELOAD}",
            )
        return await self._agent.apis.prepare()

    async def _refuse_elsewhere(self, peer: Peer, module: Module) -> None:
        """Refuse a box to a client that this kernel does not show, where the engine has another."""
        is_own = self._generation.agent.profile.host and peer.kind == "local"
        if is_own or peer.kind == "container" or not wants_box(module):
            return
        where = await self._shared.containers.find_elsewhere()
        if where is not None:
            with advising(module):
                raise refuse(
                    f"containers run elsewhere ({where}), and the tools of this host are another "
                    "system's than theirs",
                    "have the tool in the image of the container, or run that by an engine of this "
                    "host: docker context ls",
                )

    async def prove(self, peer: Peer) -> str | None:
        """Return the id of the client's container, None where that cannot be proved."""
        if peer.container is None:
            return None
        is_proven = True
        try:
            await self._shared.containers.attest(peer, agent=self._generation.agent.name)
        except (Failed, Denied):
            is_proven = False
        self._recording.note(container_proven=is_proven)
        return peer.container if is_proven else None

    async def hold(self, allowed: Allowed, workspace: Workspace) -> tuple[str, ...]:
        """Return the arguments, with the host's path for each that leads somewhere."""
        args = self._request.args
        renames = self._renames_paths(allowed.module)
        if renames and not allowed.module.has_engine:
            # Paths in a box are those of the client, and nothing is there beyond what it has.
            return args
        held = await hold_paths(
            args,
            allowed.paths,
            directory=workspace,
            reserved=self._generation.reserved,
            lookups=self._agent.lookups,
            pause=self._agent.turns.take,
        )
        return args if renames else held

    async def settle(self, workspace: Workspace, find: Callable[[], T]) -> T:
        """Return what `find` returns, which is called again as `Sights.settle` says."""
        return await workspace.sights.settle(find, self._agent.lookups)

    def ask_broker(self, module: Module) -> Asked:
        """Begin with a broker; the caller leaves what is returned."""
        return Asked(
            self._request,
            module,
            generation=self._generation,
            agent=self._agent,
            shared=self._shared,
        )

    async def admit(self, asked: Asked, module: Module) -> Planner:
        """Return what makes the plan of what the broker lets through."""
        if module.broker != "ssh":
            return await asked.admit()
        return await admit_session(
            asked, self._request, module, self._generation, environment=self._shared.environment
        )

    async def check(self, peer: Peer, allowed: Allowed) -> tuple[str, ...]:
        """Go as far as `check` does; returns the names of the steps that were not consulted."""
        not_consulted = ["concurrency"]
        if self._generation.agent.hooks.pre_exec is not None:
            not_consulted.insert(0, "hook")
        module = allowed.module
        if module.broker is not None:
            asked = self.ask_broker(module)
            try:
                await self.admit(asked, module)
            finally:
                await asked.leave(self._agent.removals)
        elif self._request.cwd is None:
            not_consulted.insert(0, "workspace")
            await self._judge(allowed, peer)
        else:
            workspace = await self.enter(peer, module)
            try:
                await self.hold(allowed, workspace)
                await self.settle(workspace, lambda: self._plan_boxed(module, workspace))
            finally:
                workspace.close()
        return tuple(not_consulted)

    def _plan_boxed(self, module: Module, workspace: Workspace) -> None:
        """Raise Denied where the command is to have a box and cannot."""
        program = self._generation.programs.find(module.bin)
        if program is not None:
            environment = self._shared.environment
            maker = self.find_maker(module)
            plan_boxed(module, maker, self._generation, workspace, program, environment=environment)

    async def _judge(self, allowed: Allowed, peer: Peer) -> None:
        renames = self._renames_paths(allowed.module)
        if allowed.paths and (allowed.module.has_engine or not renames):
            await judge_paths(
                self._request.args,
                allowed.paths,
                mounts=await see_mounts(
                    peer=peer, agent=self._generation.agent, containers=self._shared.containers
                ),
                reserved=self._generation.reserved,
                lookups=self._agent.lookups,
                pause=self._agent.turns.take,
            )
