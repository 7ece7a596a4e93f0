"""A request to ssh: from its words to the plan by which it is run."""

from collections.abc import Mapping
from functools import partial

from airlock_daemon.brokers.ssh.session import Admitted, admit
from airlock_daemon.brokers.ssh.telling import tell_verbosely
from airlock_daemon.command.environment import build_environment
from airlock_daemon.command.order import CommandLine
from airlock_daemon.connection.descriptors import Passed
from airlock_daemon.identity.peer import Peer
from airlock_daemon.request.errand import Asked, Planner
from airlock_daemon.request.negotiation import agree, find_term
from airlock_daemon.request.plan import Plan
from airlock_daemon.setup.generation import Generation
from airlock_modules import Module
from airlock_wire import Request


async def admit_session(
    asked: Asked,
    request: Request,
    module: Module,
    generation: Generation,
    *,
    environment: Mapping[str, str],
) -> Planner:
    """Admit a session, as the broker's `admit`; returns what makes the plan.

    `asked` has the directory and the means; `environment` is the daemon's own.
    """
    admitted = await admit(request.args, module, generation, asked.means)
    return partial(_plan, admitted, asked, request, module, generation, environment)


def _plan(
    admitted: Admitted,
    asked: Asked,
    request: Request,
    module: Module,
    generation: Generation,
    environment: Mapping[str, str],
    *,
    peer: Peer,
    passed: Passed,
) -> Plan:
    """As for a tool, but that only pipes of the client's are passed, and never its stderr."""
    is_captured = generation.agent.hooks.post_exec is not None
    may_pass = not is_captured and asked.may_pass(peer, passed)
    terms = agree(request, may_pass=may_pass, is_captured=is_captured)
    built = build_environment(
        module,
        generation.agent.profile,
        daemon=environment,
        search_path=generation.programs.path,
        client=request.env if terms.uses("env") else {},
        term=find_term(request, terms, passed),
    )
    variables = {**asked.environment, **built}
    notice = tell_verbosely(admitted)
    # A terminal that ssh has in hand makes no line ends of its own.
    end = "\r\n" if terms.terminal is not None else "\n"
    return Plan(
        command_line=CommandLine(admitted.program, admitted.argv, variables, asked.directory),
        terms=terms,
        session=admitted,
        notice=f"{notice}{end}".encode() if notice else b"",
    )
