"""What is run for a request that is allowed, and with which features of the protocol."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from airlock_daemon.brokers.git.errand import Errand, LfsErrand, SshErrand, UrlErrand
from airlock_daemon.brokers.means import Means
from airlock_daemon.brokers.ssh.session import Admitted
from airlock_daemon.command.environment import build_environment
from airlock_daemon.command.order import CommandLine
from airlock_daemon.connection.descriptors import Passed
from airlock_daemon.errors import Denied
from airlock_daemon.identity.peer import Peer
from airlock_daemon.request.negotiation import Terms, agree, find_term
from airlock_daemon.sandbox.api_access import ApiAccess
from airlock_daemon.sandbox.box import Box
from airlock_daemon.sandbox.choice import Maker, choose_box
from airlock_daemon.sandbox.client_files import list_untrusted
from airlock_daemon.sandbox.doors import name_doors
from airlock_daemon.sandbox.engine import choose_place, needs_logins, tell_place
from airlock_daemon.sandbox.environment import adapt_daemon, adapt_path, name_files, withhold
from airlock_daemon.sandbox.transports import transport_variables
from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.reserved import Reserved
from airlock_daemon.workspace.directory import Workspace
from airlock_modules import Module
from airlock_wire import Request


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


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One command as it will be started; `errand` or `session` is what a broker starts it for.

    `notice` is what the client reads on its stderr before anything of the command.
    """

    command_line: CommandLine
    terms: Terms
    errand: SshErrand | None = None
    session: Admitted | None = None
    notice: bytes = b""
    boxed: Boxed | None = None


class Talk(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that the daemon holds itself: `means` are what it may ask the host by."""

    errand: UrlErrand | LfsErrand
    means: Means
    terms: Terms


def plan(
    request: Request,
    generation: Generation,
    module: Module,
    *,
    maker: Maker | None,
    args: tuple[str, ...],
    workspace: Workspace,
    peer: Peer,
    passed: Passed,
    environment: Mapping[str, str],
    access: ApiAccess | None,
) -> Plan:
    """Plan to run `module` with `args` in `workspace`, which stays open for it.

    `maker` makes its box, None for a command that is to have none. `environment` is the daemon's
    own. In the box it has `access` to APIs, if any. Raises Failed where there is no such tool,
    Denied where it is to have a box and cannot.
    """
    program = generation.programs.demand(module.bin)
    boxed = plan_boxed(
        module, maker, generation, workspace, program, environment=environment, access=access
    )
    is_captured = generation.agent.hooks.post_exec is not None
    may_pass = generation.pass_descriptors and not is_captured and bool(passed.numbers)
    may_pass = may_pass and passed.are_usable(peer)
    terms = agree(request, may_pass=may_pass, is_captured=is_captured)
    path = generation.programs.path
    renames = boxed is not None and boxed.maker.renames
    variables = build_environment(
        module,
        generation.agent.profile,
        daemon=environment if boxed is None else adapt_daemon(environment, boxed.box),
        search_path=path if boxed is None else adapt_path(path, boxed.box),
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
    command_line = CommandLine(
        program=program,
        argv=(module.bin, *prepend, *args, *module.append),
        environment=variables if boxed is None else _adapt(variables, boxed, module, access) | told,
        directory=workspace.descriptor,
    )
    return Plan(command_line=command_line, terms=terms, boxed=boxed)


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


def plan_errand(
    request: Request,
    errand: Errand,
    *,
    means: Means,
    directory: int,
    may_pass: bool,
) -> Plan | Talk:
    """Plan to hold a conversation with a remote, from an empty `directory`.

    `may_pass` says that the client's stdin and stdout may be used as they are. Raises Denied for a
    client that can neither pass its streams nor send them whole.
    """
    terms = agree(request, may_pass=may_pass, is_captured=True)
    if not terms.uses("fds") and not (terms.uses("stdin") and terms.uses("base64")):
        raise Denied(
            "git-remote needs a client that sends its stdin and takes any bytes",
            layer="broker",
            rule="needs-stdin",
            hint='list "stdin" and "base64" in the features of the request, or use a newer shim',
        )
    if not isinstance(errand, SshErrand):
        return Talk(errand=errand, means=means, terms=terms)
    line = CommandLine(errand.program, errand.argv, means.variables, directory)
    return Plan(command_line=line, terms=terms, errand=errand)
