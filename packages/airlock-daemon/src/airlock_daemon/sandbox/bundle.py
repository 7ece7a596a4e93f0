"""Programs that bring their Python along, as PyInstaller makes them: aws as AWS itself offers it.

Such a program starts itself once more, to have its own libraries be found. In a box where nothing
can be started it is told that it has done so: by the variables that it would give itself, those of
version 5 and those from 6 on.
"""

import os

_MARK = "base_library.zip"


def bundle_variables(program: str) -> dict[str, str]:
    """What such a program, an absolute path, is told; nothing for any other."""
    real = os.path.realpath(program)
    directory = os.path.dirname(real)
    inner = os.path.join(directory, "_internal")
    home = next((each for each in (directory, inner) if _has_library(each)), None)
    if home is None:
        return {}
    return {
        "LD_LIBRARY_PATH": home,
        "_MEIPASS2": home,
        "_PYI_ONEDIR_MODE": "1",
        "_PYI_ARCHIVE_FILE": real,
        "_PYI_PARENT_PROCESS_LEVEL": "-1",
    }


def _has_library(directory: str) -> bool:
    return os.path.isfile(os.path.join(directory, _MARK))
