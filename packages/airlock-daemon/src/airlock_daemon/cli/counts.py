"""The counts of the audit log, for a person."""

import msgspec

from airlock_daemon.audit.reading.showing import show_word
from airlock_daemon.audit.reading.statistics import DenialRow, Statistics
from airlock_daemon.cli.table import print_rows

_HEADINGS = (
    "AGENT",
    "COMMAND",
    "REQUESTS",
    "ALLOWED",
    "DENIED",
    "FAILED",
    "ABORTED",
    "INVALID",
    "P50 MS",
    "P95 MS",
)
_OUTCOMES = ("allowed", "denied", "failed", "aborted", "invalid")


def print_statistics(counted: Statistics) -> None:
    """Print the sums, a table of agents and commands, and one of what refused."""
    if counted.requests:
        print(f"{counted.begins} to {counted.ends}")
    sums = ", ".join(f"{counted.outcomes.get(name, 0)} {name}" for name in _OUTCOMES)
    print(f"requests: {counted.requests} ({sums})")
    print(f"agents: {counted.agents}")
    if counted.running:
        print(f"commands that have begun and not ended: {counted.running}")
    if counted.cut_off:
        print(f"commands that were cut off, with a daemon that was killed: {counted.cut_off}")
    if counted.no_records:
        print(f"lines that are no records: {counted.no_records}, see: airlock-daemon log verify")
    if counted.commands:
        print()
        rows = [
            [_cell(value) for value in msgspec.structs.astuple(row)] for row in counted.commands
        ]
        print_rows(_HEADINGS, rows)
    if counted.denials:
        print()
        print_rows(
            ("DENIED BY", "RULE", "REQUESTS"),
            [(row.layer or "-", _tell_rule(row), str(row.requests)) for row in counted.denials],
        )


def _tell_rule(row: DenialRow) -> str:
    if row.rule is not None:
        return show_word(row.rule)
    return "-" if row.layer else "not enabled"


def _cell(value: object) -> str:
    if value is None:
        # A client can name a command "-", but not this.
        return "(none)"
    return f"{value:g}" if isinstance(value, float) else str(value)
