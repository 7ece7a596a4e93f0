"""Output of commands for a person: errors and rows."""

import logging
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from airlock_daemon.errors import AirlockError, SetupError
from airlock_wire import is_shown, quote

_OUR_FAULT = 70


@contextmanager
def reporting(*, status: int = 1) -> Iterator[None]:
    """Print the block's errors to stderr, and exit with `status`, or with 70 for our own fault."""
    logging.basicConfig(level=logging.INFO, format="airlock: %(message)s", stream=sys.stderr)
    try:
        yield
    except SetupError as error:
        count = len(error.faults)
        print_message(*error.faults, f"{count} {'fault' if count == 1 else 'faults'} found")
        sys.exit(status)
    except AirlockError as error:
        print_message(error.message, *([f"hint: {error.hint}"] if error.hint else []))
        sys.exit(status)
    except Exception:  # noqa: BLE001 - the boundary: an exit status for every fault
        traceback.print_exc()
        print_message("this is a fault of Airlock's own; please report it")
        sys.exit(_OUR_FAULT)


def print_messages(messages: Iterable[object]) -> None:
    """Print each message like `print_message`; nothing if there are none."""
    for message in messages:
        print_message(message)


def print_message(*messages: object) -> None:
    """Print to stderr, with each line marked as Airlock's."""
    for line in "\n".join(map(str, messages)).split("\n"):
        print(f"airlock: {line}", file=sys.stderr)


def plain(text: str) -> str:
    """`text` for its own line, quoted if a terminal would obey or not show some of it."""
    return text if is_shown(text) else quote(text, limit=None)


def list_rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows as an aligned table with headings on a terminal, else separated by tabs."""
    shown = [list(map(plain, row)) for row in rows]
    if not sys.stdout.isatty():
        yield from map("\t".join, shown)
        return
    table = [[*headings], *shown]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


@contextmanager
def printing() -> Iterator[None]:
    """End the block quietly at Ctrl-C, and when the reader of stdout has closed it.

    Characters that the output's encoding lacks are escaped.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    with ignoring_closed_stdout(), suppress(KeyboardInterrupt):
        yield


@contextmanager
def ignoring_closed_stdout() -> Iterator[None]:
    """End the block when the reader of stdout has closed it; later output is discarded."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Otherwise Python would write the rest of the buffer at exit, and fail again.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
