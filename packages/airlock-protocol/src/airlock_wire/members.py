"""Members of a JSON object, read one by one, so that a refusal can name the one that is wrong.

A path such as `params.tty.rows` says where a member is; its last part is the member's name. Every
function raises Fault where a member is not what it should be.
"""

import msgspec
from msgspec import Raw

from airlock_wire.error_object import ErrorObject
from airlock_wire.text import decode_base64

Members = dict[str, Raw]


class Fault(Exception):
    """What is wrong with a message, as the error that says so."""

    def __init__(self, error: ErrorObject) -> None:
        super().__init__(error.message)
        self.error = error


def parse(text: str, *, subject: str) -> bytes:
    """The JSON value in `text`, without white space around it; `subject` is what faults call it.

    Raises RecursionError for what is nested too deep.
    """
    try:
        return bytes(msgspec.json.decode(text, type=Raw))
    except ValueError as error:
        raise Fault(ErrorObject.parse_error(f"{subject} is not JSON: {error}")) from None


def open_object(raw: Raw | bytes) -> Members:
    """The members of an object; where a name occurs twice, the last one."""
    return msgspec.json.decode(raw, type=Members)


def read_object(members: Members, path: str) -> Members:
    """A member that must be an object."""
    raw = find(members, path)
    if not bytes(raw).startswith(b"{"):
        raise wrong(path, "must be an object")
    return open_object(raw)


def read_list(members: Members, path: str) -> list[Raw]:
    """A member that must be a list; its items are not looked into."""
    raw = find(members, path)
    if not bytes(raw).startswith(b"["):
        raise wrong(path, "must be a list")
    return msgspec.json.decode(raw, type=list[Raw])


def read_string(members: Members, path: str) -> str:
    """A member that must be a string without NUL."""
    return to_string(find(members, path), path)


def read_boolean(members: Members, path: str) -> bool:
    """A member that must be true or false."""
    raw = bytes(find(members, path))
    if raw not in {b"true", b"false"}:
        raise wrong(path, "must be true or false")
    return raw == b"true"


def read_integer(members: Members, path: str, *, most: int) -> int:
    """A member that must be an integer from 0 to `most`."""
    try:
        value = msgspec.json.decode(find(members, path), type=int)
    except ValueError:
        value = -1
    if not 0 <= value <= most:
        raise wrong(path, f"must be an integer from 0 to {most}")
    return value


def find(members: Members, path: str) -> Raw:
    """A member that must be there."""
    raw = members.get(_last(path))
    if raw is None:
        raise wrong(path, "is missing")
    return raw


def is_given(members: Members, path: str) -> bool:
    """Whether an optional member is there and not null, which counts as absent."""
    raw = members.get(_last(path))
    return raw is not None and bytes(raw) != b"null"


def to_string(raw: Raw, path: str) -> str:
    """The string in `raw`, which must hold no NUL."""
    value = string_of(raw)
    if value is None:
        raise wrong(path, "must be a string")
    return _without_nul(value, path)


def to_text(raw: Raw, path: str) -> str:
    """The text in `raw`, a string or `{"base64": ...}`, in the form of `os.fsdecode`."""
    text = string_of(raw)
    if text is not None:
        return _without_nul(text, path)
    encoded = string_of(open_object(raw).get("base64")) if bytes(raw).startswith(b"{") else None
    if encoded is None:
        raise wrong(path, 'must be a string, or {"base64": ...} of one')
    try:
        return _without_nul(decode_base64(encoded), path)
    except ValueError as error:
        raise wrong(path, f"is {error}") from None


def string_of(raw: Raw | None) -> str | None:
    """The string that `raw` holds; None where it holds something else."""
    if raw is None or not bytes(raw).startswith(b'"'):
        return None
    return msgspec.json.decode(raw, type=str)


def wrong(path: str, problem: str) -> Fault:
    """The fault of one member."""
    return Fault(ErrorObject.invalid_params(f"{path} {problem}", path=path))


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _without_nul(text: str, path: str) -> str:
    if "\0" in text:
        raise wrong(path, "holds a NUL, which no argument, path or variable can")
    return text
