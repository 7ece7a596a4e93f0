"""Parts of a test run: each is one pytest with its own report."""

import os
import shutil
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import IO

from tasks.environment import Environment
from tasks.places import HATCH, REPORTS, ROOT
from tasks.report import Counts, Outcome, read_counts

SLOWEST = ("--durations=15", "--durations-min=0.5")
"""Arguments of pytest to report the slowest tests."""

SHORT = ("-o", "faulthandler_timeout=300")
"""Arguments for tests of a minute at most: if one hangs and ignores even its timeout's signal, the
whole run ends after five minutes, with the stacks."""

_PROCESSORS = os.cpu_count() or 1

BESIDE = (f"--numprocesses={_PROCESSORS + 1}", "--dist=loadfile")
"""Arguments for independent tests: each worker runs a file at a time. There are more workers than
processors, since tests often wait for their processes."""

_AGAIN = ("--last-failed", "--last-failed-no-failures=none", "--numprocesses=0")
_TESTS_FAILED = 1
"""The status of a pytest run that completed with failures."""

_MAX_AGAIN = 5
"""If more tests fail something is broken, and repeating them would only hide it."""

FINDINGS = ROOT / "e2e/canary/findings.toml"
"""Lists the tests of attacks that once worked."""


@dataclass(frozen=True)
class Part:
    """One pytest run and its arguments."""

    name: str
    """Also names its report, NAME.xml."""
    words: tuple[str, ...]
    is_repeated: bool = True
    """Whether failed tests are repeated once. Never if one failure is a leak."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of its environment, beside those of the run."""


def run_part(environment: Environment, part: Part, *, output: IO[str] | None = None) -> Outcome:
    """Run a part; its output goes to `output`.

    A few failed tests are repeated once after all others, one at a time. If all of them then pass,
    the part has passed, and its outcome names them. Tests of attacks that once worked are not
    repeated: an attack may be a race that only sometimes succeeds.
    """
    started = monotonic()
    shutil.rmtree(_find_cache(part), ignore_errors=True)
    status, counts = _run(environment, part, part.name, SLOWEST, output)
    flaky: Mapping[str, str] = {}
    if (
        part.is_repeated
        and status == _TESTS_FAILED
        and counts is not None
        and len(counts.failures) <= _MAX_AGAIN
        and _list_attacks().isdisjoint(chain.from_iterable(map(_name_places, counts.failures)))
    ):
        status, again = _run(environment, part, f"{part.name}-again", _AGAIN, output)
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
    output: IO[str] | None,
) -> tuple[int, Counts | None]:
    """Run the tests of a part that `words` select; `name` is for output and the report."""
    print(f"\n==> {name}", file=output, flush=True)
    report = REPORTS / f"{name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    own = ["-o", f"cache_dir={_find_cache(part)}", f"--junit-xml={report}"]
    # A short path for the tests' sockets, whose paths have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="al-", ignore_cleanup_errors=True) as folder:
        own.append(f"--basetemp={folder}/t")
        arguments = [*part.words, *words, *own]
        status = run_pytest(environment, arguments, extra=part.variables, output=output)
    return status, read_counts(report)


def _list_attacks() -> set[str]:
    """Return the tests and files of attacks that once worked, as named in a report."""
    rows = tomllib.loads(FINDINGS.read_text(encoding="utf-8"))["attack"]
    named = (row.get(key, ()) for row in rows for key in ("tried_by", "without"))
    trials = [trial.partition("::") for each in named for trial in each]
    return {
        f"{path.removesuffix('.py').replace('/', '.')}{colons}{test}"
        for path, colons, test in trials
        if path.endswith(".py")
    }


def _name_places(test: str) -> tuple[str, str]:
    """Return the file of a test in a report, and the test without its parameters."""
    return test.partition("::")[0], test.partition("[")[0]


def _find_cache(part: Part) -> Path:
    """Return pytest's cache directory with a part's failed tests."""
    return HATCH / "pytest" / part.name
