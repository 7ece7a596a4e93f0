"""Errors of this package."""


class ShimError(Exception):
    """Base of this package's errors; the text says what is wrong and what to do."""


class BinaryError(ShimError):
    """There is no shim for the machine, or it was not built."""


class LinkError(ShimError):
    """Some links could not be created.

    `problems` has a text for each problem, with cause and remedy. After an invalid name or an
    unusable directory no link was created; otherwise all links without a problem were.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Create the error from at least one problem."""
        super().__init__("\n".join(problems))
        self.problems = problems
