"""The life of one request, from its message to its answer and its record."""

from airlock_daemon.serving.request.broker import find_broker
from airlock_daemon.serving.request.exchange import Visit, serve_request
from airlock_daemon.serving.request.state import AgentState, Caller, DaemonState, RecordQuota, log

__all__ = [
    "AgentState",
    "Caller",
    "DaemonState",
    "RecordQuota",
    "Visit",
    "find_broker",
    "log",
    "serve_request",
]
