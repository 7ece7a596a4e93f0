"""What becomes of an error that reaches the command line."""

import logging
import sys
import traceback
from collections.abc import Iterator
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
        for fault in error.faults:
            print(f"airlock: {fault}", file=sys.stderr)
        count = len(error.faults)
        print(f"airlock: {count} {'fault' if count == 1 else 'faults'} found", file=sys.stderr)
        sys.exit(1)
    except AirlockError as error:
        print(f"airlock: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"airlock: hint: {error.hint}", file=sys.stderr)
        sys.exit(1)
    except Exception:  # noqa: BLE001 - the boundary: an exit status for every fault
        traceback.print_exc()
        print("airlock: this is a fault of Airlock's own; please report it", file=sys.stderr)
        sys.exit(OUR_FAULT)
