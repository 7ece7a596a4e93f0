"""Parsing an argument vector as the tool itself would, with its option table.

One pass from left to right, each argument visited once. Where tools or versions differ, the result
keeps every interpretation. Where the difference would change how later arguments are parsed, the
argument counts as unknown, so interpretations never multiply.
"""

import posixpath
from collections.abc import Iterable, Sequence

from airlock_modules.reading.option_table import NUMBER, FlagSpec, Kind, OptionTable
from airlock_modules.reading.parsed import Flag, Parsed, PathUse, Piece

MAX_PATH = 4096
"""PATH_MAX of limits.h: no system call accepts a longer path."""


def find_paths(
    table: OptionTable,
    *,
    flags: Sequence[Flag],
    words: Sequence[Piece],
    command: tuple[str, ...],
    path_words: bool,
) -> tuple[PathUse, ...]:
    """Return the paths among flag values and words, in no significant order.

    The tool enters the directories of its `CHDIR` flags in turn; every other path is relative to
    the last one. An `EITHER` flag counts as entering and opening its path. Joining stops once the
    directory exceeds `MAX_PATH`, so the caller can refuse it for its length.
    """
    with_paths = [flag for flag in flags if flag.takes_path]
    found, base = _enter(flag for flag in with_paths if _has_kind(flag, "CHDIR", "EITHER"))
    for flag in with_paths:
        if _has_kind(flag, "EITHER"):
            found += [_use(value, by=flag.name) for value in flag.values]
        if _has_kind(flag, "PATH"):
            found += [_use(value, by=flag.name, base=base) for value in flag.values]
    if words and (path_words or _has_path_words(table, command)):
        found += [PathUse(word.text, word.argument, 0, "", base) for word in words]
    return tuple(found)


def _use(piece: Piece, *, by: str, base: str = "") -> PathUse:
    """Return a flag's value as a path."""
    return PathUse(piece.text, piece.argument, piece.offset, by, base)


def _has_kind(flag: Flag, *kinds: Kind) -> bool:
    return any(spec.kind in kinds for spec in flag.specs)


def _enter(flags: Iterable[Flag]) -> tuple[list[PathUse], str]:
    """Follow the flags that enter directories; return the paths to check and the last one."""
    found: list[PathUse] = []
    base = ""
    joined: PathUse | None = None
    for flag in flags:
        if len(flag.values) > 1:  # alternatives, of which the tool uses one
            found += [_use(value, by=flag.name) for value in flag.values]
        for value in flag.values:
            if value.text.startswith("/"):
                if joined is not None:
                    found.append(joined)
                base, joined = value.text, None
                found.append(_use(value, by=flag.name))
                continue
            offset = None if base else value.offset
            if len(base) <= MAX_PATH:
                base = posixpath.join(base, value.text)
            joined = PathUse(base, value.argument, offset, flag.name)
    if joined is not None:
        found.append(joined)
    return found, base


def _has_path_words(table: OptionTable, command: tuple[str, ...]) -> bool:
    return bool(table.path_commands) and any(
        " ".join(command[:length]) in table.path_commands for length in range(len(command) + 1)
    )


MAX_LETTERS = 1024
"""How many flags may follow another in a cluster, over all arguments."""
_MAX_UNSURE = 16
"""How many letters of one cluster may be `unsure` about taking a value."""


def parse(table: OptionTable, args: Sequence[str]) -> Parsed:
    """Parse a command's arguments, without argv[0].

    Accepts any strings, raises nothing, and takes linear time.
    """
    reader = _ArgumentReader(table, args)
    reader.read()
    flags = (*reader.globals, *reader.flags)
    return Parsed(
        command=reader.command,
        knows_command=reader.knows_command,
        globals=tuple(reader.globals),
        flags=tuple(reader.flags),
        words=tuple(reader.words),
        rest=reader.rest,
        unknown=tuple(reader.unknown),
        excess=reader.excess,
        paths=find_paths(
            table,
            flags=flags,
            words=reader.words,
            command=reader.command,
            path_words=reader.scope.path_words,
        ),
    )


