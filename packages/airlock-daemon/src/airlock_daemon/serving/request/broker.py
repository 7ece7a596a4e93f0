"""The table of brokers, and their common input."""

import os
import re
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.boundary.command.launcher import build_environment
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.platform.threads import run_in_thread
from airlock_daemon.serving.request.job import Call, Job, require_approval
from airlock_modules import Module
from airlock_modules.operation import Operation
from airlock_wire import Request

_PROTOCOL = re.compile(r"version=[0-9]")


async def make_requester(
    request: Request, module: Module, workspace: Workspace, peer: Peer, call: Call
) -> Requester:
    """The agent's data for the broker of `module`; `workspace` is an empty directory."""
    daemon: Mapping[str, str] = call.shared.environment
    if sys.platform != "linux":
        from airlock_daemon.platform.system import find_ssh_agent  # noqa: PLC0415 - for macOS

        agent = await run_in_thread(partial(find_ssh_agent, daemon))
        daemon = {**daemon, "SSH_AUTH_SOCK": agent}
    return Requester(
        agent=call.agent,
        generation=call.generation,
        directory=workspace.descriptor,
        variables=build_variables(request, module, workspace, call, daemon),
        approve=partial(require_approval, call, peer),
    )


def build_variables(
    request: Request, module: Module, workspace: Workspace, call: Call, daemon: Mapping[str, str]
) -> dict[str, str]:
    """The environment of the human's programs that run for a broker; `daemon` is the daemon's."""
    variables = build_environment(
        module,
        call.generation.agent.profile,
        daemon=daemon,
        search_path=call.generation.programs.path,
    )
    # Git must not search above the directory for a repository.
    variables["GIT_CEILING_DIRECTORIES"] = os.path.dirname(workspace.path)
    client: Mapping[str, str] = request.env if "env" in (request.features or ()) else {}
    protocol = client.get("GIT_PROTOCOL", "")
    if _PROTOCOL.fullmatch(protocol):
        variables["GIT_PROTOCOL"] = protocol
    return variables


class Broker(Protocol):
    """Uses a credential on a client's behalf; has no access to the client's workspace."""

    async def admit(self, request: Request, module: Module, requester: Requester, /) -> Any:
        """Admit a request; returns the input for `plan`.

        Raises Denied (layer "broker" for arguments and destination, "module" or "profile" by
        rules), Failed if the human's programs cannot be run.
        """

    def name_operation(self, request: Request, admitted: Any, /) -> Operation:
        """The operation of an admitted request, as far as its arguments say it."""

    def plan(
        self,
        request: Request,
        module: Module,
        admitted: Any,
        *,
        requester: Requester,
        call: Call,
        peer: Peer,
    ) -> Job:
        """Plan an admitted request; raises Denied if the client lacks a needed feature."""


def find_broker(module: Module) -> Broker:
    """The broker of a module, loaded with the first generation that grants it.

    Raises ValueError if the module has no broker.
    """
    match module.broker:
        case "git":
            from airlock_daemon.serving.request.git_broker import GitBroker  # noqa: PLC0415

            return GitBroker()
        case "ssh":
            from airlock_daemon.serving.request.ssh_broker import SshBroker  # noqa: PLC0415

            return SshBroker()
        case "sign":
            from airlock_daemon.serving.request.sign_broker import SignBroker  # noqa: PLC0415

            return SignBroker()
    raise ValueError(module.broker)


def may_pass(call: Call, peer: Peer) -> bool:
    """Whether a broker may use the client's descriptors.

    The program may get stdin and stdout if they are pipes, but never stderr.
    """
    passed = call.passed
    has_some = call.generation.pass_descriptors and bool(passed.numbers)
    return has_some and passed.kinds[:2] == ("pipe", "pipe") and passed.are_usable(peer)
