"""Identifies the clients of an agent's sockets beside that of requests."""

import socket

from airlock_daemon.boundary.identity.peer import Peer, find_credentials, identify, refuse_own
from airlock_daemon.serving.daemon.clients import describe_peer
from airlock_daemon.serving.request import AgentState, Caller, DaemonState


async def identify_caller(
    connection: socket.socket, agent: AgentState, shared: DaemonState
) -> tuple[Caller, Peer]:
    """Identify the client by a request's rules; raises Denied and Failed."""
    generation = agent.generation
    peer = identify(connection, find_credentials(connection))
    refuse_own(peer, shared.ancestry)
    if not generation.agent.profile.engine_socket:
        await shared.containers.refuse_engine_socket(peer, generation)
    caller = Caller(peer=describe_peer(connection))
    if peer.container is None:
        return caller, peer
    is_proven = await shared.containers.proves(peer, agent=generation.agent.name)
    caller = Caller(peer=caller.peer, container=peer.container, container_proven=is_proven)
    return caller, peer
