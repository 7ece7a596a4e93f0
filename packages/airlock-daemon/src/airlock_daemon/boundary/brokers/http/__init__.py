"""The brokers' HTTP client: addresses, routes, trust, and bounded requests and answers."""

from airlock_daemon.boundary.brokers.http.addresses import Address, find_inner, resolve
from airlock_daemon.boundary.brokers.http.client import (
    TRY_AGAIN,
    Answer,
    Body,
    HttpClient,
    Origin,
    Request,
    Route,
    broken,
    connect,
    cut_off,
    find_proxy,
    open_stream,
)
from airlock_daemon.boundary.brokers.http.tls import TlsStream, Trust, has_pending

__all__ = ["TRY_AGAIN", "Address", "Answer", "Body", "HttpClient", "Origin", "Request", "Route"]
__all__ += ["TlsStream", "Trust", "broken", "connect", "cut_off", "find_inner", "find_proxy"]
__all__ += ["has_pending", "open_stream", "resolve"]
