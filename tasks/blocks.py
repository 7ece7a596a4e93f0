"""Code blocks in README.md and in the pages of docs/."""

import re
import textwrap
from dataclasses import dataclass

from tasks.places import ROOT

PAGES = tuple(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
)
"""The pages, as paths below the checkout."""

_INLINE = re.compile(r"`+([^`]+)`+")
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A block: the word after its fence, the number of its first line, its dedented text."""

    page: str
    language: str
    line: int
    text: str

    def __str__(self) -> str:
        """Return its position and its beginning."""
        return f"{self.page}:{self.line}: {self.text.partition(chr(10))[0]}"


def list_blocks(page: str) -> list[Block]:
    """Return the blocks of one of PAGES, in their order."""
    text = (ROOT / page).read_text("utf-8")
    return [
        Block(page, found[2], text.count("\n", 0, found.start(3)) + 1, textwrap.dedent(found[3]))
        for found in _BLOCK.finditer(text)
    ]


def list_inline(page: str) -> list[str]:
    """Return the inline code of one of PAGES, each on one line."""
    text = _BLOCK.sub("", (ROOT / page).read_text("utf-8"))
    return [" ".join(code.split()) for code in _INLINE.findall(text)]
