"""Showing text from somebody else so that it cannot pose as anything but text.

A name or an argument that a client sends ends up in messages, terminals and logs. Escape
sequences could recolour or rewrite a terminal, bidirectional controls reorder a line, and
zero-width characters hide a difference. `quote` makes all of them visible.
"""

import unicodedata

# By Unicode category: controls, formats (bidirectional and zero-width ones among them),
# surrogates, private use, unassigned, and line and paragraph separators.
_ESCAPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Invisible, though Unicode calls them letters, marks or symbols: the Hangul fillers, the combining
# grapheme joiner, the Khmer inherent vowels, the braille blank, and the variation selectors.
_ESCAPED_CHARACTERS = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
) | frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def quote(text: str, *, limit: int | None = 200) -> str:
    r"""Return `text` in double quotes, with everything escaped that could mislead a reader.

    Bytes that were not UTF-8 (surrogate escapes) become `\xNN`, other escaped characters `\u{N}`
    in hexadecimal. Text of more than `limit` characters is cut, and the whole length said; None
    means that it is never cut.
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
