"""Parts of a test run: each is one pytest, with a report of its own."""

import os
import shutil
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import IO

from tasks.environment import Environment
from tasks.places import HATCH, REPORTS, ROOT
from tasks.report import Counts, Outcome, read_counts

SLOWEST = ("--durations=15", "--durations-min=0.5")
"""Arguments of pytest that have it tell the slowest tests."""

SHORT = ("-o", "faulthandler_timeout=300")
"""Arguments for tests of a minute at most: where one hangs and does not even heed the signal that
ends it, the whole run ends after five minutes, with the stacks."""

_PROCESSORS = os.cpu_count() or 1

BESIDE = (f"--numprocesses={max(2, _PROCESSORS * 3 // 2)}", "--dist=loadfile")
"""Arguments for tests that do not disturb each other: each worker has a file at a time. There are
more than processors, since a test often waits for what it has started."""

SHARING = (f"--numprocesses={max(2, _PROCESSORS)}", "--dist=loadfile")
"""The same for two parts that run at the same time."""

_AGAIN = ("--last-failed", "--last-failed-no-failures=none", "--numprocesses=0")
_TESTS_FAILED = 1
"""The status of a pytest that ran to its end."""

_MOST_AGAIN = 5
"""Where more tests fail, something is broken, and running them again would only hide it."""

ANSWERED = ROOT / "e2e/canary/answered.toml"
"""Names the tests of attacks that once worked."""


@dataclass(frozen=True)
class Part:
    """What one pytest runs, by its arguments."""

    name: str
    """Also of its report, NAME.xml."""
    words: tuple[str, ...]
    is_repeated: bool = True
    """Whether a test that fails is run once more. Never where one failure is a leak."""


def run_part(
    environment: Environment,
    part: Part,
    *,
    extra: Mapping[str, str] | None = None,
    output: IO[str] | None = None,
) -> Outcome:
    """Run a part; `extra` are variables of its environment, and what it says goes to `output`.

    A few tests that fail are run once more when all others have ended, one after the other. Where
    all of them pass then, the part has passed, and its outcome names them. That is so for none of
    an attack that once worked: it may be a race, which is lost at times.
    """
    started = monotonic()
    shutil.rmtree(_find_cache(part), ignore_errors=True)
    status, counts = _run(environment, part, part.name, SLOWEST, extra, output)
    flaky: Mapping[str, str] = {}
    if (
        part.is_repeated
        and status == _TESTS_FAILED
        and counts is not None
        and len(counts.failures) <= _MOST_AGAIN
        and _list_attacks().isdisjoint(chain.from_iterable(map(_name_places, counts.failures)))
    ):
        status, again = _run(environment, part, f"{part.name}-again", _AGAIN, extra, output)
        if status == 0 and again is not None and again.passed == counts.failures.keys():
            flaky = counts.failures
            counts = Counts(counts.passed | again.passed, {}, counts.skips)
        else:
            status = _TESTS_FAILED
    took = f"{monotonic() - started:.0f} s"
    if counts is None:
        reason = f"pytest ended with status {status} and no report, {took}"
        return Outcome(part.name, "failed", reason)
    # Status 5, no tests collected, is a failure here: a part that lost its tests must be noticed.
    return Outcome(
        part.name,
        "failed" if status else "passed",
        f"{counts}, {took}",
        counts.skips,
        tuple(f"{name}: {failure}" for name, failure in flaky.items()),
    )


def run_pytest(
    environment: Environment,
    words: Sequence[str],
    *,
    extra: Mapping[str, str] | None = None,
    output: IO[str] | None = None,
) -> int:
    """Run pytest with these arguments and return its exit status."""
    command = [str(environment.python), "-m", "pytest", *words]
    return environment.run(command, extra=extra, output=output)


def _run(
    environment: Environment,
    part: Part,
    name: str,
    words: Sequence[str],
    extra: Mapping[str, str] | None,
    output: IO[str] | None,
) -> tuple[int, Counts | None]:
    """Run the tests of a part that `words` select; `name` is what is printed, and the report's."""
    print(f"\n==> {name}", file=output, flush=True)
    report = REPORTS / f"{name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    own = ["-o", f"cache_dir={_find_cache(part)}", f"--junit-xml={report}"]
    # Where a test makes its sockets, whose paths have 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="al-", ignore_cleanup_errors=True) as folder:
        own.append(f"--basetemp={folder}/t")
        arguments = [*part.words, *words, *own]
        status = run_pytest(environment, arguments, extra=extra, output=output)
    return status, read_counts(report)


def _list_attacks() -> set[str]:
    """The tests and files that try an attack which once worked, as a report names them."""
    rows = tomllib.loads(ANSWERED.read_text(encoding="utf-8"))["attack"]
    trials = [trial.partition("::") for row in rows for trial in row["tried_by"]]
    return {
        f"{path.removesuffix('.py').replace('/', '.')}{colons}{test}"
        for path, colons, test in trials
        if path.endswith(".py")
    }


def _name_places(test: str) -> tuple[str, str]:
    """The file of a test in a report, and the test without its parameters."""
    return test.partition("::")[0], test.partition("[")[0]


def _find_cache(part: Part) -> Path:
    """Return where pytest keeps which tests of a part have failed."""
    return HATCH / "pytest" / part.name
