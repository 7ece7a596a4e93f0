"""The programs under test, as a user would install them."""

import shutil
from dataclasses import dataclass
from pathlib import Path


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


def _find(name: str, option: str) -> Path:
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"there is no {name} on PATH; name one with {option}")
    return Path(path).absolute()
