"""The `start` message: validating the features in use against the request."""

import functools

from msgspec import UNSET

from airlock_wire.errors import LocalProtocolError
from airlock_wire.features import FEATURES, find_conflict
from airlock_wire.messages import encode_message
from airlock_wire.notifications import StartMessage, StartParams
from airlock_wire.request import Request


def encode_start(request: Request, *, features: frozenset[str], stdin_credit: int) -> bytes:
    """Return the `start` that answers `request`.

    Raises LocalProtocolError for features that the client did not request, that this version lacks,
    or that this request or the other features exclude.
    """
    if request.features is None:
        raise LocalProtocolError("the client asked for no features, so there is no start")
    unasked = features - set(request.features).intersection(FEATURES)
    if unasked:
        raise LocalProtocolError(f"the client did not ask for {', '.join(sorted(unasked))}")
    if "tty" in features and (request.terminal is None or not request.terminal.is_wanted):
        raise LocalProtocolError("tty cannot be in use: the client has no terminal")
    return _encode(features, stdin_credit)


@functools.lru_cache(maxsize=64)
def _encode(features: frozenset[str], stdin_credit: int) -> bytes:
    conflict = find_conflict(features, stdin_credit=stdin_credit)
    if conflict is not None:
        raise LocalProtocolError(conflict)
    params = StartParams(
        features=tuple([name for name in FEATURES if name in features]),
        stdin_credit=stdin_credit or UNSET,
    )
    return encode_message(StartMessage(jsonrpc="2.0", method="start", params=params))
