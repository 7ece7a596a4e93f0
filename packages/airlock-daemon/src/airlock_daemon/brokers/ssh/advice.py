"""What a client is told when the human's ssh could not log in.

OpenSSH's own words advise what only a person on the host can do: the files that they name are those
of the host. They stay as they are, and a line of Airlock's follows them.
"""

from airlock_daemon.command.launch import Ended
from airlock_daemon.command.stdio.standard import Emit
from airlock_wire import Stream

# ssh(1): its exit status where it failed itself.
_FAILED = 255
# More than that is the output of a session.
_MOST_BYTES = 8192

_UNVERIFIED = b"Host key verification failed."
_CHANGED = b"REMOTE HOST IDENTIFICATION HAS CHANGED"
_DENIED = b"Permission denied (publickey"


class LoginAdvice:
    """An `emit` that passes everything on, and knows afterwards why ssh did not log in."""

    def __init__(self, emit: Emit, *, user: str | None, host: str, port: int | None) -> None:
        """The others are how the client named the destination."""
        self._emit = emit
        self._heard = b""
        self._host = host
        at = host if user is None else f"{user}@{host}"
        self._words = f"ssh {at}" if port is None else f"ssh -p {port} {at}"

    async def emit(self, stream: Stream, data: bytes) -> None:
        """Pass it on."""
        if len(self._heard) <= _MOST_BYTES:
            self._heard += data
        await self._emit(stream, data)

    async def conclude(self, ended: Ended, *, end: str = "\n") -> None:
        """Tell the client what there is to be done, in a line that ends with `end`."""
        advice = self._find() if ended.exit_code == _FAILED else None
        if advice is not None:
            await self._emit("stderr", f"airlock: {advice}{end}".encode())

    def _find(self) -> str | None:
        if len(self._heard) > _MOST_BYTES:
            return None
        if _CHANGED in self._heard:
            return (
                f"the host on which Airlock runs knows {self._host} by another key: a person there "
                "has to find out why, and can then run the ssh-keygen line above on that host, not "
                "in this container"
            )
        if _UNVERIFIED in self._heard:
            return (
                f"the host on which Airlock runs does not know the key of {self._host}: a person "
                f"there can connect once and compare it: {self._words}"
            )
        if _DENIED in self._heard:
            return (
                f"{self._host} accepts no key that ssh can use without a person: one on the host "
                f"can see why with {self._words}; a key with a passphrase has to be in the "
                "ssh-agent that the daemon knows (ssh-add)"
            )
        return None
