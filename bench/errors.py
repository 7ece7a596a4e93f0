"""Errors while measuring."""


class BenchError(Exception):
    """A measurement cannot continue; the text says what is wrong and what to do."""


class CallFailed(BenchError):
    """A timed command ended with a status other than 0, or did not end."""