class _ArgumentReader:
    """The state of one parsing pass."""

    def __init__(self, table: OptionTable, args: Sequence[str]) -> None:
        self.table = table
        self.args = tuple(args)
        self.scope = table.root
        self.command: tuple[str, ...] = ()
        self.knows_command = True
        self.globals: list[Flag] = []
        self.flags: list[Flag] = []
        self.words: list[Piece] = []
        self.rest: tuple[str, ...] = ()
        self.unknown: list[Piece] = []
        self.excess: Piece | None = None
        self._letters = 0
        self._next = 0
        self._flags_ended = False
        self._is_complete = table.depth == 0

    def read(self) -> None:
        args = self.args
        while self._next < len(args):
            at = self._next
            self._next += 1
            text = args[at]
            if self._flags_ended or len(text) < 2 or text[0] != "-":
                self._read_word(text, at)
            elif text == "--":
                self._end_flags(at)
            elif self.scope.style == "go":
                self._read_go(text, at)
            elif text[1] != "-":
                self._read_short(text, at)
            elif self.scope.style == "getopt":
                self.unknown.append(Piece(text, at))
            else:
                self._read_long(text, at)

    def _end_flags(self, at: int) -> None:
        if self.table.depth and not self.command:
            # Tools differ in whether a subcommand may follow.
            self.unknown.append(Piece("--", at))
        self._flags_ended = True
        if self.table.remote_command and self.words:
            self._leave(self._next)

    def _leave(self, at: int) -> None:
        """Stop parsing: the arguments from `at` on belong to another program."""
        self.rest = self.args[at:]
        self._next = len(self.args)

    def _read_word(self, text: str, at: int) -> None:
        if not self._is_complete and self._read_subcommand(text, at):
            return
        self._is_complete = True
        if self.table.remote_command and self.words:
            self._leave(at)
            return
        self.words.append(Piece(text, at))
        if self.scope.stops or (self.table.remote_command and self._flags_ended):
            self._leave(self._next)
        elif not self.scope.interspersed:
            self._flags_ended = True

    def _read_subcommand(self, text: str, at: int) -> bool:
        """Consume a word if it belongs to the subcommand; return whether it was consumed."""
        table = self.table
        scope = table.commands.get(" ".join((*self.command, text)))
        if self._flags_ended and self.command and (scope or table.elsewhere):
            # After -- it may name a nested subcommand or be an operand of the current one.
            self.unknown.append(Piece(text, at))
            scope = None
        elif scope is None and table.elsewhere is None:
            if self.command and (self.scope.takes_words or self._flags_ended):
                return False
            self.command += (text,)
            self.knows_command = False
            self._leave(self._next)
            return True
        if scope is not None:
            self.scope = scope
            self.command = scope.key
            is_deep = table.elsewhere is None or len(scope.key) == table.depth
            self._is_complete = is_deep and not scope.nested
            return True
        if table.elsewhere is None or len(self.command) >= table.depth:
            return False
        self.command += (text,)
        self._is_complete = len(self.command) == table.depth
        if self._is_complete:
            self.scope = table.elsewhere
        return True

    def _read_go(self, text: str, at: int) -> None:
        flag = text[1:] if text[1] == "-" else text
        if flag[1:2] in ("", "-", "="):
            self.unknown.append(Piece(text, at))
        else:
            self._read_long(flag, at)

    def _read_long(self, text: str, at: int) -> None:
        name, equals, value = text.partition("=")
        self._read_named(name, value if equals else None, at)

    def _read_named(self, name: str, joined: str | None, at: int) -> None:
        """Parse a flag in an argument of its own, with or without a value joined by `=`."""
        specs = self.scope.flags.find(name, abbreviations=self.scope.abbreviations)
        if self.scope.is_open and name not in self.scope.flags.exact:
            specs += (FlagSpec(names=(name,), takes="unsure"),)
        if not specs:
            self.unknown.append(Piece(name, at))
        elif joined is not None:
            self._add(name, at, specs, self._end_of(at, joined))
        elif len(specs) == 1 or len({_consumes(spec) for spec in specs}) == 1:
            self._add(name, at, specs, *self._take_values(specs))
        elif self._may_leave_open():
            self._add(name, at, specs, self._peek(), sure=False)
        else:
            # Whether the next word is its value depends on which flag is meant.
            self.unknown.append(Piece(name, at))

    def _may_leave_open(self) -> bool:
        """Whether the next argument can be shown to rules both as a value and by itself.

        False if it may name the subcommand or end the flags.
        """
        ends = self._next < len(self.args) and self.args[self._next] == "--"
        return self.scope.is_open and self._is_complete and not ends

    def _read_short(self, text: str, at: int) -> None:
        flags = self.scope.flags
        if flags.number is not None and text[1:].isdecimal() and text.isascii():
            self._add(NUMBER, at, (flags.number,), (Piece(text[1:], at, 1),))
            return
        if flags.has_long_names_of_one_dash:
            name = text.partition("=")[0]
            if len(name) > 2 and name in flags.exact:
                self._read_long(text, at)
                return
        self._read_cluster(text, at)

    def _read_cluster(self, text: str, at: int) -> None:
        """Parse a cluster of letters; a repeated letter without a value is added once."""
        seen: set[str] = set()
        unsure = 0
        exact = self.scope.flags.exact
        for index in range(1, len(text)):
            if index > 1:
                self._letters += 1
                if self._letters > MAX_LETTERS:
                    self.excess = Piece(text, at)
                    self._next = len(self.args)
                    return
            letter = text[index]
            if letter == "-" and index > 1 and self.scope.is_open:
                # No tool has the flag --: the rest is the value of an unlisted letter.
                return
            name = f"-{letter}"
            spec = exact.get(name)
            if spec is None and self.scope.is_open:
                spec = FlagSpec(names=(name,))
            if spec is None or unsure == _MAX_UNSURE:
                self.unknown.append(Piece(text, at))
                return
            if spec.takes in ("value", "several", "optional"):
                self._end_cluster(name, at, spec, text[index + 1 :])
                return
            if spec.takes == "unsure":
                unsure += 1
                glued = text[index + 1 :]
                values = self._end_of(at, *_split_glued(glued)) if glued else self._peek()
                self._add(name, at, (spec,), values, sure=False)
            elif text.startswith("=", index + 1) and self.scope.style == "gnu":
                self._add(name, at, (spec,), self._end_of(at, text[index + 2 :]))
                return
            elif letter not in seen:
                seen.add(letter)
                self._add(name, at, (spec,))

    def _end_cluster(self, name: str, at: int, spec: FlagSpec, glued: str) -> None:
        if glued:
            values = _split_glued(glued) if self.scope.style == "gnu" else (glued,)
            self._add(name, at, (spec,), self._end_of(at, *values))
        elif spec.takes == "optional":
            self._add(name, at, (spec,))
        else:
            self._add(name, at, (spec,), *self._take_values((spec,)))

    def _take_values(self, specs: tuple[FlagSpec, ...]) -> tuple[tuple[Piece, ...], bool]:
        """Return the following words that are the flag's values, and whether that is certain."""
        start = self._next
        match specs[0].takes:
            case "value" if start < len(self.args):
                self._next += 1
                return (Piece(self.args[start], start),), True
            case "several":
                while self._next < len(self.args) and self.args[self._next][:1] != "-":
                    self._next += 1
                return tuple(Piece(self.args[at], at) for at in range(start, self._next)), True
            case "unsure":
                return self._peek(), False
            case _:
                return (), True

    def _peek(self) -> tuple[Piece, ...]:
        at = self._next
        if at == len(self.args) or self.args[at] == "--":
            return ()
        return (Piece(self.args[at], at),)

    def _end_of(self, at: int, *values: str) -> tuple[Piece, ...]:
        """Return values at the end of an argument, each with its offset in it."""
        length = len(self.args[at])
        return tuple(Piece(value, at, length - len(value)) for value in values)

    def _add(
        self,
        text: str,
        at: int,
        specs: tuple[FlagSpec, ...],
        values: tuple[Piece, ...] = (),
        sure: bool = True,
    ) -> None:
        flag = Flag(
            text=text, argument=at, specs=specs, values=values, sure=sure, command=self.command
        )
        (self.flags if self.command or not self.table.depth else self.globals).append(flag)


def _split_glued(glued: str) -> tuple[str, ...]:
    """Return the possible values glued to a letter: some tools drop an `=` in between."""
    return (glued, glued[1:]) if glued.startswith("=") else (glued,)


def _consumes(spec: FlagSpec) -> str:
    """Return how a flag consumes the following words."""
    return spec.takes if spec.takes in ("value", "several", "unsure") else "nothing"
