"""Reads the lists of a docker engine piece by piece: they may have everybody's objects."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, TypeVar
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
from airlock_daemon.boundary.fairness import TurnSource
from airlock_modules.engine import MAX_OBJECT, Listing, View, encode, rewrite

_PIECE = 1 << 14
_MAX_LENGTH = 8 << 20
_TOO_MUCH = f"what this agent has is more than {_MAX_LENGTH >> 20} MiB to list"
_OBJECTS = ("volume.list", "system.df")

ODD = "it answered with something else than its API has"
Object = dict[str, Any]
T = TypeVar("T")


async def ask_list(
    engine: str,
    path: str,
    filters: object,
    view: View,
    *,
    pick: Callable[[Object], Iterable[T]],
    turns: TurnSource | None,
    longest: int = MAX_OBJECT,
) -> tuple[list[T], int]:
    """What `pick` takes of a list's objects, and how many of all are too long to be looked at.

    `turns` are of the agent that asks. Nothing else of an object is kept. Raises Failed.
    """
    mark = "&" if "?" in path else "?"
    given = quote(encode(filters).decode(), safe="*/")
    target = f"/v{view.version[0]}.{view.version[1]}{path}{mark}filters={given}"
    listing, found, size = Listing(longest), list[T](), 0
    with trio.move_on_after(ASK_S):
        async with await EngineConnection.open(engine) as connection:
            await connection.begin("GET", target, [])
            await connection.end()
            head = await connection.read_head()
            if head.status != HTTPStatus.OK:
                raise unusual(head.status, read_json(await connection.read_all()), view)
            while (part := await _read(connection, listing, turns)) is not None:
                for each in (one for some in part.values() for it in some for one in pick(it)):
                    size += len(msgspec.json.encode(each))
                    if size > _MAX_LENGTH:
                        raise broken(_TOO_MUCH)
                    found.append(each)
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
    while (part := await _read(connection, listing, turns)) is not None:
        more: Any = rewrite(name, part if is_object else part.get("", []), view)
        size += len(msgspec.json.encode(more))
        if size > _MAX_LENGTH:
            raise broken(_TOO_MUCH)
        if not is_object:
            whole += more
        for key, value in more.items() if is_object else ():
            # Numbers of bytes are added up, too.
            whole[key] = whole[key] + value if value else whole[key]
    if listing.form != (b"{" if is_object else b"["):
        raise broken(ODD)
    return whole


async def _read(
    connection: EngineConnection, listing: Listing, turns: TurnSource | None
) -> dict[str, list[Object]] | None:
    try:
        if piece := await connection.read_much(_PIECE):
            # Much may have been received at once.
            if turns is None:
                await trio.lowlevel.checkpoint()
            else:
                await turns.take()
            return listing.feed(piece)
        listing.end()
        return None
    except msgspec.DecodeError:
        raise broken(ODD) from None
