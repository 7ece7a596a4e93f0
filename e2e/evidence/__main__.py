"""``python -m e2e.evidence``: make docs/evidence.md of the attacks and of what was recorded."""

import argparse
import sys
from pathlib import Path

from e2e.canary.findings import CHECKOUT
from e2e.evidence import record
from e2e.evidence.page import write_page
from e2e.world.errors import BrokenError

_PAGE = CHECKOUT / "docs" / "evidence.md"


def main() -> int:
    """Do what the command line says; the status is 1 for a page that is not as it would be made."""
    parser = argparse.ArgumentParser(prog="./dev evidence", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing: compare the page")
    parser.add_argument(
        "--record",
        nargs="*",
        metavar="PART",
        choices=record.PARTS,
        help="carry out all attacks first (hours), or those of a guard, or of apis, brokers, "
        "engine, boxes, hostile, tests, conformance",
    )
    parser.add_argument(
        "--report",
        nargs=2,
        metavar=("NAME", "FILE"),
        help="the conformance report (JSON) of another implementation, to stand beside ours",
    )
    options = parser.parse_args()
    try:
        if options.report is not None:
            record.add_report(options.report[0], Path(options.report[1]))
        if options.record is not None:
            record.record(options.record)
    except (BrokenError, OSError) as error:
        print(f"evidence: {error}", file=sys.stderr)
        return 1
    text = write_page(record.load())
    if not options.check:
        _PAGE.write_text(text, encoding="utf-8")
    elif not _PAGE.is_file() or _PAGE.read_text(encoding="utf-8") != text:
        print("evidence: docs/evidence.md is not up to date: ./dev evidence", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
