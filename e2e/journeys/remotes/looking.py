"""What is in a folder of the person's, to be compared with what is there later."""

import hashlib
from pathlib import Path


def look_at(folder: Path) -> dict[str, tuple[str, int, int]]:
    """What every file of a folder holds, its mode, and when it was written."""
    return {
        str(path): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mode,
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
