"""``./dev bench``: measures on this machine, beside the same commands run directly."""

from collections.abc import Sequence

from tasks.environment import prepare_environment


def run_bench(arguments: Sequence[str]) -> int:
    """Measure what the arguments select, and return the exit status (``bench/__main__.py``)."""
    environment = prepare_environment("default")
    return environment.run([environment.python, "-m", "bench", *arguments])
