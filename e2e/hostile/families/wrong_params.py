"""Requests whose params are wrong, or lie: refused by name, and nothing runs."""

import json
from functools import partial
from typing import Any

from e2e.hostile.attack import Attack, Scene, make_family
from e2e.world.errors import BrokenError
from e2e.world.lines import TERMINAL, make_request

_DEEP_VALUE = b"[" * 400 + b"]" * 400
_LONG = "x" * 1_000_000

# Params of an `exec` request; each is refused by -32602.
_WRONG: tuple[tuple[str, Any], ...] = (
    ("params an array", ["true"]),
    ("params null", None),
    ("no command", {"args": []}),
    ("no arguments", {"command": "true"}),
    ("command null", {"command": None, "args": []}),
    ("command a number", {"command": 1, "args": []}),
    ("command an object", {"command": {"base64": "dHJ1ZQ=="}, "args": []}),
    ("command with NUL", {"command": "true\0", "args": []}),
    ("arguments a string", {"command": "true", "args": "-c id"}),
    ("arguments null", {"command": "true", "args": None}),
    ("arguments an object", {"command": "true", "args": {"0": "a"}}),
    ("argument a number", {"command": "true", "args": ["a", 1]}),
    ("argument null", {"command": "true", "args": [None]}),
    ("argument an array", {"command": "true", "args": [["a"]]}),
    ("argument with NUL", {"command": "true", "args": ["a\0b"]}),
    ("argument of other base64", {"command": "true", "args": [{"base64": "_-8="}]}),
    ("argument of torn base64", {"command": "true", "args": [{"base64": "YQ"}]}),
    ("argument of no base64", {"command": "true", "args": [{"base64": "!!!!"}]}),
    ("argument of base64 with NUL", {"command": "true", "args": [{"base64": "AA=="}]}),
    ("argument an empty object", {"command": "true", "args": [{}]}),
    ("directory a number", {"command": "true", "args": [], "cwd": 1}),
    ("directory with NUL", {"command": "true", "args": [], "cwd": "/workspace\0/"}),
    ("directory an array", {"command": "true", "args": [], "cwd": ["/"]}),
    ("container a number", {"command": "true", "args": [], "container_id": 1}),
    ("container an object", {"command": "true", "args": [], "container_id": {}}),
    ("container with NUL", {"command": "true", "args": [], "container_id": "\0" * 64}),
    ("features a string", {"command": "true", "args": [], "features": "fds"}),
    ("features of numbers", {"command": "true", "args": [], "features": [1]}),
    ("features an object", {"command": "true", "args": [], "features": {"fds": True}}),
    ("environment a list", {"command": "true", "args": [], "env": ["A=b"]}),
    ("environment a string", {"command": "true", "args": [], "env": "A=b"}),
    ("variable without a name", {"command": "true", "args": [], "env": {"": "x"}}),
    ("variable with = in its name", {"command": "true", "args": [], "env": {"A=B": "x"}}),
    ("variable with NUL in its name", {"command": "true", "args": [], "env": {"A\0B": "x"}}),
    ("variable with NUL in its value", {"command": "true", "args": [], "env": {"A": "x\0"}}),
    ("variable a number", {"command": "true", "args": [], "env": {"A": 1}}),
    ("variable of torn base64", {"command": "true", "args": [], "env": {"A": {"base64": "YQ"}}}),
    ("terminal a list", {"command": "true", "args": [], "tty": [True, True, True]}),
    ("terminal without streams", {"command": "true", "args": [], "tty": {"rows": 1, "cols": 1}}),
    *(
        (f"terminal with {name} {value!r}", {"command": "true", "args": [], "tty": terminal})
        for name, value in (
            ("rows", -1),
            ("rows", 65_536),
            ("rows", 10**30),
            ("cols", 1.5),
            ("cols", "80"),
            ("stdin", 1),
            ("stdout", None),
            ("term", ""),
            ("term", "x" * 65),
            ("term", "xterm\n"),
            ("term", "../../etc/passwd"),
            ("term", "x\0"),
            ("term", "\u202e"),
            ("term", 1),
        )
        for terminal in ({**TERMINAL, name: value},)
    ),
)

# Commands that no module is enabled for, however they are written.
_UNKNOWN = (
    "",
    " ",
    "/bin/true",
    "../true",
    "true ",
    "TRUE",
    "sh -c id",
    "true\n",
    "\u202etrue",
    "tru\u0435",
    "airlock",
    "x" * 10_000,
)


def _send_params(scene: Scene, *, params: Any) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "exec", "params": params}
    with scene.connect() as client:
        client.send(json.dumps(message).encode() + b"\n")
        error = client.await_error(-32602)
        if error.get("data", {}).get("kind") != "invalid-params":
            raise BrokenError(f"an error of another kind: {error}")


def _send_unknown(scene: Scene, *, command: str) -> None:
    with scene.connect() as client:
        client.send(make_request(command))
        error = client.await_error(-32601)
        if not error["message"].isprintable():
            raise BrokenError(f"an error that a terminal would obey: {error}")


def surrogate_as_escape(scene: Scene) -> None:
    """Half a character, spelled in JSON, is no text."""
    for half in (b"\\ud800", b"\\udfff", b"\\ud800\\ud800"):
        with scene.connect() as client:
            client.send(make_request("true", "X").replace(b'"X"', b'"' + half + b'"'))
            client.await_response()


def duplicate_members(scene: Scene) -> None:
    """The last one counts, for the decision as for the run."""
    with scene.connect() as client:
        client.send(make_request("true").replace(b'"command"', b'"command": "sudo", "command"'))
        client.await_result()
    with scene.connect() as client:
        line = make_request("true")
        client.send(line.replace(b'"command": "true"', b'"command": "true", "command": "sudo"'))
        client.await_error(-32601)


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
    surrogate_as_escape,
    duplicate_members,
    nested_values_nobody_knows,
    long_texts_do_not_flood_the_log,
)
