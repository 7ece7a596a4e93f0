"""What becomes of an error that reaches the command line."""

import logging
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from airlock_daemon.errors import AirlockError, SetupError

OUR_FAULT = 70


@contextmanager
def reporting() -> Iterator[None]:
    """Say on stderr what went wrong in the block, and exit by it: 1, or 70 for our own fault."""
    logging.basicConfig(level=logging.INFO, format="airlock: %(message)s", stream=sys.stderr)
    try:
        yield
    except SetupError as error:
        count = len(error.faults)
        say(*error.faults, f"{count} {'fault' if count == 1 else 'faults'} found")
        sys.exit(1)
    except AirlockError as error:
        say(error.message, *([f"hint: {error.hint}"] if error.hint else []))
        sys.exit(1)
    except Exception:  # noqa: BLE001 - the boundary: an exit status for every fault
        traceback.print_exc()
        say("this is a fault of Airlock's own; please report it")
        sys.exit(OUR_FAULT)


def calm_terminal() -> None:
    """Have a terminal show what we say, whatever another program has printed last.

    It may have begun a control string that never ends, or have made the text invisible. This ends
    the string, and selects ASCII and plain text.
    """
    if sys.stderr.isatty():
        print("\033\\\033(B\017\033[0m", end="", file=sys.stderr, flush=True)


def say_each(messages: Iterable[object]) -> None:
    """Print each on stderr, as `say` does; nothing where there is none."""
    for message in messages:
        say(message)


def say(*messages: object) -> None:
    """Print on stderr, with each line marked as Airlock's."""
    for line in "\n".join(map(str, messages)).split("\n"):
        print(f"airlock: {line}", file=sys.stderr)
