"""Identifies the clients of an agent's sockets beside that of requests."""

import socket

from airlock_daemon.boundary.identity.engine_sockets import refuse_engine_socket
from airlock_daemon.boundary.identity.peer import Peer, find_credentials, identify, refuse_own
from airlock_daemon.errors import Denied, Failed
from airlock_daemon.serving.daemon.clients import describe_peer
from airlock_daemon.serving.request.recording import Caller
from airlock_daemon.serving.request.state import AgentState, DaemonState


async def identify_caller(
    connection: socket.socket, agent: AgentState, shared: DaemonState
) -> tuple[Caller, Peer]:
    """Identify the client by a request's rules; raises Denied and Failed."""
    generation = agent.generation
    name = generation.agent.name
    peer = identify(connection, find_credentials(connection))
    refuse_own(peer, shared.ancestry)
    if not generation.agent.profile.engine_socket:
        await refuse_engine_socket(
            peer,
            agent=name,
            profile_file=generation.agent.profile_file,
            sockets_dir=generation.reserved.sockets_dir,
            containers=shared.containers,
        )
    caller = Caller(peer=describe_peer(connection))
    if peer.container is None:
        return caller, peer
    is_proven = True
    try:
        await shared.containers.attest(peer, agent=name)
    except (Failed, Denied):
        is_proven = False
    caller = Caller(peer=caller.peer, container=peer.container, container_proven=is_proven)
    return caller, peer
