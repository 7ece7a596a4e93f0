"""``./dev bench``: measures on this machine, against the same commands run directly."""

from collections.abc import Sequence

from tasks.environment import prepare_environment


def run_bench(arguments: Sequence[str]) -> int:
    """Run the selected measurements, and return the exit status (``bench/__main__.py``)."""
    environment = prepare_environment("default")
    return environment.run([environment.python, "-m", "bench", *arguments])
