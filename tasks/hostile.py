"""``./dev hostile`` attacks the daemon through its socket, ``./dev canary`` brokers and boxes.

``./dev evidence`` makes a page of both.
"""

from collections.abc import Sequence
from time import monotonic

from tasks.environment import prepare_environment
from tasks.report import Outcome


def run_hostile(arguments: Sequence[str]) -> int:
    """Attack the daemon as the arguments say; return the exit status (``e2e/hostile``)."""
    environment = prepare_environment("default")
    return environment.run([environment.python, "-m", "e2e.hostile", *arguments])


def run_canary(arguments: Sequence[str]) -> int:
    """Attack brokers and boxes as the arguments say; return the exit status (``e2e/canary``)."""
    environment = prepare_environment("default")
    return environment.run([environment.python, "-m", "e2e.canary", *arguments])


def run_evidence(arguments: Sequence[str]) -> int:
    """Make docs/evidence.md, or do what the arguments say; return the exit status."""
    environment = prepare_environment("default")
    return environment.run([environment.python, "-m", "e2e.evidence", *arguments])


def attack_and_soak() -> list[Outcome]:
    """Run each attack once, and then 100,000 requests, valid and hostile ones."""
    outcomes = []
    for what in ("attacks", "soak"):
        print(f"\n==> hostile clients: {what}", flush=True)
        started = monotonic()
        status = run_hostile([what])
        took = f"{monotonic() - started:.0f} s"
        outcomes.append(Outcome(f"hostile {what}", "failed" if status else "passed", took))
    return outcomes
