"""The programs under test, as a user would install them."""

import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from .command import run

_ELSEWHERE = Path(__file__).parents[2] / "packages/airlock-daemon/tests/elsewhere.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Executables:
    """The daemon's command and the native shim, by absolute path."""

    daemon: Path
    shim: Path

    @classmethod
    def find(cls, *, daemon: str | None, shim: str | None) -> "Executables":
        """Return the named programs, or those on PATH; raises FileNotFoundError with a remedy."""
        return cls(
            daemon=_find(daemon or "airlock-daemon", "--daemon"),
            shim=_find(shim or "airlock-shim", "--shim"),
        )

    def without_linux(self, folder: Path) -> "Executables":
        """The same with a daemon, made in a new directory, whose Python lacks Linux's names."""
        made = run((sys.executable, str(_ELSEWHERE), str(folder))).succeeded().stdout
        return replace(self, daemon=Path(made))


def _find(name: str, option: str) -> Path:
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"there is no {name} on PATH; name one with {option}")
    return Path(path).absolute()
