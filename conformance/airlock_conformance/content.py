"""Bytes and texts as the case files write them.

A *content* is what a peer sends or what is expected of it: a string (UTF-8), or an object:

- ``{"base64": "/w=="}``: exactly these bytes;
- ``{"json": VALUE}``: the value as one line of compact JSON with its newline;
- ``{"message": OBJECT}``: such a line with ``"jsonrpc": "2.0"`` before its members;
- ``{"text": "x", "repeat": 5}``: the text so many times;
- ``{"parts": [CONTENT, ...]}``: several, one after the other.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

Content = str | Mapping[str, Any]


def encode(content: Content) -> bytes:
    """Return the bytes that a content stands for.

    Raises `ValueError` for an object of none of the forms above.
    """
    match content:
        case str():
            return content.encode()
        case {"base64": str(text)}:
            return base64.b64decode(text, validate=True)
        case {"json": value}:
            return line_of(value)
        case {"message": {**members}}:
            return line_of({"jsonrpc": "2.0", **members})
        case {"text": str(text), "repeat": int(times)}:
            return text.encode() * times
        case {"parts": list(parts)}:
            return b"".join(encode(part) for part in parts)
    raise ValueError(f"not a content: {content!r}")


def line_of(value: object) -> bytes:
    """Return a JSON value as one line of the protocol, its newline included."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def substitute(value: Any, variables: Mapping[str, str]) -> Any:
    """Return a copy of a JSON value in which each ``@name@`` stands replaced.

    Only the given names are replaced, in strings at any depth; other text with ``@`` stays.
    """
    match value:
        case str():
            for name, text in variables.items():
                value = value.replace(f"@{name}@", text)
            return value
        case list():
            return [substitute(item, variables) for item in value]
        case dict():
            return {key: substitute(item, variables) for key, item in value.items()}
    return value
