"""The errors of this package."""

from collections.abc import Iterable

from .faults import Fault


class ModuleError(Exception):
    """A module file or an option table cannot be used. `faults` has all that is wrong in it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Make the error of these faults; its text is one line for each."""
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class GlobError(ValueError):
    """A pattern is not a valid glob; the text says what is wrong and at which character."""


class RuleError(ValueError):
    """A rule of a module cannot be read; the text says why."""


class NotationError(ValueError):
    """The description of a flag in an option table cannot be read; the text says why."""
