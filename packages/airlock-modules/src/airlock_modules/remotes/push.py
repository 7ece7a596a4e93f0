"""Parsing a push, judging it, and answering a refused one.

A client sends a list of ref updates, as git-receive-pack reads it (gitprotocol-pack(5)), then
options if it agreed on them, then the pack. The list alone determines the effect of a push,
whatever the command line or configuration was.
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.git_protocol import FLUSH, PacketReader, frame
from airlock_modules.remotes.grants import GitGrant, fold
from airlock_wire.text import quote

# Bytes: enough for a mirror of some ten thousand refs.
MAX_BYTES = 2 << 20
_MAX_UPDATES = 20_000
_MAX_OPTIONS = 1000

_ID = rb"(?:[0-9a-f]{40}|[0-9a-f]{64})"
_UPDATE = re.compile(rb"(%s) (%s) ([^\x00-\x20\x7f]+)" % (_ID, _ID))
_SHALLOW = re.compile(rb"shallow %s" % _ID)
_CAPABILITY = re.compile(r"[!-~]+")
# Permitted capabilities; an unknown one could change the meaning of the list. Those of the first
# line have no value: git-receive-pack takes `push-options=x` for `push-options`.
_CAPABILITIES = frozenset(
    (
        "report-status",
        "report-status-v2",
        "side-band-64k",
        "quiet",
        "atomic",
        "ofs-delta",
        "delete-refs",
        "push-options",
    )
)
_VALUED = frozenset(("agent", "object-format", "session-id"))


class Update(Struct, frozen=True):
    """One ref with its expected `old` and its `new` object id, in hexadecimal."""

    old: str
    new: str
    ref: str

    @property
    def is_deletion(self) -> bool:
        """Whether the update deletes the ref."""
        return not self.new.strip("0")


class PushList(Struct, frozen=True, kw_only=True):
    """A push request. `capabilities` include their value after `=`, as sent."""

    updates: tuple[Update, ...] = ()
    capabilities: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def split(self, count: int) -> "Iterator[PushList]":
        """Yield lists of at most `count` updates; the first has the options."""
        for at in range(0, len(self.updates), count):
            options = self.options if at == 0 else ()
            yield replace(self, updates=self.updates[at : at + count], options=options)

    @property
    def brings_pack(self) -> bool:
        """Whether a pack follows; none follows a push of deletions only."""
        return any(not update.is_deletion for update in self.updates)


class PushReader:
    """An incremental reader of the list. Do not feed it after it is complete or has raised."""

    def __init__(self) -> None:
        """Start with an empty buffer."""
        self._packets = PacketReader(limit=MAX_BYTES)
        self._updates: list[Update] = []
        self._capabilities: tuple[str, ...] = ()
        self._options: list[str] | None = None

    @property
    def received(self) -> bytes:
        """All bytes fed: the list, and what followed it in the last chunk."""
        return self._packets.received

    def feed(self, data: bytes) -> PushList | None:
        """Add the next bytes; return the list once it is complete.

        Raises RemoteError for anything that git-receive-pack could parse differently.
        """
        self._packets.feed(data)
        while (packet := self._packets.take()) is not None:
            if packet:
                self._take(packet)
            elif self._expects_options:
                self._options = []
            else:
                return PushList(
                    updates=tuple(self._updates),
                    capabilities=self._capabilities,
                    options=tuple(self._options or ()),
                )
        return None

    @property
    def _expects_options(self) -> bool:
        agreed = "push-options" in self._capabilities and bool(self._updates)
        return agreed and self._options is None

    def _take(self, packet: bytes) -> None:
        packet = packet.removesuffix(b"\n")
        if self._options is not None:
            if len(self._options) == _MAX_OPTIONS:
                raise RemoteError(
                    f"a push has more than {_MAX_OPTIONS} options", rule="push_options"
                )
            self._options.append(_decode(packet, "a push option"))
            return
        line, has_capabilities, words = packet.partition(b"\0")
        if has_capabilities:
            # git-receive-pack reads them on every line, this reader only on the first.
            if self._updates:
                raise RemoteError("a list of refs names capabilities twice", rule="push-list")
            self._capabilities = _read_capabilities(words)
        elif _SHALLOW.fullmatch(line) and not self._updates:
            return
        update = _UPDATE.fullmatch(line)
        if update is None:
            raise RemoteError(_explain(line), rule="push-list")
        old, new, ref = update.groups()
        if len(old) != len(new):
            raise RemoteError("a list of refs mixes two kinds of object ids", rule="push-list")
        if len(self._updates) == _MAX_UPDATES:
            raise RemoteError(f"a push may not name more than {_MAX_UPDATES} refs", rule="refs")
        self._updates.append(Update(old.decode(), new.decode(), _decode(ref, "a ref")))


def _read_capabilities(words: bytes) -> tuple[str, ...]:
    capabilities = tuple(words.decode("ascii", "replace").split(" "))
    found = tuple(word for word in capabilities if word)
    for word in found:
        name, has_value, _ = word.partition("=")
        is_known = name in _VALUED if has_value else name in _CAPABILITIES
        if not is_known or not _CAPABILITY.fullmatch(word):
            raise RemoteError(f"a push asks the server for {quote(word)}", rule="capability")
    return found


def _explain(line: bytes) -> str:
    if line.startswith(b"push-cert"):
        return "signed pushes are not passed on"
    shown = quote(line.decode("utf-8", "surrogateescape"), limit=80)
    return f"a line of a list of refs cannot be read: {shown}"


def _decode(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        shown = quote(data.decode("utf-8", "surrogateescape"), limit=80)
        raise RemoteError(f"{what} is not UTF-8: {shown}", rule="push-list") from None


# git-check-ref-format(1), and segments that end with a dot, which Windows drops: a server may take
# these for another ref.
_MISSHAPEN = re.compile(r"\.\.|//|/\.|@\{|[\x00-\x20\x7f~^:?*\[\\]|\.lock(?:/|$)|\./|[/.]$")
# More than any server accepts.
_MAX_REF = 512
# Maximum number of patterns listed in a refusal.
_MAX_NAMED = 3


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a push is not sent. `ref` is None unless one ref is the reason; `rule` is for records.

    `problem` is one line, for the user who pushed.
    """

    ref: str | None
    rule: str
    problem: str


