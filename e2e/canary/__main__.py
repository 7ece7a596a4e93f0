"""``python -m e2e.canary``: attack the brokers, or see that attacks work where a guard is off."""

import argparse
import sys
from contextlib import ExitStack

from e2e.canary.attack import GUARANTEES, Attack, select
from e2e.canary.catalogue import FAMILIES
from e2e.canary.run import carry_out, list_surprises, say_tried
from e2e.world import engine
from e2e.world.command import CommandFailed
from e2e.world.errors import BrokenError
from e2e.world.openssh import RELEASES, OpenSsh
from e2e.world.sshd import why_not


def main() -> int:
    """Carry out what the command line names; the status is 1 for a leak, or for an empty attack."""
    parser = argparse.ArgumentParser(prog="python -m e2e.canary", description=__doc__)
    names = [family.name for family in FAMILIES]
    parser.add_argument("family", nargs="*", help=f"of {', '.join(names)} (default: all)")
    parser.add_argument("--attack", help="only those whose name contains this")
    parser.add_argument(
        "--without", choices=[*GUARANTEES, "each"], help="with this guard off: attacks must succeed"
    )
    parser.add_argument(
        "--openssh", choices=RELEASES, help="of Debian's mirror, for this host's own (needs docker)"
    )
    options = parser.parse_args()
    for name in options.family:
        if name not in names:
            parser.error(f"no family {name!r}; there are {', '.join(names)}")
    reason = why_not()
    if reason is not None:
        print(f"canary: {reason}", file=sys.stderr)
        return 1
    families = [each for each in FAMILIES if not options.family or each.name in options.family]
    for family in families:
        if (missing := family.why_not()) is not None:
            print(f"canary: left out is {family.name}: {missing}", file=sys.stderr)
    chosen = [
        attack
        for family in families
        if family.why_not() is None
        for attack in family.attacks
        if not options.attack or options.attack in attack.name
    ]
    try:
        with ExitStack() as stack:
            openssh = None
            if options.openssh is not None:
                # Its server is a container, which another run would take for a leftover.
                stack.enter_context(engine.alone())
                openssh = OpenSsh.make(options.openssh)
                print(openssh.version)
            if options.without is None:
                return _attack(chosen, openssh)
            off = [*GUARANTEES] if options.without == "each" else [options.without]
            return max([_show_working(chosen, guard, openssh) for guard in off])
    except (BrokenError, CommandFailed) as error:
        print(f"canary: {error}", file=sys.stderr)
        return 1


def _attack(attacks: list[Attack], openssh: OpenSsh | None) -> int:
    results = carry_out(attacks, openssh=openssh)
    surprises = list(list_surprises(results))
    for line in surprises:
        print(line)
    for attack in (result.attack for result in results if result.attack.known):
        print(f"known: {attack.name}: {attack.known}")
    print(say_tried(results))
    return int(bool(surprises))


def _show_working(attacks: list[Attack], guard: str, openssh: OpenSsh | None) -> int:
    results = carry_out(select(attacks, guard), without=guard, openssh=openssh)
    for attack, leaks in results:
        if not leaks:
            print(f"EMPTY: {attack.name}: got nothing without {guard}")
    empty = sum(not result.leaks for result in results)
    print(f"without {guard}: {len(results)} attacks tried, {len(results) - empty} leaks")
    return int(empty > 0 or not results)


if __name__ == "__main__":
    sys.exit(main())
