"""Parts of a test run: each is one pytest, with a report of its own."""

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO

from tasks.environment import Environment
from tasks.places import REPORTS
from tasks.report import Outcome, read_counts

SLOWEST = ("--durations=15", "--durations-min=0.5")
"""Arguments of pytest that have it tell the slowest tests."""

SHORT = ("-o", "faulthandler_timeout=300")
"""Arguments for tests of a minute at most: where one hangs and does not even heed the signal that
ends it, the whole run ends after five minutes, with the stacks."""

_AT_ONCE = 2


@dataclass(frozen=True)
class Part:
    """What one pytest runs, by its arguments."""

    name: str
    """Also of its report, NAME.xml."""
    words: tuple[str, ...]


def run_part(
    environment: Environment,
    part: Part,
    *,
    extra: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
) -> Outcome:
    """Run a part on our terminal, or into `output`; `extra` are variables of its environment."""
    if output is None:
        _say(part)
    report = REPORTS / f"{part.name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    started = monotonic()
    words = [*part.words, *SLOWEST, f"--junit-xml={report}"]
    status = run_pytest(environment, words, extra=extra, output=output)
    seconds = f"{monotonic() - started:.0f} s"
    counts = read_counts(report)
    if counts is None:
        reason = f"pytest ended with status {status} and no report, {seconds}"
        return Outcome(part.name, "failed", reason)
    # Status 5, no tests collected, is a failure here: a part that lost its tests must be noticed.
    return Outcome(
        part.name, "failed" if status else "passed", f"{counts}, {seconds}", counts.skips
    )


def run_beside(environment: Environment, parts: Sequence[Part]) -> list[Outcome]:
    """Run parts that do not disturb each other, two at a time; the outcomes are in their order.

    The first one speaks on our terminal. What each of the others says is kept until it has ended,
    and those before it have.
    """
    first, *others = parts
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_AT_ONCE) as pool:

        def keep(part: Part) -> Outcome:
            with open(f"{folder}/{part.name}", "wb") as output:
                return run_part(environment, part, output=output)

        running = pool.submit(run_part, environment, first)
        kept = [pool.submit(keep, part) for part in others]
        try:
            outcomes = [running.result()]
            for part, each in zip(others, kept, strict=True):
                outcomes.append(each.result())
                _say(part)
                print(Path(folder, part.name).read_text(errors="replace"), end="", flush=True)
        finally:
            pool.shutdown(cancel_futures=True)
    return outcomes


def run_pytest(
    environment: Environment,
    words: Sequence[str],
    *,
    extra: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
) -> int:
    """Run pytest with these arguments and return its exit status."""
    return environment.run([environment.python, "-m", "pytest", *words], extra=extra, output=output)


def _say(part: Part) -> None:
    print(f"\n==> {part.name}", flush=True)
