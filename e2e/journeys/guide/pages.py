"""The blocks of a page that somebody types or copies, each of which a story has to take."""

import tomllib
from pathlib import Path

from tasks.blocks import Block, list_blocks

NOT_TYPED = {"", "ini", "python", "text", "toml"}
"""Languages of blocks that are no commands. The unit tests read those in TOML."""
LEFT_OUT = Path(__file__).with_name("left_out.toml")
"""Blocks that no story takes, each with the reason."""


def read_left_out() -> list[dict[str, str]]:
    """Return the entries of LEFT_OUT: `page`, how a block `begins` (absent: all), and `why`."""
    entries: list[dict[str, str]] = tomllib.loads(LEFT_OUT.read_text())["block"]
    return entries


class Page:
    """A page while its story is told."""

    def __init__(self, page: str) -> None:
        self._left = [block for block in list_blocks(page) if block.language not in NOT_TYPED]
        self._any = list_blocks(page)
        for entry in read_left_out():
            if entry["page"] != page:
                continue
            if "begins" in entry:
                self.take(entry["begins"])
            else:
                self._left.clear()

    def take(self, begins: str) -> str:
        """Return the text of the one block that begins so, and count it as told."""
        block = self._find(self._left, begins)
        self._left.remove(block)
        return block.text

    def read(self, begins: str) -> str:
        """Return the text of the one block of any language that begins so."""
        return self._find(self._any, begins).text

    def list_left(self) -> list[str]:
        """Return where the blocks are that were not taken, and how they begin."""
        return list(map(str, self._left))

    def _find(self, blocks: list[Block], begins: str) -> Block:
        found = [block for block in blocks if block.text.startswith(begins)]
        assert len(found) == 1, f"{len(found)} blocks begin with {begins!r}: {found}"
        return found[0]
