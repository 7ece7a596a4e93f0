"""What a transport may not say."""


class RemoteError(ValueError):
    """Words or bytes of a client that are no transport's, or that are not passed on.

    The text names what is wrong in one line, quoted, and `rule` is the word for it in records.
    """

    def __init__(self, problem: str, *, rule: str) -> None:
        """Say what is wrong, and by which rule."""
        super().__init__(problem)
        self.rule = rule
        self.problem = problem
