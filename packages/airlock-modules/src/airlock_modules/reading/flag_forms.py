"""The forms in which a flag and its value stand in an argument."""

from airlock_modules.reading.notation import FlagSpec


def cut(text: str) -> tuple[str, str | None]:
    """Return the name of a flag and the value that is joined to it by `=`, if there is one."""
    name, equals, value = text.partition("=")
    return name, value if equals else None


def split_glued(glued: str) -> tuple[str, ...]:
    """Return what a value glued to a letter may be: some tools drop an `=` in between."""
    return (glued, glued[1:]) if glued.startswith("=") else (glued,)


def consumes(spec: FlagSpec) -> str:
    """Say what of the following words a flag takes; `unsure` flags take none for certain."""
    return spec.takes if spec.takes in ("value", "several", "unsure") else "nothing"
