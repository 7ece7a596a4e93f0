"""Rules: their text, the parts that must all match, and finding the first that does.

What a part is, and what it is compared with, differs with the way in which the arguments were read:
by their form (`plain_rules`) or with the grammar of the tool (`grammar_rules`).
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import force_setattr

from airlock_modules.errors import RuleError

SEPARATOR = " & "
"""What joins the parts of a rule, all of which must be there, in any order."""


class Reading(Protocol):
    """What rules are compared with."""

    @property
    def keys(self) -> frozenset[str]:
        """The names and words that are there, by which the rules to look at are found."""


Read = TypeVar("Read", bound=Reading)
Read_contra = TypeVar("Read_contra", bound=Reading, contravariant=True)


class Part(Protocol[Read_contra]):
    """One part of a rule."""

    @property
    def text(self) -> str:
        """The part as it is written."""

    @property
    def anchors(self) -> tuple[str, ...]:
        """The keys of which one must be there for this part to match; () where none can be told."""

    def find(self, reading: Read_contra, *, certain: bool) -> tuple[str, ...] | None:
        """Return the texts of the arguments that match, or None.

        It is enough that the tool could read them so, unless `certain` asks that it must.
        """


class Rule(Struct, Generic[Read], frozen=True):
    """One rule: its text as written in the module, its parts, and why it is there, if that is said.

    `reason` is one line, the end of a sentence that begins "... is refused: ".
    """

    text: str
    parts: tuple[Part[Read], ...]
    reason: str | None = None

    def find(self, reading: Read, *, certain: bool = False) -> tuple[str, ...] | None:
        """Return the texts of the arguments that match, or None where the rule does not."""
        found: tuple[str, ...] = ()
        for part in self.parts:
            texts = part.find(reading, certain=certain)
            if texts is None:
                return None
            found += texts
        return found


class RuleList(Struct, Generic[Read], frozen=True):
    """Rules, and by what must be there which of them to look at.

    `index` and `always` are made from `rules`, whatever is passed for them.
    """

    rules: tuple[Rule[Read], ...] = ()
    index: dict[str, list[int]] = field(default_factory=dict)
    always: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Make the index. An index that did not fit its rules would let things pass."""
        index: dict[str, list[int]] = {}
        always = []
        for number, rule in enumerate(self.rules):
            anchors = next((part.anchors for part in rule.parts if part.anchors), ())
            for anchor in anchors:
                index.setdefault(anchor, []).append(number)
            if not anchors:
                always.append(number)
        force_setattr(self, "index", index)
        force_setattr(self, "always", tuple(always))

    def find(
        self, reading: Read, *, certain: bool = False
    ) -> tuple[Rule[Read], tuple[str, ...]] | None:
        """Return the first rule that matches and the texts of its arguments, or None."""
        numbers = set(self.always)
        if self.index:
            for key in self.index.keys() & reading.keys:
                numbers.update(self.index[key])
        for number in sorted(numbers):
            texts = self.rules[number].find(reading, certain=certain)
            if texts is not None:
                return self.rules[number], texts
        return None


def parse_parts(text: str, parse_part: Callable[[str], Part[Read]]) -> tuple[Part[Read], ...]:
    """Read the parts of a rule. Raises `RuleError` for one without text, or that is none."""
    parts = text.split(SEPARATOR)
    if not all(parts):
        raise RuleError("a rule, and each part of one, must have text")
    return tuple(map(parse_part, parts))
