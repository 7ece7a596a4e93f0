"""The one error of the tasks."""


class TaskError(Exception):
    """A command cannot go on; the text says what was wrong and what to do."""
