"""The command line of ``./dev``."""

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tasks.bench import run_bench
from tasks.build import run_build
from tasks.clean import clean
from tasks.demo import run_demo
from tasks.docs import build_docs
from tasks.errors import TaskError
from tasks.figures import run_figures
from tasks.fuzz import run_fuzz
from tasks.hostile import run_canary, run_evidence, run_hostile
from tasks.lint import lint
from tasks.lock.renew import run_lock
from tasks.lowest import run_lowest
from tasks.mac_check import run_mac_check
from tasks.release.publish import run_release
from tasks.test import run_end_to_end, run_tests
from tasks.trusted import run_trusted


class Command(NamedTuple):
    """A command of ``./dev``: its help text, and the function that gets the arguments."""

    help: str
    run: Callable[[Sequence[str]], int]


_COMMANDS = {
    "demo": Command("show a push through Airlock, start to finish (--help: its options)", run_demo),
    "test": Command(
        "most unit tests, conformance, the demo (--all: boxes, e2e, attacks, upgrades, too); "
        "[pytest arguments]",
        run_tests,
    ),
    "e2e": Command("the end-to-end tests alone; [pytest arguments]", run_end_to_end),
    "lowest": Command(
        "unit tests with the lowest dependencies that packages declare; [pytest arguments]",
        run_lowest,
    ),
    "fuzz": Command(
        "inputs that break parsers, evaluator or protocol: the same each time; "
        "[seconds]: new ones, then hostile clients",
        run_fuzz,
    ),
    "hostile": Command(
        "attack the daemon through its socket (--help: attacks, soak, stops, reloads, ...)",
        run_hostile,
    ),
    "canary": Command("attack brokers and boxes, for credentials and more (--help)", run_canary),
    "evidence": Command(
        "make docs/evidence.md of the attacks and their recorded results (--help: --record)",
        run_evidence,
    ),
    "bench": Command(
        "what a command costs beside a direct run (--help: rows, another daemon and shim)",
        run_bench,
    ),
    "build": Command(
        "wheels, sdists and images in dist/, reproducibly (--help: its options)", run_build
    ),
    "release": Command(
        "cut the changelogs, build, and gather what each release publishes (--help: its options)",
        run_release,
    ),
    "trusted": Command(
        "count the lines that a daemon has loaded after a push; --grant git|ssh|https|docker|all",
        run_trusted,
    ),
    "lint": Command(
        "ruff, mypy, import-linter, zig fmt, zizmor, shellcheck, lock and versions (--quick)", lint
    ),
    "figures": Command(
        "coverage|mutation|channels: what unit tests run and notice; seconds to a push by each",
        run_figures,
    ),
    "mac-check": Command(
        "what a Mac alone can prove, as a report to paste into an issue (--quick)", run_mac_check
    ),
    "docs": Command(
        "the documentation as a site in .hatch/site; a broken link fails (--pictures: draws them)",
        build_docs,
    ),
    "lock": Command("renew the lock of what is installed here (--help: newer versions)", run_lock),
    "clean": Command("remove .hatch/, caches and what was built", clean),
}


def main(words: Sequence[str]) -> int:
    """Run one command and return its exit status; 2 for a command that does not exist."""
    name, arguments = (words[0], words[1:]) if words else ("", ())
    if name in {"-h", "--help", "help"}:
        print(_write_help())
        return 0
    command = _COMMANDS.get(name)
    if command is None:
        print(f"dev: no command {name!r}\n" if name else "dev: which command?\n", file=sys.stderr)
        print(_write_help(), file=sys.stderr)
        return 2
    try:
        return command.run(arguments)
    except TaskError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _write_help() -> str:
    lines = [f"  {name:<11}{command.help}" for name, command in _COMMANDS.items()]
    return "\n".join(
        [
            "Usage: ./dev COMMAND [ARGUMENTS]",
            "",
            *lines,
            "",
            "Needs Python 3.11 or newer with venv, and git. What it downloads goes to .hatch/.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
