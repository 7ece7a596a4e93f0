"""Listening to a client while its command runs."""

from airlock_daemon.command.process import Command
from airlock_daemon.connection.ending import Ending
from airlock_daemon.connection.session import Session
from airlock_daemon.connection.watch import Watched
from airlock_daemon.request.state import log
from airlock_wire import ErrorObject, RemoteProtocolError


class Hearing:
    """Hands on to a command what its client says, from the task that watches all clients.

    So a client is heard also while the command's own task waits for it to read.
    """

    def __init__(self, session: Session, watched: Watched, ending: Ending) -> None:
        self._session = session
        self._watched = watched
        self._ending = ending

    def begin(self, command: Command) -> None:
        """Listen from now on until the command has ended."""
        self._command = command
        self._watched.listen(self._hear)

    def _hear(self) -> bool:
        if self._session.is_answered:
            return False
        try:
            return self._session.hear(self._command.tell)
        except RemoteProtocolError as error:
            self._ending.fail(error.error)
        except Exception as error:  # noqa: BLE001 - one client's fault must not end the others'
            log.exception("a fault of the daemon while it heard a client")
            self._ending.fail(ErrorObject.failed(f"the daemon failed: {type(error).__name__}"))
        return False
