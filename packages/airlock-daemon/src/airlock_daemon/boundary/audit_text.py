"""Texts in audit records: bounded in length, and harmless on a terminal."""

import hashlib
from collections.abc import Sequence

import msgspec

from airlock_wire import encode_text, is_shown

# Limits in bytes, as encoded in a record's line: one text of a client, and all its arguments.
TEXT = 448
ARGUMENTS = 1280
BEGINNING = 128


def shorten_all(args: Sequence[str], *, limit: int = ARGUMENTS) -> list[object]:
    """Encode arguments for a record: those beyond the limit become one object with a hash."""
    words: list[object] = []
    left = limit
    for number, word in enumerate(args):
        value, size = _shorten(word, TEXT)
        left -= size + 1
        if left < 0:
            rest = args[number:]
            digest = hashlib.sha256(b"\0".join(_bytes(word) for word in rest)).hexdigest()
            words.append({"more": len(rest), "sha256": digest})
            break
        words.append(value)
    return words


def shorten(text: str, *, limit: int = TEXT) -> object:
    """Encode a text for a record; a longer one becomes an object of beginning, length and hash."""
    return _shorten(text, limit)[0]


def _shorten(text: str, limit: int) -> tuple[object, int]:
    """As `shorten`, with the size in the line in bytes."""
    # Each character takes at least one byte, so at most `limit` of them are inspected.
    if len(text) <= limit:
        if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
            size = len(text) + 2
            if size <= limit:
                return text, size
        value = encode_text(text)
        size = len(to_json(value))
        if size <= limit:
            return value, size
    data = _bytes(text)
    begins = text[:BEGINNING]
    while len(to_json(encode_text(begins))) > BEGINNING:
        begins = begins[: len(begins) * 3 // 4]
    short = {
        "begins": encode_text(begins),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    return short, len(to_json(short))


def to_json(value: object) -> bytes:
    r"""Encode as JSON, with what `quote` escapes escaped (\u202e).

    Parsers get the same text, and a person who views the file sees nothing deceptive.
    """
    line = msgspec.json.encode(value)
    if line.isascii() and b"\x7f" not in line:
        return line
    text = line.decode()
    hidden = {ord(each): _escape(each) for each in set(text) if not is_shown(each)}
    return text.translate(hidden).encode()


def _escape(char: str) -> str:
    # JSON escapes characters beyond the first 65,536 as two (RFC 8259, section 7).
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _bytes(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")
