"""Requests whose params are wrong, or lie: refused by name, and nothing runs."""

from functools import partial
from typing import Any

from e2e.hostile.attack import Attack, Scene, make_family
from e2e.world.errors import BrokenError
from e2e.world.lines import TERMINAL, make_request

_DEEP_VALUE = b"[" * 400 + b"]" * 400
_LONG = "x" * 1_000_000

# Each kind of wrong params is a case of the conformance suite; these are further ones. All are
# refused by -32602.
_WRONG: tuple[tuple[str, dict[str, Any]], ...] = (
    ("container with NUL", {"container_id": "\0" * 64}),
    ("features an object", {"features": {"fds": True}}),
    ("a terminal of rows without end", {"tty": {**TERMINAL, "rows": 10**30}}),
    ("a terminal of a kind with NUL", {"tty": {**TERMINAL, "term": "x\0"}}),
    ("a terminal of a kind that turns text around", {"tty": {**TERMINAL, "term": "\u202e"}}),
)

# Commands that no module is enabled for, and that a careless reader may take for one that is.
_UNKNOWN = (
    " ",
    "true ",
    "sh -c id",
    "true\n",
    "\u202etrue",
    "tru\u0435",
    "airlock",
    "x" * 10_000,
)


def _send_params(scene: Scene, *, params: dict[str, Any]) -> None:
    with scene.connect() as client:
        client.send(make_request("true", **params))
        error = client.await_error(-32602)
        if error.get("data", {}).get("kind") != "invalid-params":
            raise BrokenError(f"an error of another kind: {error}")


def _send_unknown(scene: Scene, *, command: str) -> None:
    with scene.connect() as client:
        client.send(make_request(command))
        error = client.await_error(-32601)
        if not error["message"].isprintable():
            raise BrokenError(f"an error that a terminal would obey: {error}")


def nested_values_nobody_knows(scene: Scene) -> None:
    """Members that are unknown are ignored whatever is in them."""
    with scene.connect() as client:
        line = make_request("true")
        client.send(line.replace(b'"params": {', b'"params": {"x": ' + _DEEP_VALUE + b", "))
        client.await_result()


def long_texts_do_not_flood_the_log(scene: Scene) -> None:
    """What a client may make as long as it likes is shortened before it is recorded."""
    log = scene.daemon.world.log
    for line in (
        make_request("true", request_id=_LONG),
        make_request(_LONG),
        make_request("true", _LONG),
        make_request("true", cwd=f"/workspace/{_LONG}"),
        make_request("true", container_id=_LONG),
        make_request("true", method=_LONG),
        make_request("true", features=[_LONG]),
    ):
        before = log.stat().st_size
        with scene.connect() as client:
            client.send(line)
            client.await_response()
            client.await_end()
        grown = log.stat().st_size - before
        if grown > len(_LONG) // 2:
            raise BrokenError(f"{line[:80]!r}... took {grown} bytes of the audit log")


FAMILY = make_family(
    "wrong-params",
    "requests with params that are wrong",
    *(Attack(name, partial(_send_params, params=params)) for name, params in _WRONG),
    *(Attack(f"command {name[:40]!a}", partial(_send_unknown, command=name)) for name in _UNKNOWN),
    nested_values_nobody_knows,
    long_texts_do_not_flood_the_log,
    promise="G9",
)
