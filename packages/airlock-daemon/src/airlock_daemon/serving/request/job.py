"""What is run for a request that is allowed: one frozen value, made before anything is started."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from airlock_daemon.boundary.box.box import Box
from airlock_daemon.boundary.box.choice import Maker, choose_box, list_untrusted
from airlock_daemon.boundary.box.doors import name_doors
from airlock_daemon.boundary.box.engine import choose_place, needs_logins, tell_place
from airlock_daemon.boundary.box.environment import adapt_daemon, adapt_path, name_files, withhold
from airlock_daemon.boundary.box.system import ApiAccess
from airlock_daemon.boundary.box.transports import transport_variables
from airlock_daemon.boundary.brokers.git.errand import Errand
from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.boundary.brokers.ssh.session import Admitted
from airlock_daemon.boundary.command.order import CommandLine, build_environment
from airlock_daemon.boundary.connection.descriptors import Passed
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.boundary.workspace.directory import Workspace
from airlock_daemon.serving.request.recording import Recording
from airlock_daemon.serving.request.relay import Converse, Origin
from airlock_daemon.serving.request.state import AgentState, DaemonState
from airlock_daemon.serving.session import Ending, Session, Watched
from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.reserved import Reserved
from airlock_modules import Module
from airlock_wire import Request, Terminal

# Features that mean the same whichever way the output goes.
_ALWAYS = frozenset(("signals", "exit-signal", "env"))


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request while it is served: its connection, its agent, and its record.

    It is decided by `generation`, whatever a reload brings meanwhile. `origin` is None for a
    request on the agent's own socket; `converse` serves the connections of a relay.
    """

    session: Session
    watched: Watched
    ending: Ending
    shared: DaemonState
    agent: AgentState
    generation: Generation
    recording: Recording
    converse: Converse
    origin: Origin | None


class Terms(msgspec.Struct, frozen=True):
    """The features of the protocol that client and daemon agree on.

    `terminal` is None where the tool gets none of the daemon's. `features` is None for a client
    that asked for none, in the order of the request otherwise. `are_passed` says that the tool has
    the client's descriptors.
    """

    features: tuple[str, ...] | None
    terminal: Terminal | None = None
    are_passed: bool = False

    def uses(self, feature: str) -> bool:
        """Whether a feature is used."""
        return self.features is not None and feature in self.features


class Boxed(msgspec.Struct, frozen=True):
    """The box of a command, what makes it, and what may not be in it.

    At `logins`, a directory, docker has a configuration; with `needs_logins` the human's logins
    are in it, which are read by way of none of the directories that are `written` by agents.
    """

    box: Box
    maker: Maker
    reserved: Reserved
    logins: str = ""
    needs_logins: bool = False
    written: tuple[str, ...] = ()


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One request that is allowed, with all that is known before anything is started.

    A tool has a `command_line`, and a box or none. A broker has a `requester`, and an `errand` for
    a remote of git or a `session` of ssh; the daemon itself holds an errand without a command line.
    `notice` is what the client reads on its stderr before anything of the command.
    """

    generation: Generation
    module: Module
    terms: Terms
    peer: Peer
    command_line: CommandLine | None
    boxed: Boxed | None = None
    requester: Requester | None = None
    errand: Errand | None = None
    session: Admitted | None = None
    notice: bytes = b""

    @property
    def sandbox(self) -> str:
        """What a record says of where it runs.

        A broker has no box since it needs none, which is not the same as a tool that runs without.
        """
        if self.requester is not None:
            return "broker"
        return "off" if self.boxed is None else self.boxed.maker.name

    @property
    def line_end(self) -> str:
        """What ends a line on the client's terminal, which is raw where the tool has another."""
        return "\n" if self.terms.terminal is None else "\r\n"


