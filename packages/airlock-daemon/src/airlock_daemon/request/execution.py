"""Running the command of a request that is allowed, with the features that the client asked for."""

from collections.abc import Callable
from contextlib import closing

from airlock_daemon.command.environment import build_environment
from airlock_daemon.command.launch import Ended, cannot_start
from airlock_daemon.command.launcher import Started
from airlock_daemon.command.process import Command
from airlock_daemon.command.stdio import Stdio
from airlock_daemon.connection.descriptors import verify
from airlock_daemon.connection.session import Session
from airlock_daemon.errors import Failed
from airlock_daemon.identity.peer import Peer
from airlock_daemon.request.client_input import Hearing
from airlock_daemon.request.negotiation import Terms, agree, find_term, open_stdio
from airlock_daemon.request.state import Host, Service
from airlock_modules import Module
from airlock_wire import Request


class Execution:
    """One command, from what it is started with to the end of its last process."""

    def __init__(self, host: Host, service: Service, session: Session, request: Request) -> None:
        self._host = host
        self._service = service
        self._session = session
        self._request = request
        self._terms = Terms(None)

    @property
    def is_passed(self) -> bool:
        """Whether the tool has the client's own descriptors, so that nobody sees its output."""
        return self._terms.uses("fds")

    def prepare(self, module: Module, directory: int, args: tuple[str, ...], *, peer: Peer) -> None:
        """Decide what is run and how; `directory` is open. Raises Failed where there is no tool."""
        program = self._host.programs.find(module.bin)
        if program is None:
            raise Failed(
                f"{module.bin} is not an executable on the host",
                hint="install it there, or set [daemon] path in config.toml",
            )
        self._terms = agree(self._request, may_pass=self._may_pass(peer))
        self._what = Started(
            program=program,
            argv=(module.bin, *module.prepend, *args, *module.append),
            environment=build_environment(
                module,
                self._service.agent.profile,
                daemon=self._host.environment,
                search_path=self._host.setup.search_path,
                client=self._request.env if self._terms.uses("env") else {},
                term=find_term(self._request, self._terms, self._session.kinds),
            ),
            directory=directory,
        )

    async def run(self, hearing: Hearing, conclude: Callable[[Ended], None]) -> None:
        """Run it and answer; `conclude` is told of the end before the client is.

        Returns, by whatever way, when none of its processes is left. Raises Failed where it cannot
        be started, ClientGone where nobody takes the answer.
        """
        with closing(self._open()) as stdio:
            launch = await self._host.launcher.launch(
                self._what, stdio.standard, terminal=stdio.terminal
            )
            limits = self._service.gate.limits
            command = Command(
                launch,
                stdio,
                self._service.turns,
                ahead=limits.output_bytes,
                credit=limits.stdin_bytes,
            )
            try:
                stdio.hand_over()
                await self._start(command, hearing)
                ended = await command.relay(self._session.send_output, self._session.send_credit)
                conclude(ended)
                await self._session.send_result(
                    ended.exit_code, signal=ended.signal, stdin_bytes=command.count_input()
                )
            finally:
                await command.finish()

    async def _start(self, command: Command, hearing: Hearing) -> None:
        if self._terms.features is None:
            return
        credit = self._service.gate.limits.stdin_bytes if self._terms.uses("stdin") else 0
        await self._session.send_start(self._terms.features, stdin_credit=credit)
        if self._terms.features:
            hearing.begin(command)

    def _open(self) -> Stdio:
        passed = self._session.take_descriptors()
        if not self.is_passed:
            self._service.closer.close(passed)
        try:
            return open_stdio(self._terms, passed, self._session.kinds, null=self._host.null)
        except OSError as error:
            raise cannot_start(self._what.program, error) from error

    def _may_pass(self, peer: Peer) -> bool:
        """Whether descriptors came that the tool may have."""
        session = self._session
        if not session.descriptors or not self._host.setup.config.pass_descriptors:
            return False
        return all(verify(session.descriptors, session.kinds, peer))
