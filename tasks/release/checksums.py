"""Digests of built files: writing them, and comparing two builds."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

NAME = "SHA256SUMS"


def write_checksums(folder: Path, paths: Iterable[Path]) -> None:
    """Write NAME into ``folder``, in the format of ``sha256sum --check``, sorted by name."""
    lines = sorted((path.relative_to(folder).as_posix(), digest(path)) for path in paths)
    made = folder / NAME
    made.write_text("".join(f"{value}  {name}\n" for name, value in lines))
    made.chmod(0o644)


def compare_folders(one: Path, other: Path) -> tuple[str, ...]:
    """Return a line for each file whose content or mode differs between two builds."""
    first, second = _describe(one), _describe(other)
    lines = []
    for name in sorted(first.keys() | second.keys()):
        if name not in first or name not in second:
            lines.append(f"{name}: only one build has it")
        elif first[name] != second[name]:
            lines.append(f"{name}: differs")
    return tuple(lines)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _describe(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        path.relative_to(folder).as_posix(): (digest(path), path.stat().st_mode)
        for path in folder.rglob("*")
        if path.is_file()
    }
