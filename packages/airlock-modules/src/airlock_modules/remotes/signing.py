"""What git has signed: reading a commit or tag, and judging it by `[sign]` of a profile.

git passes its signing program the object as it stands, without the signature (commit and tag in
git's documentation of its object formats). The reader takes nothing else: a signature in the
namespace "git" is also what a push certificate needs, and a buffer with two readings would be
signed for the one and shown as the other.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from airlock_modules.operation import Operation
from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.grants import compile_pattern, is_pattern
from airlock_wire.text import quote

MAX_BYTES = 1 << 20
"""The largest object that is signed; git objects with a longer message are not written by hand."""

Kind = Literal["commit", "tag"]
Role = Literal["author", "committer", "tagger"]

# One header: its name, and its value with the continuation lines, which begin with a blank.
_HEADER = re.compile(rb"([a-z0-9-]{1,40}) ([^\n]*(?:\n [^\n]*)*)\n?")
# In the order in which git writes them. No gpgsig: a signed object is not signed again.
_ORDERS: dict[Kind, re.Pattern[bytes]] = {
    "commit": re.compile(rb"tree(?: parent)* author committer(?: encoding)?(?: mergetag)*"),
    "tag": re.compile(rb"object type tag tagger"),
}
_ROLES: dict[bytes, Role] = {
    b"author": "author",
    b"committer": "committer",
    b"tagger": "tagger",
}
_KINDS: dict[bytes, Kind] = {b"tree": "commit", b"object": "tag"}
_EXPECTED = {
    "commit": "tree, parent, author, committer, encoding and mergetag",
    "tag": "object, type, tag and tagger",
}

_ID = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA1 = 40
_TYPE = re.compile(rb"commit|tree|blob|tag")
_PERSON = re.compile(rb"(?:[^\x00-\x1f\x7f<>]* )?<([^\x00-\x20\x7f<>]*)> [0-9]{1,12} [+-][0-9]{4}")
# No blank, quote or comma, and one @, so that nobody reads two addresses; brackets as in [bot].
_EMAIL = re.compile(r"[A-Za-z0-9.!#$&'*+/=?^_`{|}~\[\]-]{1,128}@[A-Za-z0-9.-]{1,255}")
# Of a ref (git-check-ref-format(1)).
_TAG_NAME = re.compile(rb"[^\x00-\x20\x7f~^:?*\[\\]{1,512}")
# Supersets of ASCII without states: in others (UTF-7, EBCDIC, ISO-2022) the shown subject would be
# another text than the one that a reader decodes.
_ENCODING = re.compile(
    rb"(?i)utf-?8|us-ascii|iso-?8859-[0-9]{1,2}|latin-?[0-9]|(?:windows-|cp)125[0-9]|koi8-[ru]"
    rb"|euc-?(?:jp|kr|cn|tw)|gb(?:k|2312|18030)|big5|s(?:hift_?)?jis"
)
# Lines that git leaves out before the subject of a commit.
_BLANK = re.compile(rb"\A(?:[ \t\r\v\f]*+\n)*+")
# git looks for the last of these lines, at which a tag's signature begins.
_SIGNATURE = re.compile(
    rb"^-----BEGIN (?:PGP SIGNATURE|PGP MESSAGE|SIGNED MESSAGE|SSH SIGNATURE)-----", re.MULTILINE
)

_SHOWN = 7
"""Digits of an object id in an operation, as git abbreviates them."""
_MAX_TITLE = 200


class Unsigned(Struct, frozen=True, kw_only=True):
    """A commit or tag that git wants signed.

    `id` is the whole object id: of the commit as it is without the signature, or of the object that
    a tag names. `title` is the first line of a commit's message that is not blank, or a tag's name;
    bytes that are not UTF-8 are surrogates. `people` are author and committer, or tagger, each with
    the address.
    `digest` is the SHA-256 of all its bytes, in hexadecimal: equal only for the very same object.
    """

    kind: Kind
    id: str
    title: str
    people: tuple[tuple[Role, str], ...]
    digest: str

    @property
    def emails(self) -> tuple[str, ...]:
        """The addresses, each once."""
        return tuple(dict.fromkeys(email for _, email in self.people))

    @property
    def operation(self) -> Operation:
        """For example `sign git commit 1234abc "subject"` or `sign git tag 1234abc v1.2`."""
        return Operation(("sign", "git", self.kind, self.id[:_SHOWN], self.title))


def read_unsigned(data: bytes) -> Unsigned:
    """Read a commit or tag without signature. Raises RemoteError for any other bytes."""
    if len(data) > MAX_BYTES:
        raise RemoteError(f"an object of more than {MAX_BYTES} bytes is not signed", rule="size")
    if data.startswith(b"certificate version "):
        raise RemoteError("a push certificate is not signed", rule="push-certificate")
    if b"\0" in data:
        raise RemoteError("an object has a NUL character", rule="object")
    head, blank, message = data.partition(b"\n\n")
    if not blank:
        raise RemoteError("no commit or tag was sent", rule="object")
    headers = list(_read_headers(head))
    kind = _KINDS.get(headers[0][0])
    if kind is None:
        raise RemoteError(
            f"an object that begins with {_show(headers[0][0])} is no commit or tag", rule="object"
        )
    if _ORDERS[kind].fullmatch(b" ".join(name for name, _ in headers)) is None:
        raise RemoteError(_explain_order(kind, headers), rule="headers")
    people = tuple(_read_values(headers))
    if kind == "tag" and _SIGNATURE.search(message):
        raise RemoteError("the message of a tag contains a signature", rule="object")
    named = headers[0][1].decode()
    if kind == "tag":
        id_, title = named, headers[2][1]
    else:
        id_ = _hash(data, is_sha1=len(named) == _SHA1)
        title = _BLANK.sub(b"", message, count=1).partition(b"\n")[0]
    return Unsigned(
        kind=kind,
        id=id_,
        title=title.decode("utf-8", "surrogateescape")[:_MAX_TITLE],
        people=people,
        digest=hashlib.sha256(data).hexdigest(),
    )


def _read_headers(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(head) or at == 0:
        found = _HEADER.match(head, at)
        if found is None:
            line = head[at:].partition(b"\n")[0]
            raise RemoteError(f"a header cannot be read: {_show(line)}", rule="headers")
        yield found[1], found[2]
        at = found.end()


def _explain_order(kind: Kind, headers: list[tuple[bytes, bytes]]) -> str:
    names = ", ".join(dict.fromkeys(name.decode() for name, _ in headers))
    return f"a {kind} has {_EXPECTED[kind]} in this order, and this one {quote(names, limit=80)}"


def _read_values(headers: list[tuple[bytes, bytes]]) -> Iterator[tuple[Role, str]]:
    """Check each header's value; yields the people. Raises RemoteError."""
    width = len(headers[0][1])
    for name, value in headers:
        role = _ROLES.get(name)
        if role is not None:
            yield role, _read_email(role, value)
        elif not _is_good(name, value, width):
            problem = f"the header {name.decode()} cannot be read: {_show(value)}"
            raise RemoteError(problem, rule="headers")


