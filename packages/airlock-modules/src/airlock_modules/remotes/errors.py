"""What a transport may not say."""


class RemoteError(ValueError):
    """Words or bytes of a client that are no transport's, or that are not passed on.

    The text names what is wrong in one line, quoted, and `rule` is the word for it in records.
    """

    def __init__(self, rule: str, problem: str) -> None:
        """Say that `rule` refuses, because of `problem`."""
        super().__init__(problem)
        self.rule = rule
        self.problem = problem
