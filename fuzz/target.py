"""What a target is, and how bytes become the text that it is about."""

import importlib
from collections.abc import Callable
from typing import NamedTuple

TARGETS = (
    "modules",
    "arguments",
    "push",
    "helper",
    "signing",
    "login",
    "framing",
    "bridge",
    "wire",
    "session",
    "relay",
    "api_head",
    "api_body",
    "api_graphql",
    "api_messages",
    "api_upload",
    "aws",
    "kubeconfig",
    "client_hello",
    "engine_call",
    "engine_archive",
)
"""The names of the targets, each the name of its file."""


class BrokenPromiseError(Exception):
    """The code under test did what it says that it never does. The text says what."""


class Target(NamedTuple):
    """Something to be fuzzed.

    `check` raises any exception for bytes that show a fault. `seeds` are inputs to begin with,
    `words` are pieces that inputs are put together from, `longest` bounds an input, in bytes.
    """

    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...]
    longest: int


def load_target(name: str) -> Target:
    """Import the file of a target, and with it the code under test, and return the target."""
    target = importlib.import_module(f"fuzz.{name}").TARGET
    if not isinstance(target, Target):
        raise TypeError(f"fuzz/{name}.py does not define TARGET")
    return target


def decode(data: bytes) -> str:
    """Return text for any bytes; some have surrogates, of `os.fsdecode` and others."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")


def require_one_line(text: str) -> None:
    """Raise BrokenPromiseError unless `text` is one printable line that UTF-8 can carry."""
    # A lone surrogate is not printable either.
    if not text.isprintable():
        raise BrokenPromiseError(f"not one line of printable text: {text!a}")
