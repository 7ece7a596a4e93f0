"""The errors of the demo."""


class DemoError(Exception):
    """The demo cannot continue; the text says what is wrong and what to do."""


class NotSoError(DemoError):
    """Something that the demo shows was not so."""
