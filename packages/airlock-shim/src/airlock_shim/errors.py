"""What can go wrong in this package."""


class ShimError(Exception):
    """The base of this package's errors; its text says what was wrong and what to do."""


class BinaryError(ShimError):
    """There is no shim for that machine."""


class LinkError(ShimError):
    """Some links could not be made.

    `problems` has a text for each, cause and remedy; the other links that were asked for are there.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Keep the problems, of which there is at least one."""
        super().__init__("\n".join(problems))
        self.problems = problems
