"""``python -m e2e.canary``: attack brokers and boxes, or see that attacks work without a guard."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from e2e.canary.attack import PROMISES, Attack, Family, select
from e2e.canary.boxes import run as boxes
from e2e.canary.boxes.around import list_found
from e2e.canary.boxes.world import WAYS, By
from e2e.canary.findings import read_findings, read_guarantees
from e2e.canary.run import Result, carry_out, list_surprises, say_tried
from e2e.canary.suites import SUITES, Suite, is_selected, list_attacks
from e2e.world import engine
from e2e.world.command import CommandFailed
from e2e.world.errors import BrokenError
from e2e.world.openssh import RELEASES, OpenSsh
from e2e.world.sshd import why_not


def main() -> int:
    """Carry out what the command line names; the status is 1 for a leak, or for an empty attack."""
    parser = argparse.ArgumentParser(prog="python -m e2e.canary", description=__doc__)
    names = [family.name for suite in SUITES.values() for family in suite.families]
    parser.add_argument("family", nargs="*", help=f"of {', '.join(names)} (default: all)")
    parser.add_argument(
        "--only", metavar="WHAT", help="a report's or finding's id, a guarantee, a guard, a name"
    )
    parser.add_argument(
        "--list", action="store_true", help="attack nothing: print the families, ids and guards"
    )
    parser.add_argument(
        "--without",
        choices=[*(guard for suite in SUITES.values() for guard in suite.guarantees), "each"],
        help="with this guard off: attacks must succeed",
    )
    parser.add_argument(
        "--openssh", choices=RELEASES, help="of Debian's mirror, for this host's own (needs docker)"
    )
    parser.add_argument(
        "--box",
        choices=[str(way) for way in WAYS],
        help="boxes that are made so alone, by a daemon of that user (default: each)",
    )
    parser.add_argument(
        "--look-around",
        action="store_true",
        help="attack nothing: print what a command finds in a closed box",
    )
    options = parser.parse_args()
    if options.list:
        print("\n".join(_list_all()))
        return 0
    if options.look_around:
        return _look_around(options.box)
    for name in options.family:
        if name not in names:
            parser.error(f"no family {name!r}; there are {', '.join(names)}")
    if options.only and not any(is_selected(options.only, *each[1:]) for each in list_attacks()):
        return _name_tests(options.only)
    chosen = {
        name: _choose(suite.families, options.family, options.only)
        for name, suite in SUITES.items()
    }
    try:
        statuses = [*_carry_out(chosen, options)]
    except (BrokenError, CommandFailed) as error:
        print(f"canary: {error}", file=sys.stderr)
        return 1
    if not statuses:
        print(f"canary: nothing was tried: {_say_why(options)}", file=sys.stderr)
    return max(statuses, default=1)


def _carry_out(chosen: Mapping[str, list[Attack]], options: argparse.Namespace) -> Iterator[int]:
    """Carry out what the options leave of the attacks chosen; yields a status for each run."""
    if options.box is None:
        yield from _attack_brokers(chosen["brokers"], options)
        for name in ("apis", "engine") if options.openssh is None else ():
            yield from _attack(SUITES[name], chosen[name], options.without)
    if options.openssh is None:
        yield from _attack_boxes(chosen["boxes"], options)


def _say_why(options: argparse.Namespace) -> str:
    """Why no attack was left."""
    guard = options.without
    if guard in SUITES["boxes"].guarantees:
        ways = ", ".join(f"--box {str(by)!r}" for by in WAYS if boxes.can_be_off(guard, by))
        return f"of the attacks chosen none needs {guard} where it can be off, which is by {ways}"
    return "no attack is of all the families, names, guards and ways that were chosen; see --list"


def _look_around(box: str | None) -> int:
    """Print a table for each way of making boxes; the status is 1 for what no list has."""
    status = 0
    for by in (way for way in WAYS if box in (None, str(way))):
        rows = boxes.as_daemon_of(by, partial(_find_around, by))
        print(f"\nin a box by {by}:\n")
        print("\n".join(rows))
        status = max(status, int(any("NOT IN THE LIST" in row for row in rows)))
    return status


def _find_around(by: By) -> list[str]:
    with boxes.running(by) as scene:
        return list_found(scene)


def _list_all() -> Iterator[str]:
    """A line for each family, for each finding that has an id, and for each guard."""
    yield "families:"
    for suite in SUITES.values():
        for family in suite.families:
            yield f"  {family.name:<20}{len(family.attacks):>5} attacks"
    yield "reports and findings, for --only:"
    counts = Counter(each for _, _, attack in list_attacks() for each in attack.tries)
    for finding in read_findings():
        if finding.id:
            tests = len({*finding.tests, *finding.without})
            yield f"  {finding.id:<20}{counts[finding.id]:>5} attacks{tests:>4} tests"
    yield "guards, for --without:"
    for suite in SUITES.values():
        for guard, holds in suite.guarantees.items():
            yield f"  {guard:<20}{PROMISES.get(guard, 'G4'):>5}  {holds}"


def _name_tests(what: str) -> int:
    """Say how to run what no attack tries; the status is 1 where nothing does."""
    tried = {each.id: (*each.tests, *each.without) for each in read_findings() if each.id}
    tried |= {each.id: each.tests for each in read_guarantees().values()}
    if not tried.get(what):
        print(f"canary: nothing is called {what!r}: --list prints what there is", file=sys.stderr)
        return 1
    print(f"canary: {what} is tried by tests:\n  ./dev test {' '.join(tried[what])}")
    return 0


def _choose(families: Iterable[Family], names: Sequence[str], only: str | None) -> list[Attack]:
    chosen: list[Attack] = []
    for family in families:
        if names and family.name not in names:
            continue
        if (missing := family.why_not()) is not None:
            print(f"canary: left out is {family.name}: {missing}", file=sys.stderr)
            continue
        chosen += (each for each in family.attacks if not only or is_selected(only, family, each))
    return chosen


def _attack_brokers(attacks: list[Attack], options: argparse.Namespace) -> Iterator[int]:
    runs = _list_runs(SUITES["brokers"], attacks, options.without)
    if not runs:
        return
    reason = why_not()
    if reason is not None:
        raise BrokenError(reason)
    with ExitStack() as stack:
        openssh = None
        if options.openssh is not None:
            # Its server is a container, which another run would take for a leftover.
            stack.enter_context(engine.alone())
            openssh = OpenSsh.make(options.openssh)
            print(openssh.version)
        for guard, each in runs:
            yield _tell(carry_out(each, without=guard, openssh=openssh), guard)


def _attack(suite: Suite, attacks: list[Attack], without: str | None) -> Iterator[int]:
    for guard, each in _list_runs(suite, attacks, without):
        yield _tell(suite.carry(each, guard), guard)


def _attack_boxes(attacks: list[Attack], options: argparse.Namespace) -> Iterator[int]:
    runs = _list_runs(SUITES["boxes"], attacks, options.without)
    for by in (way for way in WAYS if options.box in (None, str(way))):
        for guard, each in runs:
            applying = [attack for attack in each if boxes.applies(attack, by)]
            if applying and (guard is None or boxes.can_be_off(guard, by)):
                print(f"boxes by {by}:")
                yield _tell(boxes.carry_out(applying, by=by, without=guard), guard)


def _list_runs(
    suite: Suite, attacks: list[Attack], without: str | None
) -> list[tuple[str | None, list[Attack]]]:
    """The guards that are to be off, one after the other, with the attacks that must succeed.

    With all guards on that is one run.
    """
    if without is None:
        return [(None, attacks)] if attacks else []
    off = [each for each in suite.guarantees if without in (each, "each")]
    return [(guard, chosen) for guard in off if (chosen := select(attacks, guard))]


def _tell(results: list[Result], without: str | None) -> int:
    if without is not None:
        return _show_working(results, without)
    surprises = list(list_surprises(results))
    for line in surprises:
        print(line)
    for attack in (result.attack for result in results if result.attack.known):
        print(f"known: {attack.name}: {attack.known}")
    print(say_tried(results))
    return int(bool(surprises))


def _show_working(results: list[Result], guard: str) -> int:
    for attack, leaks in results:
        if not leaks:
            print(f"EMPTY: {attack.name}: got nothing without {guard}")
    empty = sum(not result.leaks for result in results)
    print(f"without {guard}: {len(results)} attacks tried, {len(results) - empty} leaks")
    return int(empty > 0 or not results)


if __name__ == "__main__":
    sys.exit(main())
