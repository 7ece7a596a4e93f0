"""An operation that a person may be asked about, as the value to which the answer is bound."""

import hashlib

import msgspec
from msgspec.structs import replace

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

    @property
    def lasting(self) -> "Asked":
        """The same operation, which may be approved for a duration by its whole value."""
        return replace(self, scope=(self.digest,))
