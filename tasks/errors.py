"""The one error of the tasks."""


class TaskError(Exception):
    """A command cannot continue; the text says what is wrong and what to do."""
