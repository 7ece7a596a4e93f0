"""The errors of this suite."""


class BrokenError(Exception):
    """The daemon did what it must not do, or did not do what it must. The text says what."""


class NotHereError(Exception):
    """This machine lacks what an attack needs, so that it was not tried. The text says what."""
