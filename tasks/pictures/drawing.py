"""Converting terminal output to a picture, and back to its words."""

import html
import io
import re

from rich.console import Console
from rich.text import Text

WIDTH = 112
"""Columns of the terminals."""

# It names font servers; without it the reader's own monospace font is used.
_FONTS = re.compile(r"\s*@font-face \{[^}]*\}")
_TEXT = re.compile(r'<text class="\S+-r\d+"[^>]*>([^<]*)</text>')
_VARYING = re.compile(r"[0-9a-f]{7}\.\.[0-9a-f]{7}|[0-9a-f]{40}|\d[\d:.TZ-]*")


def draw(typed: str, shown: str) -> str:
    """Return an SVG of a terminal with the command `typed`; the output `shown` may have colours."""
    console = Console(
        record=True,
        width=WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
    )
    console.print(Text.assemble(("$ ", "green"), (typed, "bold")))
    console.print(Text.from_ansi(shown.replace("\r\n", "\n").rstrip("\n")))
    name = re.sub(r"\W+", "-", typed).strip("-")
    drawn = _FONTS.sub("", console.export_svg(title=typed, unique_id=name))
    # Otherwise some viewers drop leading spaces of a text.
    drawn = drawn.replace("<svg ", '<svg xml:space="preserve" ', 1)
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


def read_words(picture: str) -> list[str]:
    """Return the words of a picture, with # for what varies: times, numbers and ids.

    Line breaks and column widths make no difference.
    """
    texts = [html.unescape(text) for text in _TEXT.findall(picture)]
    return _VARYING.sub("#", "".join(texts).replace("\xa0", " ")).split()
