"""A daemon that writes at its end which files of Airlock's packages it has loaded.

`python tasks/trusted_daemon.py NOTE ARGUMENTS`: `airlock-daemon ARGUMENTS`; the paths go to NOTE.
"""

import atexit
import sys
from pathlib import Path

from airlock_daemon.admin.cli import main


def note_loaded(note: Path) -> None:
    """Write the paths of all loaded modules of the packages, one per line."""
    loaded = {
        module.__file__
        for name, module in sys.modules.items()
        if name.startswith("airlock_") and module.__file__ is not None
    }
    note.write_text("\n".join(sorted(loaded)))


if __name__ == "__main__":
    atexit.register(note_loaded, Path(sys.argv.pop(1)))
    main()
