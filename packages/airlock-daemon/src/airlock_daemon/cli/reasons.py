"""The reason of a rule, as the SECURITY.md beside a built-in module gives it.

That file has tables whose first column lists rules as code and whose second says why; what applies
to many rules is said in its paragraphs.
"""

import re
from collections.abc import Iterator, Sequence

_CODE = re.compile(r"(`+)(.+?)\1")
_CELL_END = re.compile(r"(?<!\\)\|")


def find_reason(text: str, names: Sequence[str]) -> str | None:
    """Return why a rule is there, None where the text does not say.

    `names` are what the rule may be called, the best one first: each is looked for in the first
    column of all tables, then in the paragraphs.
    """
    rows = dict(_rows(text))
    for name in names:
        if name in rows:
            return rows[name]
    paragraphs = list(_paragraphs(text))
    for name in names:
        for paragraph in paragraphs:
            if name in _codes(paragraph):
                return paragraph
    return None


def _rows(text: str) -> Iterator[tuple[str, str]]:
    """Yield each rule of a first column with its reason; the last one of a name counts."""
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip().replace("\\|", "|") for cell in _CELL_END.split(line)[1:-1]]
            if len(cells) > 1:
                for code in _codes(cells[0]):
                    yield code, cells[1]


def _paragraphs(text: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", text):
        if not block.startswith(("|", "#")):
            yield " ".join(block.split())


def _codes(text: str) -> list[str]:
    return [match[2].strip() for match in _CODE.finditer(text)]
