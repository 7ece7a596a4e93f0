"""Reads the lists of a docker engine piece by piece: they may have everybody's objects."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
import trio

from airlock_daemon.boundary.brokers.docker.connections import (
    ASK_S,
    EngineConnection,
    broken,
    read_json,
    unusual,
)
from airlock_daemon.boundary.fairness.turns import TurnSource
from airlock_modules.engine import MAX_OBJECT, Listing, View, encode, rewrite

_PIECE = 1 << 14
_MAX_LENGTH = 8 << 20
_OBJECTS = ("volume.list", "system.df")

ODD = "it answered with something else than its API has"
Object = dict[str, Any]


async def ask_list(
    engine: str,
    path: str,
    filters: object,
    view: View,
    *,
    is_wanted: Callable[[Object], object],
    longest: int = MAX_OBJECT,
) -> tuple[list[Object], int]:
    """The objects of a list that are wanted, and how many of all are too long to be looked at.

    Raises Failed.
    """
    mark = "&" if "?" in path else "?"
    given = quote(encode(filters).decode(), safe="*/")
    target = f"/v{view.version[0]}.{view.version[1]}{path}{mark}filters={given}"
    listing, found = Listing(longest), list[Object]()
    with trio.move_on_after(ASK_S):
        async with await EngineConnection.open(engine) as connection:
            await connection.begin("GET", target, [])
            await connection.end()
            head = await connection.read_head()
            if head.status != HTTPStatus.OK:
                raise unusual(head.status, read_json(await connection.read_all()), view)
            while (part := await _read(connection, listing)) is not None:
                found += (each for some in part.values() for each in some if is_wanted(each))
            return found, listing.dropped
    raise broken(f"it did not answer within {ASK_S:g} s")


async def rewrite_list(
    connection: EngineConnection, name: str, view: View, turns: TurnSource
) -> object:
    """The answer of the operation `name` as the client gets it, without what is too long.

    Raises Failed.
    """
    size, is_object = 0, name in _OBJECTS
    whole: Any = rewrite(name, {} if is_object else [], view)
    listing = Listing()
    while (part := await _read(connection, listing)) is not None:
        more: Any = rewrite(name, part if is_object else part.get("", []), view)
        size += len(msgspec.json.encode(more))
        if size > _MAX_LENGTH:
            raise broken(f"what this agent has is more than {_MAX_LENGTH >> 20} MiB to list")
        if not is_object:
            whole += more
        for key, value in more.items() if is_object else ():
            # Numbers of bytes are added up, too.
            whole[key] = whole[key] + value if value else whole[key]
        await turns.take()
    if listing.form != (b"{" if is_object else b"["):
        raise broken(ODD)
    return whole


async def _read(connection: EngineConnection, listing: Listing) -> dict[str, list[Object]] | None:
    try:
        if piece := await connection.read_much(_PIECE):
            return listing.feed(piece)
        listing.end()
        return None
    except msgspec.DecodeError:
        raise broken(ODD) from None
