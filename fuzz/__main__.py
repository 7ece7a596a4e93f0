"""``python -m fuzz TARGET``: search one target for a while, or look at inputs that were found."""

import argparse
import sys
from pathlib import Path

from fuzz.search import search
from fuzz.target import TARGETS, load_target


def main() -> int:
    """Search, or check the files that are named; a fault is a traceback and a status above 0."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="inputs to look at")
    parser.add_argument("--seconds", type=int, default=60, help="0: no bound (default: 60)")
    parser.add_argument("--runs", type=int, default=0, help="0: no bound (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="0: at random (default: 0)")
    parser.add_argument("--folder", type=Path, help="what is kept between searches")
    options = parser.parse_args()
    if not options.files:
        if options.folder is None:
            parser.error("a search needs --folder")
        search(
            options.target,
            seconds=options.seconds,
            runs=options.runs,
            seed=options.seed,
            folder=options.folder,
        )
    target = load_target(options.target)
    for file in options.files:
        print(file, flush=True)
        target.check(file.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
