"""The search for bytes that break a target, by atheris and the libFuzzer inside it."""

import sys
from pathlib import Path
from typing import NoReturn

from fuzz.target import load_target

# What is watched for new paths: the code under test, and the reader of TOML that it relies on.
_WATCHED = ["airlock_modules", "airlock_wire", "airlock_daemon.boundary.connection", "tomllib"]

_SLOWEST_S = 10
"""An input that takes longer counts as a fault: work is meant to grow linearly."""

_MAX_MEMORY_MB = 1024


def search(name: str, *, seconds: int, runs: int, seed: int, folder: Path) -> NoReturn:
    """Search until the time or the number of runs is used up, and end the process.

    `seconds` and `runs` of 0 are no bound, and a `seed` of 0 is another one each time. `folder`
    keeps what was learnt for the next time (`corpus/`) and inputs that show a fault (`crash-*`,
    `timeout-*`, `oom-*`); the exit status is not 0 where there is one.
    """
    # Not on every Python, and not needed to look at an input that was found.
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=_WATCHED):
        target = load_target(name)
    corpus, seeds = folder / "corpus", folder / "seeds"
    for part in (corpus, seeds):
        part.mkdir(parents=True, exist_ok=True)
    for number, example in enumerate(target.seeds):
        (seeds / str(number)).write_bytes(example)
    words = folder / "words"
    words.write_text("".join(f'"{_escape(word)}"\n' for word in target.words))
    options = [
        f"-max_total_time={seconds}",
        f"-runs={runs or -1}",
        f"-seed={seed}",
        f"-max_len={target.longest}",
        f"-dict={words}",
        f"-timeout={_SLOWEST_S}",
        f"-rss_limit_mb={_MAX_MEMORY_MB}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus), str(seeds)], target.check)
    atheris.Fuzz()
    sys.exit()


def _escape(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)
