"""Reading texts of earlier releases."""

from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.writing import read_whole

_BOM = "\ufeff"


def read_plain(path: str) -> str | None:
    """The text of a file without a byte order mark; None where there is none.

    Raises AirlockError where it cannot be read.
    """
    text = read_whole(path)
    return None if text is None else text.removeprefix(_BOM)


def read_lenient(path: str) -> str | None:
    """The same, None for what is not UTF-8 too, which stopped no release.

    Raises AirlockError for what this user may not read: what is in it is not known then.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise AirlockError(
            f"{path} cannot be read: {error.strerror}", hint="run this as the user whose it is"
        ) from error
