"""The same arguments in another spelling that a tool's grammar calls equal."""

from collections.abc import Iterator, Sequence

from airlock_modules import Flag, OptionTable, parse


def respell(table: OptionTable, args: Sequence[str]) -> Iterator[list[str]]:
    """Yield the arguments once for each other way to write the value of one of their flags.

    A value may be the next word, joined by `=` or, behind a letter, glued. Only flags count that
    take exactly one value and stand alone in their argument: not those of a cluster, nor those
    whose value is not sure.
    """
    if len(table.styles) != 1:
        return
    parsed = parse(table, args)
    for flag in (*parsed.globals, *parsed.flags):
        if flag.sure and len(flag.values) == 1 and all(s.takes == "value" for s in flag.specs):
            yield from _respell_flag(table, args, flag)


def _respell_flag(table: OptionTable, args: Sequence[str], flag: Flag) -> Iterator[list[str]]:
    value = flag.values[0].text
    before, written = args[: flag.argument], args[flag.argument]
    is_go = table.styles[0] == "go"
    name = written[1:] if is_go and written.startswith("--") else written
    is_letter = len(flag.text) == 2 and not is_go
    joined = flag.text + value if is_letter else f"{flag.text}={value}"
    if name == flag.text:
        behind = args[flag.argument + 2 :]
        # "-x=v" and "-x" "=v" differ for some tools, and a letter cannot be glued to nothing.
        if not is_letter or value[:1] not in ("", "="):
            yield [*before, joined, *behind]
        if is_go:
            yield [*before, f"-{joined}", *behind]
    elif name == joined:
        behind = args[flag.argument + 1 :]
        yield [*before, flag.text, value, *behind]
        if is_go:
            yield [*before, f"-{flag.text}", value, *behind]
