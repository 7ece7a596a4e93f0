"""What a client says while its command runs, on its way to the command."""

from collections.abc import Callable
from functools import partial

from airlock_daemon.connection.session import Said
from airlock_daemon.errors import own_fault
from airlock_daemon.request.client import Client
from airlock_daemon.request.state import log
from airlock_wire import ErrorObject, RemoteProtocolError


def hand_on_input(client: Client, tell: Callable[[Said], None]) -> None:
    """Have `tell` told what the client says, until it has its answer.

    This happens in the task that watches all clients, so that a client is heard also while the
    command's own task waits for it to read. One that breaks the protocol ends its request.
    """
    client.watched.listen(partial(_hear, client, tell))


def _hear(client: Client, tell: Callable[[Said], None]) -> bool:
    if client.session.is_answered:
        return False
    try:
        return client.session.hear(tell)
    except RemoteProtocolError as error:
        client.ending.fail(error.error)
    except Exception as error:  # noqa: BLE001 - one client's fault must not end the others'
        log.exception("a fault of the daemon while it heard a client; please report it")
        fault = own_fault(error)
        client.ending.fail(ErrorObject.failed(fault.message, hint=fault.hint))
    return False
