"""Text that may not be UTF-8, and text that a person will read.

Arguments and paths of POSIX are bytes. Inside, they are `str` in the form of `os.fsdecode` on a
UTF-8 system: each byte that is not UTF-8 is one lone surrogate (PEP 383, `surrogateescape`). JSON
has no such characters, so on the wire such text is `{"base64": "..."}`.
"""

import base64
import binascii
import unicodedata
from typing import Final

# By Unicode category: controls, formats (bidirectional and zero-width ones among them),
# surrogates, private use, unassigned, and line and paragraph separators.
_ESCAPED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Invisible, though Unicode calls them letters, marks or symbols: the Hangul fillers, the combining
# grapheme joiner, the Khmer inherent vowels, the braille blank, and the variation selectors.
_ESCAPED_CHARACTERS: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
) | frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
_SHORT_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


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


def quote(text: str, *, limit: int | None = 200) -> str:
    r"""Return `text` in double quotes, with everything escaped that could mislead a reader.

    A client's text ends up in messages, terminals and logs, where escape sequences could rewrite
    what is shown, bidirectional controls reorder it, and invisible characters hide a difference.
    Bytes that were not UTF-8 become `\xNN`, other escaped characters `\u{N}` in hexadecimal. Text
    of more than `limit` characters is cut, and the whole length said; None means that it is never
    cut.
    """
    shown = text if limit is None else text[:limit]
    if shown.isascii() and shown.isprintable() and '"' not in shown and "\\" not in shown:
        quoted = f'"{shown}"'
    else:
        quoted = '"' + "".join(map(_escape, shown)) + '"'
    if len(shown) == len(text):
        return quoted
    return f"{quoted}... ({len(text)} characters)"


def _escape(char: str) -> str:
    if char in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    spaces = unicodedata.category(char) == "Zs" and char != " "
    if spaces or unicodedata.category(char) in _ESCAPED_CATEGORIES or char in _ESCAPED_CHARACTERS:
        return f"\\u{{{code:x}}}"
    return char
