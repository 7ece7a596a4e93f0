"""Text that may not be UTF-8, and quoting text for people.

POSIX arguments and paths are bytes. Internally they are `str` in the form of `os.fsdecode` on a
UTF-8 system: each invalid byte is a lone surrogate (PEP 383, `surrogateescape`). JSON cannot
represent those, so on the wire such text is `{"base64": "..."}`.
"""

import base64
import binascii
import unicodedata
from typing import Final

# Unicode categories: controls, formats (including bidirectional and zero-width ones), surrogates,
# private use, unassigned, and line and paragraph separators. Then bidirectional classes: what is
# written from right to left, and reorders what is beside it.
_ESCAPED_KINDS: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "R", "AL", "AN"})
# Invisible letters, marks and symbols: the Hangul fillers, the combining grapheme joiner, the Khmer
# inherent vowels, the braille blank, fillers of Khitan and of hieroglyphs, an empty note, and the
# variation selectors.
_ESCAPED_CHARACTERS: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    "\U00013441\U00013442\U00016fe4\U0001d159"
) | frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
_SHORT_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def encode_text(text: str) -> str | dict[str, str]:
    """Return `text` in a form for JSON: itself, or `{"base64": ...}` of its bytes.

    Raises UnicodeEncodeError for surrogates that `os.fsdecode` never produces.
    """
    encoded = encode_base64(text)
    return text if encoded is None else {"base64": encoded}


def encode_base64(text: str) -> str | None:
    """Return the base64 (RFC 4648, section 4) of text that is not UTF-8, else None.

    Raises UnicodeEncodeError for surrogates that `os.fsdecode` never produces.
    """
    if is_utf8(text):
        return None
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode("ascii")


def decode_base64(encoded: str) -> str:
    """Return the decoded bytes as text in the form of `os.fsdecode`.

    Raises ValueError for anything but padded base64 of the standard alphabet.
    """
    try:
        # Strict, so that an argument has only one encoding.
        data = binascii.a2b_base64(encoded.encode("ascii"), strict_mode=True)
    except ValueError as error:
        raise ValueError(f"not base64: {error}") from None
    return data.decode("utf-8", "surrogateescape")


def is_utf8(text: str) -> bool:
    """Whether `text` can be encoded as UTF-8, that is, has no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def replace_surrogates(text: str) -> str:
    """Return `text` with U+FFFD in place of surrogates, for messages to people."""
    if is_utf8(text):
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def quote(text: str, *, limit: int | None = 200) -> str:
    r"""Return `text` in double quotes, escaping everything that could mislead a reader.

    A client's text appears in messages, terminals and logs, where escape sequences could rewrite
    the display, bidirectional controls and letters from right to left reorder it, and invisible
    characters hide a difference.
    Bytes that were not UTF-8 become `\xNN`, other escaped characters `\u{N}` in hexadecimal. Text
    of more than `limit` characters is truncated and its length appended; None means no limit.
    """
    shown = text if limit is None else text[:limit]
    if shown.isascii() and shown.isprintable() and '"' not in shown and "\\" not in shown:
        quoted = f'"{shown}"'
    else:
        quoted = f'"{escape(shown)}"'
    if len(shown) == len(text):
        return quoted
    return f"{quoted}... ({len(text)} characters)"


def escape(text: str, *, keep: str = "") -> str:
    """Return `text` with the escapes of `quote`, but for the characters in `keep`."""
    # Each different character once: the text may be a megabyte.
    return text.translate({ord(char): _escape(char) for char in set(text) - set(keep)})


def is_shown(text: str) -> bool:
    """Whether `quote` would escape nothing in `text` but double quotes and backslashes."""
    return (text.isascii() and text.isprintable()) or escape(text, keep='"\\') == text


def _escape(char: str) -> str:
    if char in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    kinds = {unicodedata.category(char), unicodedata.bidirectional(char)}
    if kinds & _ESCAPED_KINDS or char in _ESCAPED_CHARACTERS or ("Zs" in kinds and char != " "):
        return f"\\u{{{code:x}}}"
    return char
