"""Refusing a command whose box cannot be made."""

from airlock_daemon.errors import Denied


def refuse(problem: str, remedy: str) -> Denied:
    """What to raise where there is no box for a command that must have one."""
    return Denied(
        f"there is no box for this command on the host: {problem}",
        layer="sandbox",
        rule="no-box",
        hint=f"a person on the host can put that right: {remedy}; airlock-daemon doctor tells more",
    )
