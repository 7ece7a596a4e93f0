"""What can go wrong while measuring."""


class BenchError(Exception):
    """A measurement cannot go on; the text says what was wrong and what to do."""


class CallFailed(BenchError):
    """A command that was to be timed ended with another status than 0, or did not end."""
