"""Lines of the log as a person reads them, on a terminal too.

What is ours stands on the left: time, agent, outcome. What a client sent stands behind it, quoted
wherever it is more than a plain word, so that it can neither end the line nor look like another.
"""

import base64
from collections.abc import Callable, Iterator

import msgspec

from airlock_daemon.audit.reading.entry import Entry
from airlock_daemon.audit.reading.recent import Item
from airlock_daemon.audit.record import to_json
from airlock_modules.operation import WORD, join_words, spell_word
from airlock_wire import quote

_NO_BOX = (None, "off", "broker")
"""What `sandbox` of a record is for a command that ran in no box."""

_COLOURS = {
    "allowed": "32",
    "denied": "31",
    "invalid": "31",
    "failed": "33",
    "aborted": "33",
    "cut-off": "33",
}
_DIM = "2"

Paint = Callable[[str, str], str]
"""What gives a text the colour of a code of ECMA-48, or leaves it as it is."""


class Lines:
    """Formats items as lines whose columns stand below each other, as far as can be known."""

    def __init__(self, paint: Paint) -> None:
        self._paint = paint
        self._agent = 8
        self._how = 9

    def format(self, item: Item) -> str:
        """One line, without its newline."""
        entry = item.entry
        if entry is None:
            text = quote(item.line.text.decode("utf-8", "surrogateescape"), limit=WORD)
            where = f"{item.line.file.path}:{item.line.find_number()}"
            return f"{self._paint('33', 'no record')} at {where}: {text}"
        outcome = item.outcome or "-"
        agent, how = show_word(entry.profile or "-"), _tell_how(entry)
        self._agent, self._how = max(self._agent, len(agent)), max(self._how, len(how))
        columns = (
            self._paint(_DIM, show_word(entry.ts)),
            f"{agent:{self._agent}}",
            self._paint(_COLOURS.get(outcome, "0"), f"{show_word(outcome):7}"),
            f"{how:{self._how}}",
            f"{_tell_duration(entry):>8}",
            " ".join(_tell_words(entry)),
        )
        return "  ".join(columns).rstrip()


def to_object(item: Item) -> bytes:
    """The item as a line of JSON: the record, with `unfinished` where it has a state.

    What is no record is `{"no_record": {"file", "line", "text"}}`.
    """
    if item.entry is None:
        text = item.line.text[:WORD].decode("utf-8", "replace")
        where = {"file": item.line.file.path, "line": item.line.find_number(), "text": text}
        return to_json({"no_record": where})
    record = msgspec.json.decode(item.line.text)
    return to_json(record | {"unfinished": item.state} if item.state else record)


def show_word(value: object) -> str:
    """A text as a record has it, in whatever form, as one word that is what it looks like."""
    match value:
        case str():
            return spell_word(value)
        case {"base64": str(encoded)}:
            # It is the client's bytes that were no UTF-8; in a file that somebody wrote, anything.
            data = base64.b64decode(encoded.encode("utf-8", "replace"))
            return quote(data.decode("utf-8", "surrogateescape"), limit=WORD)
        case {"begins": begins, "bytes": int(count)}:
            return f"{show_word(begins)}... ({count} bytes)"
        case {"more": int(count)}:
            return f"... ({count} more arguments)"
        case _:
            return quote(to_json(value).decode(), limit=WORD)


def _tell_how(entry: Entry) -> str:
    match entry.detail:
        case {"service": "https", "status": int(status)} if entry.layer is None:
            return f"status {status}"
    if entry.event not in ("exec", "exec-start"):
        return show_word(entry.layer or entry.event)
    if entry.signal:
        return show_word(entry.signal)
    if entry.exit_code is not None:
        return f"exit {entry.exit_code}"
    return show_word(entry.layer or "-")


def _tell_duration(entry: Entry) -> str:
    took = entry.duration_ms
    if took is None:
        return ""
    return f"{took:.0f} ms" if took < 10_000 else f"{took / 1000:.1f} s"


def _tell_words(entry: Entry) -> Iterator[str]:
    detail = entry.detail
    match detail:
        case {"operation": operation} if entry.event in ("broker", "broker-start"):
            # A line of ours, unless somebody else has written this log.
            is_line = isinstance(operation, str) and operation.isprintable()
            yield operation if is_line else show_word(operation)
            is_pinned = not (isinstance(detail, dict) and "unpinned" in detail)
            detail = None if is_pinned else "unpinned"
        case _ if entry.command is not None:
            run = () if entry.sandbox in _NO_BOX else ("run",)
            yield join_words([*run, *map(show_word, (entry.command, *(entry.args or ())))])
    if entry.rule is not None:
        yield f"[rule {show_word(entry.rule)}]"
    elif entry.reason is not None:
        yield f"[{show_word(entry.reason)}]"
    if detail is not None:
        yield f"[{show_word(detail)}]"
    if entry.count is not None:
        yield f"[{entry.count} of this kind]"
