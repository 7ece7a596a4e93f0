"""What a person may write wrongly in a module or an option table.

A file that cannot be used is a `ModuleError` (`airlock_modules.files.faults`), which has all its
faults; the errors here say what is wrong with one text in it.
"""


class RuleError(ValueError):
    """A rule of a module, or a pattern in one, cannot be read; the text says why."""


class NotationError(ValueError):
    """The description of a flag in an option table cannot be read; the text says why."""
