"""The errors of the demo."""


class DemoError(Exception):
    """The demo cannot go on; the text says what was wrong and what to do."""


class NotSoError(DemoError):
    """Something that the demo is there to show was not so."""
