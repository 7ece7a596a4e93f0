"""Text that may not be UTF-8, and text that a person will read.

Arguments and paths of POSIX are bytes. Inside, they are `str` in the form of `os.fsdecode` on a
UTF-8 system: each byte that is not UTF-8 is one lone surrogate (PEP 383, `surrogateescape`). JSON
has no such characters, so on the wire such text is `{"base64": "..."}`.
"""

import base64
import binascii

_SHOWN = 200


def encode_text(text: str) -> str | dict[str, str]:
    """The form of `text` that JSON can carry: itself, or `{"base64": ...}` of its bytes.

    Raises UnicodeEncodeError for surrogates that `os.fsdecode` never makes.
    """
    encoded = encode_base64(text)
    return text if encoded is None else {"base64": encoded}


def encode_base64(text: str) -> str | None:
    """The base64 (RFC 4648, section 4) of text that is not UTF-8, else None.

    Raises UnicodeEncodeError for surrogates that `os.fsdecode` never makes.
    """
    if is_utf8(text):
        return None
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode("ascii")


def decode_base64(encoded: str) -> str:
    """The text, in `os.fsdecode` form, whose bytes `encoded` holds.

    Raises ValueError for anything but padded base64 of the standard alphabet.
    """
    try:
        # Strict, so that two different spellings are not taken for one argument.
        data = binascii.a2b_base64(encoded.encode("ascii"), strict_mode=True)
    except ValueError as error:
        raise ValueError(f"not base64: {error}") from None
    return data.decode("utf-8", "surrogateescape")


def is_utf8(text: str) -> bool:
    """Whether `text` can be written as UTF-8, that is, holds no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def replace_surrogates(text: str) -> str:
    """`text` with U+FFFD for what is not UTF-8, for messages that a person reads."""
    if is_utf8(text):
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def quote(text: str) -> str:
    """`text` as it may stand in a message: one line, at most 200 characters of it.

    Control, bidirectional and zero-width characters and lone surrogates are shown as escapes,
    because the text is the peer's and the reader's terminal should not obey it.
    """
    shown = "".join(char if char.isprintable() else _escape(char) for char in text[:_SHOWN])
    return shown if len(text) <= _SHOWN else shown + "..."


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
