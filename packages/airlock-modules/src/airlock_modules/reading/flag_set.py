"""The flags that a tool accepts in one scope, found by name or by the beginning of a name."""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Self

from msgspec import Struct

from airlock_modules.reading.notation import NUMBER, FlagSpec


class FlagSet(Struct, frozen=True, kw_only=True):
    """Flags by name.

    `longs` has the names of two dashes, sorted, which is where a name that was cut short is looked
    up. `own` are the flags that were described for this scope and no other.
    """

    exact: dict[str, FlagSpec]
    longs: tuple[str, ...]
    own: tuple[FlagSpec, ...]
    number: FlagSpec | None = None
    has_long_names_of_one_dash: bool = False

    @classmethod
    def of(cls, own: Iterable[FlagSpec], *, shared: Iterable[FlagSpec] = ()) -> Self:
        """Make a set of `own` flags and `shared` ones; a name that both have means the own flag."""
        mine = tuple(own)
        exact = {name: spec for spec in (*shared, *mine) for name in spec.names}
        return cls(
            exact=exact,
            longs=tuple(sorted(name for name in exact if name.startswith("--"))),
            own=mine,
            number=exact.get(NUMBER),
            has_long_names_of_one_dash=any(
                len(name) > 2 and name[1] != "-" and name != NUMBER for name in exact
            ),
        )

    def find(self, name: str, *, abbreviations: bool) -> tuple[FlagSpec, ...]:
        """Return what a name may mean: nothing, one flag, or all that it is a beginning of."""
        spec = self.exact.get(name)
        if spec is not None:
            return (spec,)
        if not abbreviations or len(name) < 3 or not name.startswith("--"):
            return ()
        found: list[FlagSpec] = []
        for at in range(bisect_left(self.longs, name), len(self.longs)):
            if not self.longs[at].startswith(name):
                break
            spec = self.exact[self.longs[at]]
            if spec not in found:
                found.append(spec)
        return tuple(found)
