"""Runs a tool: its environment, launcher, streams and cgroup."""

from airlock_daemon.boundary.command.groups import Cgroup, Group, Groups, OpenGroup, open_none
from airlock_daemon.boundary.command.launcher import (
    BASE,
    MAX_KEPT,
    Bounds,
    CommandLine,
    Ended,
    Fence,
    Identity,
    Launch,
    Launcher,
    NativeLauncher,
    build_environment,
    cannot_start,
    encode_order,
    explain_changed,
    find_launcher,
    make_pair,
    open_launcher,
    select_inherited,
)
from airlock_daemon.boundary.command.process import PIECE, Begin, Command, Emit, Grant, Piped, Stdio