def agree(request: Request, *, may_pass: bool, is_captured: bool) -> Terms:
    """Choose the features.

    `may_pass` says that descriptors came that the tool may have; `is_captured` that its output is
    held back for a hook, where a terminal would have a tool ask what nobody can read.
    """
    if request.features is None:
        return Terms(None)
    if may_pass:
        return Terms(_select(request.features, "fds"), are_passed="fds" in request.features)
    wanted = request.terminal if "tty" in request.features and not is_captured else None
    if wanted is not None and wanted.is_wanted:
        return Terms(_select(request.features, "base64", "stdin", "tty"), wanted)
    return Terms(_select(request.features, "base64", "stdin"))


def _select(asked: tuple[str, ...], *usable: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys([name for name in asked if name in _ALWAYS or name in usable]))


def find_term(request: Request, terms: Terms, passed: Passed) -> str | None:
    """The TERM of the tool: the client's, where it has a terminal of either kind."""
    if request.terminal is None:
        return None
    is_there = terms.terminal is not None or (terms.are_passed and "terminal" in passed.kinds)
    return request.terminal.term if is_there else None


def plan_tool(
    request: Request,
    module: Module,
    *,
    call: Call,
    maker: Maker | None,
    args: tuple[str, ...],
    workspace: Workspace,
    peer: Peer,
    access: ApiAccess | None,
) -> Job:
    """Plan to run the tool of `module` with `args` in `workspace`, which stays open for it.

    `maker` makes its box, None for a command that is to have none. In the box it has `access` to
    APIs, if any. Raises Failed where there is no such tool, Denied where it is to have a box and
    cannot.
    """
    generation, daemon = call.generation, call.shared.environment
    programs, passed = generation.programs, call.session.passed
    program = programs.demand(module.bin)
    boxed = plan_boxed(
        module, maker, generation, workspace, program, environment=daemon, access=access
    )
    is_captured = generation.agent.hooks.post_exec is not None
    may_pass = generation.pass_descriptors and not is_captured and bool(passed.numbers)
    may_pass = may_pass and passed.are_usable(peer)
    terms = agree(request, may_pass=may_pass, is_captured=is_captured)
    renames = boxed is not None and boxed.maker.renames
    variables = build_environment(
        module,
        generation.agent.profile,
        daemon=daemon if boxed is None else adapt_daemon(daemon, boxed.box),
        search_path=programs.path if boxed is None else adapt_path(programs.path, boxed.box),
        client=request.env if terms.uses("env") else {},
        term=find_term(request, terms, passed),
        root=None if workspace.mounts is None or renames else workspace.root,
        is_boxed=boxed is not None,
    )
    prepend, told = module.prepend, dict[str, str]()
    if module.has_engine:
        place = "" if boxed is None else choose_place()
        prepend, told = tell_place(module.prepend, place)
        if boxed is not None:
            written = list_untrusted(workspace, generation)
            needed = needs_logins(args)
            boxed = replace(boxed, logins=place, needs_logins=needed, written=written)
    if boxed is not None:
        variables = _adapt(variables, boxed, module, access) | told
    line = CommandLine(
        program=program,
        argv=(module.bin, *prepend, *args, *module.append),
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
    )


def plan_boxed(
    module: Module,
    maker: Maker | None,
    generation: Generation,
    workspace: Workspace,
    program: str,
    *,
    environment: Mapping[str, str],
    access: ApiAccess | None = None,
) -> Boxed | None:
    """The box of `program` by `maker`; raises Denied where that cannot be made as it is wanted."""
    if maker is None:
        return None
    box = choose_box(
        module,
        maker,
        workspace,
        program,
        generation=generation,
        environment=environment,
        access=access,
    )
    return Boxed(box, maker, generation.reserved)


def _adapt(
    variables: Mapping[str, str], boxed: Boxed, module: Module, access: ApiAccess | None
) -> dict[str, str]:
    box = boxed.box
    found = name_files(box) | transport_variables(box.asks) | name_doors(box.doors)
    if boxed.maker.has_engine:
        # Which builder docker's client uses, say.
        found = dict(module.set) | found
    if access is not None:
        found |= access.environment
    return withhold(variables, box) | found
