"""What the audit log and a client say of a session with another machine."""

from airlock_daemon.audit.record import shorten
from airlock_daemon.brokers.ssh.session import Admitted
from airlock_modules import Session

_COMMAND = 400


def describe(admitted: Admitted, *, sent: int | None, received: int | None) -> dict[str, object]:
    """The `detail` of a `broker` record, of less than 3 KiB.

    `sent` and `received` are the bytes of ssh's stdin and stdout, None where they did not pass
    through the daemon: `bytes` and `received`.

    `service` is always "ssh"; `destination` and one of `command`, `subsystem` and `shell` say what
    is done where, or `query` what is asked of ssh itself. `unpinned` is there where no line of the
    profile names the host.
    """
    detail: dict[str, object] = {"service": "ssh"}
    asked = admitted.asked
    if not isinstance(asked, Session):
        detail["query"] = [shorten(word) for word in asked.words]
        return detail
    detail["destination"] = shorten(f"ssh://{asked.login}")
    if asked.command is None:
        detail["shell"] = True
    else:
        key = "subsystem" if asked.is_subsystem else "command"
        detail[key] = shorten(asked.command, most=_COMMAND)
    if not admitted.is_pinned:
        detail["unpinned"] = True
    return {**detail, "bytes": sent, "received": received}


def tell_verbosely(admitted: Admitted) -> str:
    """What a client sees that has asked for more (-v): where it goes, and nothing of the host's."""
    asked = admitted.asked
    if not isinstance(asked, Session) or not asked.is_verbose:
        return ""
    return (
        f"airlock: ssh goes to {asked.login}; what else -v tells would show the host's own "
        "configuration"
    )
