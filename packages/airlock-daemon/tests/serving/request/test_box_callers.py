"""Tests of `airlock_daemon.serving.request.boxed`: whose the connections from a box are."""

from typing import Any

from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.serving.request.boxed import describe_caller
from airlock_daemon.serving.request.job import Job
from airlock_daemon.serving.request.recording import RECORDS, Recording
from airlock_wire import Request

NOTHING: Any = None


def test_connections_from_a_box_are_those_of_its_commands_client() -> None:
    """Their records name the command's request, process and container, and share its bound."""
    recording = Recording(
        NOTHING, NOTHING, Request(id=1, method="exec", command="npm", args=()), "my"
    )
    peer = Peer(pid=7, uid=8, kind="container", container="c" * 64)
    job = Job(
        generation=NOTHING,
        module=NOTHING,
        terms=NOTHING,
        peer=peer,
        command_line=None,
        container_proven=False,
    )
    first, second = describe_caller(job, recording), describe_caller(job, recording)
    assert first.request == recording.request is not None
    assert first.peer == {"pid": 7, "uid": 8}
    assert (first.container, first.container_proven) == (peer.container, False)
    assert first.spend_record is not None
    assert second.spend_record is not None
    assert all(first.spend_record() for _ in range(RECORDS))
    assert not second.spend_record()
