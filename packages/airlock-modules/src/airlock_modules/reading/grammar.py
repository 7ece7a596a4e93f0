"""Reading an argument vector as the tool itself would, by its option table.

One pass from left to right, each argument looked at once. Where tools or their versions differ the
reading keeps what each could see; where that would change how the following arguments are read, the
argument counts as unknown, so that readings never multiply.
"""

from collections.abc import Sequence

from airlock_modules.reading.forms import find_malformed
from airlock_modules.reading.notation import NUMBER, FlagSpec
from airlock_modules.reading.option_table import OptionTable
from airlock_modules.reading.parsed import Flag, Parsed, Piece
from airlock_modules.reading.path_uses import find_paths

MOST_LETTERS = 1024
"""How many flags may stand behind another one's dash, in all arguments together."""
_MOST_UNSURE = 16
"""How many letters of one cluster may leave open whether the rest is their value."""


def parse(table: OptionTable, args: Sequence[str]) -> Parsed:
    """Read the arguments of a command, its own name not among them.

    Any strings will do. Nothing is raised, and the work grows linearly with the arguments.
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
        malformed=find_malformed(reader.scope.forms, words=reader.words, flags=flags),
    )


class _ArgumentReader:
    """The state of one pass: what was found, and how the next argument is to be read."""

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
            # Tools differ in whether a subcommand may still follow.
            self.unknown.append(Piece("--", at))
        self._flags_ended = True
        if self.table.remote_command and self.words:
            self._leave(self._next)

    def _leave(self, at: int) -> None:
        """Stop reading: the arguments from there on belong to another program."""
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
        """Take a word for one of the subcommand's, if it is; tell whether it was taken."""
        table = self.table
        scope = table.commands.get(" ".join((*self.command, text)))
        if self._flags_ended and self.command and (scope or table.elsewhere):
            # Behind -- it may name a subcommand or be a word of the one before.
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
        """Read a flag that is an argument of its own, perhaps with a value joined by `=`."""
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
            # Whether the next word is a value depends on which of the flags is meant.
            self.unknown.append(Piece(name, at))

    def _may_leave_open(self) -> bool:
        """Whether the next argument can be a value and be read by itself, so that rules see both.

        Not where it may name the subcommand, or end the flags.
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
        """Read letters behind one dash; each once, however often it is repeated."""
        seen: set[str] = set()
        unsure = 0
        exact = self.scope.flags.exact
        for index in range(1, len(text)):
            if index > 1:
                self._letters += 1
                if self._letters > MOST_LETTERS:
                    self.excess = Piece(text, at)
                    self._next = len(self.args)
                    return
            letter = text[index]
            if letter == "-" and index > 1 and self.scope.is_open:
                # No flag of any tool: the rest is the value of a letter that is not described.
                return
            name = f"-{letter}"
            spec = exact.get(name)
            if spec is None and self.scope.is_open:
                spec = FlagSpec(names=(name,))
            if spec is None or unsure == _MOST_UNSURE:
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
        """Return the following words that are values of a flag, and whether that is sure."""
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
        """Return values that stand at the end of an argument, each with its offset there."""
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
    """Return what a value glued to a letter may be: some tools drop an `=` in between."""
    return (glued, glued[1:]) if glued.startswith("=") else (glued,)


def _consumes(spec: FlagSpec) -> str:
    """Say what of the following words a flag takes; `unsure` flags take none for certain."""
    return spec.takes if spec.takes in ("value", "several", "unsure") else "nothing"
