"""``python -m e2e.hostile``: attack the daemon, soak it, or see what others notice of it."""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

from e2e.hostile.campaign import carry_out
from e2e.hostile.catalogue import FAMILIES
from e2e.hostile.fairness import GOAL, measure_fairness, print_table
from e2e.hostile.flood import FLOODS, HOGS
from e2e.hostile.kills import kill_boxes
from e2e.hostile.log_flood import flood_log
from e2e.hostile.reloads import reload_under_load
from e2e.hostile.restarts import restart_under_load
from e2e.hostile.soak import soak
from e2e.hostile.stops import stop_under_load
from e2e.world.errors import BrokenError, NotHereError


def main() -> int:
    """Do what the command line says; the status is 1 where the daemon did not stand it."""
    options = _read_options()
    try:
        return _DO[options.what](options)
    except (BrokenError, NotHereError) as error:
        print(f"hostile: {error}", file=sys.stderr)
        return 1


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m e2e.hostile", description=__doc__)
    parser.add_argument(
        "--daemon", metavar="EXE", help="another daemon than this environment's airlock-daemon"
    )
    commands = parser.add_subparsers(dest="what", required=True)
    attacks = commands.add_parser("attacks", help="each attack once, and what it leaves behind")
    names = [family.name for family in FAMILIES]
    attacks.add_argument("family", nargs="*", help=f"of {', '.join(names)} (default: all)")
    soaking = commands.add_parser("soak", help="very many requests, good and hostile ones")
    soaking.add_argument("requests", nargs="?", type=int, default=100_000, help="(100000)")
    stopping = commands.add_parser("stops", help="SIGTERM while clients come, again and again")
    stopping.add_argument("times", nargs="?", type=int, default=200, help="(200)")
    reloading = commands.add_parser("reloads", help="SIGHUP while agents come, change and go")
    reloading.add_argument("times", nargs="?", type=int, default=1000, help="(1000)")
    restarting = commands.add_parser("restarts", help="new daemons for clients that come back")
    restarting.add_argument("times", nargs="?", type=int, default=100, help="(100)")
    killing = commands.add_parser("kills", help="kill what boxes rest on, at any moment")
    killing.add_argument("times", nargs="?", type=int, default=2000, help="(2000)")
    filling = commands.add_parser("log", help="fill the audit log while another agent works")
    filling.add_argument("refusals", nargs="?", type=int, default=10_000, help="(10000)")
    fair = commands.add_parser("fairness", help="how long others wait while one agent floods")
    fair.add_argument("flood", nargs="*", help=f"of {', '.join(FLOODS)} (default: all)")
    fair.add_argument("--calls", type=int, default=2000, help="for each figure (2000)")
    boxes = commands.add_parser("box", help="the same, while code in its boxes takes what it can")
    boxes.add_argument("hog", nargs="*", help=f"of {', '.join(HOGS)} (default: all)")
    boxes.add_argument("--calls", type=int, default=200, help="for each figure (200)")
    options = parser.parse_args()
    for given, known in (("family", names), ("flood", [*FLOODS]), ("hog", [*HOGS])):
        for name in getattr(options, given, ()):
            if name not in known:
                parser.error(f"no {given} {name!r}; there are {', '.join(known)}")
    return options


def _attack(options: argparse.Namespace) -> int:
    names: list[str] = options.family
    tried = broken = 0
    for family in FAMILIES:
        if names and family.name not in names:
            continue
        started = time.monotonic()
        report = carry_out(family, executable=options.daemon)
        took = time.monotonic() - started
        print(f"{family.name}: {report.tried} attacks, {family.about} ({took:.0f} s)", flush=True)
        for attack in report.untried:
            print(f"  not tried: {attack}", flush=True)
        for fault in report.faults:
            print(f"  NOT STOOD: {fault}", flush=True)
        tried += report.tried
        broken += len(report.faults)
    print(f"{tried} attacks tried, {broken} not stood")
    return int(broken > 0)


def _soak(options: argparse.Namespace) -> int:
    soak(options.requests, executable=options.daemon)
    return 0


def _repeat(what: Callable[..., None], options: argparse.Namespace) -> int:
    what(options.times, executable=options.daemon)
    return 0


def _flood_log(options: argparse.Namespace) -> int:
    figure = flood_log(options.refusals, executable=options.daemon)
    return int(figure.ratio > GOAL)


def _compare(options: argparse.Namespace) -> int:
    floods = tuple(options.flood or FLOODS)
    figures = measure_fairness(options.calls, executable=options.daemon, floods=floods)
    print_table(figures)
    return int(any(figure.ratio > GOAL for figure in figures))


def _compare_boxes(options: argparse.Namespace) -> int:
    floods = tuple(options.hog or HOGS)
    figures = measure_fairness(options.calls, executable=options.daemon, floods=floods)
    print_table(figures)
    return int(any(figure.refused for figure in figures))


_DO: dict[str, Callable[[argparse.Namespace], int]] = {
    "attacks": _attack,
    "soak": _soak,
    "stops": partial(_repeat, stop_under_load),
    "reloads": partial(_repeat, reload_under_load),
    "restarts": partial(_repeat, restart_under_load),
    "kills": partial(_repeat, kill_boxes),
    "log": _flood_log,
    "fairness": _compare,
    "box": _compare_boxes,
}


if __name__ == "__main__":
    sys.exit(main())