def judge_push(grant: GitGrant, push: PushList) -> tuple[Refusal, ...]:
    """Return all refusals; a push is sent only if there are none."""
    refusals = []
    for option in push.options:
        if not any(pattern.fullmatch(option) for pattern in grant.push_options):
            problem = f"the push option {quote(option, limit=60)} is not granted"
            refusals.append(Refusal(ref=None, rule="push_options", problem=problem))
            break
    refusals += filter(None, (_judge_update(grant, update) for update in push.updates))
    return tuple(refusals)


def _judge_update(grant: GitGrant, update: Update) -> Refusal | None:
    ref = update.ref
    if len(ref) > _MAX_REF or not ref.isprintable() or _MISSHAPEN.search(ref):
        return Refusal(ref=ref, rule="refs", problem="this is no name of a ref")
    if any(pattern.fullmatch(each) for each in fold(ref) for pattern in grant.protect):
        problem = f"[git] protect forbids it; allowed: {_name_allowed(grant)}"
        return Refusal(ref=ref, rule="protect", problem=problem)
    if not any(pattern.expression.fullmatch(ref) for pattern in grant.refs):
        problem = f"[git] refs does not allow it; allowed: {_name_allowed(grant)}"
        return Refusal(ref=ref, rule="refs", problem=problem)
    if update.is_deletion and not grant.delete:
        return Refusal(ref=ref, rule="delete", problem="deleting is not granted by [git] delete")
    return None


def _name_allowed(grant: GitGrant) -> str:
    """Return the patterns of `refs` as listed in a refusal."""
    named = [pattern.text for pattern in grant.refs[:_MAX_NAMED]]
    shown = [text if text.isprintable() else quote(text) for text in named]
    more = ["..."] if len(grant.refs) > _MAX_NAMED else []
    return ", ".join((*shown, *more)) or "no ref"


# Bytes of a report per side-band packet.
_BAND = 65_500
_REPORTS = ("report-status", "report-status-v2")
# Bytes of one line, most of it the ref's name.
_MAX_LINE = 4000
_DATA = b"\1"


def compose_report(push: PushList, refusals: Sequence[Refusal]) -> bytes:
    """Return the report of a refusing server, which git prints like the server's own.

    It is empty if the client did not request a report.
    """
    if not set(_REPORTS) & set(push.capabilities):
        return b""
    # Up to 20,000 refs may be refused: a linear search for each would block the daemon.
    reasons = {refusal.ref: refusal.problem for refusal in reversed(refusals)}
    others = reasons.get(None, "not sent, since another ref of this push is refused")
    report = frame(b"unpack ok\n") + b"".join(
        frame(f"ng {update.ref} airlock: {reasons.get(update.ref, others)}\n".encode()[:_MAX_LINE])
        for update in push.updates
    )
    report += FLUSH
    if "side-band-64k" not in push.capabilities:
        return report
    pieces = [report[at : at + _BAND] for at in range(0, len(report), _BAND)]
    return b"".join(frame(_DATA + piece) for piece in pieces) + FLUSH
