"""What can come to light or go wrong in these tests, and how long they wait before it has."""

PATIENCE_S = 60.0
"""Whatever is waited for has to come about within so many seconds."""


class BrokenError(AssertionError):
    """A daemon did what it must not do, or did not do what it must. The text says what."""


class NothingHappened(AssertionError):
    """What a test waited for did not come about."""


class NotHereError(Exception):
    """This machine lacks what an attack needs, so that it was not tried. The text says what."""
