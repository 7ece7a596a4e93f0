"""``./dev bench``: measures on this machine, and prints tables in Markdown."""

from collections.abc import Sequence

from tasks.environment import prepare_environment
from tasks.errors import TaskError


def run_bench(arguments: Sequence[str]) -> int:
    """Run every script of ``bench/`` and return the exit status."""
    if arguments:
        raise TaskError("bench takes no arguments")
    environment = prepare_environment("default")
    return environment.run([environment.python, "bench/evaluator.py"])