def _is_good(name: bytes, value: bytes, width: int) -> bool:
    match name:
        case b"tree" | b"parent" | b"object":
            return _ID.fullmatch(value) is not None and len(value) == width
        case b"type":
            return _TYPE.fullmatch(value) is not None
        case b"tag":
            return _TAG_NAME.fullmatch(value) is not None
        case b"encoding":
            return _ENCODING.fullmatch(value) is not None
        case b"mergetag":
            # A tag of somebody else, with its signature, which git copies into the commit.
            return value.startswith(b"object ")
    return False


def _read_email(role: Role, value: bytes) -> str:
    person = _PERSON.fullmatch(value)
    email = person[1].decode("utf-8", "surrogateescape") if person else ""
    if _EMAIL.fullmatch(email) is None:
        problem = f"the {role} has no plain address: {_show(value)}"
        raise RemoteError(problem, rule="emails")
    return email


def _hash(data: bytes, *, is_sha1: bool) -> str:
    """Return the id of a commit, as git computes it."""
    whole = b"commit %d\0" % len(data) + data
    if is_sha1:
        return hashlib.sha1(whole, usedforsecurity=False).hexdigest()
    return hashlib.sha256(whole).hexdigest()


def _show(data: bytes) -> str:
    return quote(data.decode("utf-8", "surrogateescape"), limit=80)


class EmailPattern(Struct, frozen=True):
    """A pattern of `emails`: its text in the profile, and its expression, both in lower case."""

    text: str
    expression: "re.Pattern[str]"

    @classmethod
    def of(cls, text: str) -> "EmailPattern":
        """Compile a text that `is_email_pattern`."""
        return cls(text, compile_pattern(text.lower()))


def is_email_pattern(text: str) -> bool:
    """Whether `text` is a pattern with one @: `*acme.com` would also match notacme.com."""
    return is_pattern(text) and text.count("@") == 1


class SignGrant(Struct, frozen=True, kw_only=True):
    """`[sign]` of one agent.

    `emails` are the addresses of authors, committers and taggers, None for the human's own;
    `authors` are further addresses of authors. `key` is the path of an ssh key on the host,
    absolute or beginning with `~/`, or the fingerprint of an OpenPGP key; None for the human's own.
    """

    commits: bool = True
    tags: bool = True
    emails: tuple[EmailPattern, ...] | None = None
    authors: tuple[EmailPattern, ...] = ()
    key: str | None = None

    @property
    def is_openpgp(self) -> bool:
        """Whether `key` is a fingerprint."""
        return self.key is not None and not self.key.startswith(("/", "~"))

    def signs(self, kind: Kind) -> bool:
        """Whether objects of a kind are signed."""
        return self.commits if kind == "commit" else self.tags


def judge_signing(grant: SignGrant, asked: Unsigned, *, own: str | None) -> None:
    """Judge an object; `own` is the human's address, used without `emails`.

    Raises RemoteError, whose rule is the key of `[sign]`.
    """
    if not grant.signs(asked.kind):
        raise RemoteError(f"this agent's {asked.kind}s are not signed", rule=f"{asked.kind}s")
    # The committer first, who must be in `emails`.
    for role, email in reversed(asked.people):
        small = email.lower()
        if grant.emails is None:
            is_granted = own is not None and small == own.lower()
        else:
            is_granted = _matches(grant.emails, small)
        is_author = role == "author"
        if not is_granted and not (is_author and _matches(grant.authors, small)):
            shown = quote(email, limit=80)
            problem = f"a {asked.kind} with the {role} {shown} is not signed for this agent"
            raise RemoteError(problem, rule="authors" if is_author else "emails")


def _matches(patterns: tuple[EmailPattern, ...], email: str) -> bool:
    return any(each.expression.fullmatch(email) for each in patterns)
