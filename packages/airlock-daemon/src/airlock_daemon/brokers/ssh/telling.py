"""A session with another machine as an operation, and what the audit log and a client say of it."""

from airlock_daemon.audit.record import shorten
from airlock_daemon.brokers.ssh.session import Admitted
from airlock_modules import Query, Session
from airlock_modules.operation import Operation

_COMMAND = 400


def name_operation(asked: Session | Query) -> Operation:
    """What is done where, or what ssh itself is asked."""
    if not isinstance(asked, Session):
        return Operation(("ssh", *asked.words))
    subsystem = ("-s",) if asked.is_subsystem else ()
    command = () if asked.command is None else (asked.command,)
    return Operation(("ssh", str(asked.login), *subsystem, *command))


def describe(admitted: Admitted, *, sent: int | None, received: int | None) -> dict[str, object]:
    """The `detail` of a `broker` record, of less than 3 KiB.

    `sent` and `received` are the bytes of ssh's stdin and stdout, None where they did not pass
    through the daemon: `bytes` and `received`.

    `operation` says what is done, and `service` is always "ssh". Of a session there are
    `destination` and, unless it is a shell, `command` or `subsystem`; of what is asked of ssh
    itself there is no more. `unpinned` is there where no line of the profile names the host.
    """
    asked = admitted.asked
    operation = shorten(name_operation(asked).line)
    detail: dict[str, object] = {"operation": operation, "service": "ssh"}
    if not isinstance(asked, Session):
        return detail
    detail["destination"] = shorten(f"ssh://{asked.login}")
    if asked.command is not None:
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
