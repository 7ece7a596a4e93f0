"""Errors of these tests, and their timeout."""

PATIENCE_S = 60.0
"""Maximum seconds to wait for anything."""


class BrokenError(AssertionError):
    """A daemon misbehaved; the text says how."""


class NothingHappened(AssertionError):
    """What a test waited for did not happen."""


class NotHereError(Exception):
    """A requirement of an attack or a measurement, which the text names, is missing here."""
