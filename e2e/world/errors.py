"""What can come to light or go wrong in these tests, and how long they wait before it has."""

PATIENCE_S = 60.0
"""Whatever is waited for has to come about within so many seconds."""


class BrokenError(AssertionError):
    """A daemon did what it must not do, or did not do what it must. The text says what."""


class NothingHappened(AssertionError):
    """What a test waited for did not come about."""


class NotHereError(Exception):
    """What an attack or a look needs is lacking here: it was not tried. The text says what."""
