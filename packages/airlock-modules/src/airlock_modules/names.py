"""What a command or an agent may be called."""

import re

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_name(text: str) -> bool:
    """Tell whether `text` can name a command or an agent.

    That is 1 to 64 of the characters `A-Z a-z 0-9 . _ -`, the first a letter or digit, so that a
    name is never a path, an option or a hidden file.
    """
    return _NAME.fullmatch(text) is not None
