"""Target: what a client sends to have it signed.

Whatever is read as a commit or tag says so by its first bytes, has every address and the title as
they stand in it, no signature, and nothing that a push certificate begins with; its operation is
one line. Nothing is granted where no address is.
"""

from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.signing import SignGrant, judge_signing, read_unsigned
from fuzz.target import BrokenPromiseError, Target, require_one_line

_MAX_LENGTH = 2048
_GRANT = SignGrant(emails=())
_ID = b"1" * 40
_PERSON = b" A U Thor <a@acme.com> 1700000000 +0000\n"


def _check(data: bytes) -> None:
    try:
        asked = read_unsigned(data)
    except RemoteError as error:
        require_one_line(error.problem)
        return
    first = b"tree " if asked.kind == "commit" else b"object "
    head, blank, _ = data.partition(b"\n\n")
    if not data.startswith(first) or not blank or b"\0" in data:
        raise BrokenPromiseError(f"read as a {asked.kind}: {data!a}")
    if b"\ngpgsig" in head:
        raise BrokenPromiseError("an object with a signature would be signed")
    found = [line for line in head.split(b"\n") if line.startswith((b"author", b"committer"))]
    found += [line for line in head.split(b"\n") if line.startswith(b"tagger")]
    if {line.split(b"<")[1].split(b">")[0].decode() for line in found} != {*asked.emails}:
        raise BrokenPromiseError(f"other addresses than {asked.emails!a}")
    if asked.title.encode("utf-8", "surrogateescape") not in data:
        raise BrokenPromiseError(f"nobody sent {asked.title!a}")
    require_one_line(asked.operation.line)
    try:
        judge_signing(_GRANT, asked, own="a@acme.com")
    except RemoteError as error:
        require_one_line(error.problem)
    else:
        raise BrokenPromiseError("an address was granted where none is")


_COMMIT = b"tree " + _ID + b"\nparent " + _ID + b"\nauthor" + _PERSON + b"committer" + _PERSON
_TAG = b"object " + _ID + b"\ntype commit\ntag v1\ntagger" + _PERSON

TARGET = Target(
    check=_check,
    seeds=(
        _COMMIT + b"\nsubject\n",
        _COMMIT + b"encoding latin1\nmergetag object " + _ID + b"\n type commit\n \n x\n\nx",
        _TAG + b"\nmessage\n",
        b"certificate version 0.1\npusher k 1 +0000\nnonce x\n\n" + _ID,
    ),
    words=(
        _ID,
        _PERSON,
        b"tree ",
        b"parent ",
        b"author ",
        b"committer ",
        b"tagger ",
        b"object ",
        b"type commit\n",
        b"tag v",
        b"encoding utf-7\n",
        b"gpgsig ",
        b"gpgsig-sha256 ",
        b"mergetag object ",
        b"certificate version 0.1\n",
        b"-----BEGIN SSH SIGNATURE-----",
        b"\n\n",
        b"\n ",
        b"<b@evil.com>",
        b"\x00",
    ),
    longest=_MAX_LENGTH,
)
