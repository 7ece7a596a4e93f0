"""Reads the audit log, with or without a running daemon: lines, chain, counts."""

from airlock_daemon.admin.log import chain, statistics, witness
from airlock_daemon.admin.log.items import (
    Follower,
    Item,
    Lines,
    StartedCommands,
    Wanted,
    find_recent,
    list_lines,
    open_log,
    read_item,
    show_word,
    to_object,
)
from airlock_daemon.admin.log.otlp import Collector

__all__ = [
    "Collector",
    "Follower",
    "Item",
    "Lines",
    "StartedCommands",
    "Wanted",
    "chain",
    "find_recent",
    "list_lines",
    "open_log",
    "read_item",
    "show_word",
    "statistics",
    "to_object",
    "witness",
]
