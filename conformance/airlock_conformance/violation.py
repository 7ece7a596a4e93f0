"""The one error of the suite: the implementation under test did not do what it must."""


class Violation(AssertionError):
    """The daemon or the shim broke the protocol, or did something else than the case expects.

    The message says what was expected and what came. It is an `AssertionError`, so that pytest
    reports it as a failure of the implementation and not as a fault of the suite. `cause` is what
    it has in common with other failures, where the message alone does not tell.
    """

    def __init__(self, message: str, *, cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause


class TimedOut(Violation):
    """Something that was awaited did not come in the time that there was for it."""


class NotJudged(Exception):
    """The case says nothing about this implementation; the message says why."""


def require_none(differences: list[str]) -> None:
    """Raise `Violation` that lists the given differences, unless there are none."""
    if differences:
        raise Violation("\n".join(differences))
