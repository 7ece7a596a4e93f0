"""An operation that a person may be asked about, as the value to which the answer is bound."""

import hashlib
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from airlock_modules import Module
from airlock_modules.operation import Operation


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One operation that a person is asked about.

    `details` are pairs of a label and a text. They are shown, and with the operation's words they
    are the value to which the answer is bound. `forms` are all operations, by their words, that the
    request may amount to, for patterns. `scope` are the values that an approval for a duration
    covers, each a text; without any there is none. `note` says what the answer does not cover.
    """

    operation: Operation
    details: tuple[tuple[str, str], ...] = ()
    forms: tuple[tuple[str, ...], ...] = ()
    scope: tuple[str, ...] = ()
    note: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the value, in hexadecimal."""
        words = self.operation.words
        texts = (str(len(words)), *words, *(text for pair in self.details for text in pair))
        hashed = hashlib.sha256()
        for text in texts:
            data = text.encode("utf-8", "surrogatepass")
            hashed.update(len(data).to_bytes(8, "big") + data)
        return hashed.hexdigest()


def make_lasting(asked: Asked) -> Asked:
    """The same operation, which may be approved for a duration by its whole value."""
    return replace(asked, scope=(asked.digest,))


def describe_tool(
    command: tuple[str, ...], module: Module, *, directory: str, variables: Mapping[str, str]
) -> Asked:
    """A tool's command for a person: its name and arguments, and where it runs.

    `variables` are the client's that the tool gets.
    """
    from airlock_modules import GrammarRules, parse  # noqa: PLC0415 - for those who are asked

    name, *args = command
    forms = [("run", *command)]
    if isinstance(module.rules, GrammarRules):
        # As the tool parses it: the subcommand first, whatever flags precede it.
        parsed = parse(module.rules.table, args)
        operands = (word.text for word in parsed.words)
        forms.append(("run", name, *parsed.command, *operands, *parsed.rest))
    else:
        # Without a table a flag may have its value in the next word, or none.
        forms.append(("run", name, *(word for word in args if not word.startswith("-"))))
    details = [("directory", directory)]
    details += [(f"variable {name}", value) for name, value in sorted(variables.items())]
    return make_lasting(
        Asked(
            operation=Operation(("run", *command)),
            details=tuple(details),
            forms=tuple(forms),
            note="the files that the command reads are not bound",
        )
    )
