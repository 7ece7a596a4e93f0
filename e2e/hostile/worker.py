"""``python -m e2e.hostile.worker WHAT SOCKET ...``: a client process of a soak or of a flood."""

import sys

from e2e.hostile.flood import FLOODS, HOGS
from e2e.hostile.log_flood import be_refused
from e2e.hostile.mixture import play


def main(words: list[str]) -> int:
    """`mixture SOCKET COUNT SEED`, `refusals SOCKET COUNT`, or `FLOOD SOCKET` until stdin ends.

    A flood may be one of what is in boxes.
    """
    match words:
        case ["mixture", path, count, seed]:
            play(path, count=int(count), seed=int(seed))
        case ["refusals", path, count]:
            be_refused(path, count=int(count))
        case [name, path]:
            (FLOODS | HOGS)[name](path)
        case _:
            raise SystemExit(main.__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
