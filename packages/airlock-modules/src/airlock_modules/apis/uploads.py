"""Uploads to Google: checking their metadata, and binding resumable uploads to an agent.

The body of `uploadType=multipart` or `resumable` begins with JSON about the object, such as an
`acl` that publishes it. A resumable upload is answered with a URL with an `upload_id`: whoever has
it can send the object, wherever it was begun. So an agent gets a sealed id, and no other passes.
"""

import hmac
import json
import re
import urllib.parse
from collections.abc import Iterable

from msgspec import Struct

from airlock_modules.apis.graphql import refuse_twins
from airlock_modules.apis.head import BadHead, ForeignCredential, Head, read_query, reduce_name
from airlock_wire.text import quote

Headers = list[tuple[bytes, bytes]]

MAX_METADATA = 64 * 1024
"""Bytes of an upload within which its metadata must end."""
_PREFIXES = ("/upload/", "/resumable/")
# Parameters that name an upload, reduced to letters and digits.
_UPLOADS = frozenset({"uploadid"})
_JSON = re.compile(r"application/json(?:[ \t]*;[ \t]*charset=\"?utf-8\"?)?", re.IGNORECASE)
_RELATED = re.compile(
    r"multipart/related[ \t]*;[ \t]*boundary=(\"?)([0-9A-Za-z'()+_,./:=?-]{1,70})\1", re.IGNORECASE
)
# Headers of the metadata part. All line ends must be the same as the first.
_HEADER = re.compile(
    r"(content-type|mime-version|content-transfer-encoding(?=:[ \t]*(?:binary|[78]bit)$))"
    r":[ \t]*([0-9A-Za-z/.;=\" _-]{1,100})",
    re.IGNORECASE,
)
_ENDS = (b"\r\n", b"\n")


def names_upload(name: str) -> bool:
    """Whether a query parameter carries an upload id."""
    return reduce_name(name) in _UPLOADS


def has_metadata(head: Head) -> bool:
    """Whether a request's body begins with metadata. Raises BadHead if that is ambiguous."""
    if head.method not in ("POST", "PUT", "PATCH") or not head.path.startswith(_PREFIXES):
        return False
    query = read_query(head.query)
    kinds = [value for name, value in query if reduce_name(name) == "uploadtype"]
    if any(names_upload(name) for name, _ in query):
        if kinds not in ([], ["resumable"]):
            raise BadHead("an upload_id beside another uploadType than resumable")
        return False
    if kinds not in (["media"], ["multipart"], ["resumable"]):
        raise BadHead("an upload without one uploadType: media, multipart or resumable")
    return kinds != ["media"]


def check_metadata(head: Head, pieces: Iterable[bytes], names: Iterable[str]) -> None:
    """Raise BadHead unless the metadata of an upload has only the members `names`.

    `pieces` are the chunks of its body.
    """
    if head.get("content-encoding"):
        raise BadHead("the metadata of an upload is compressed")
    kind = head.get("content-type") or ""
    related = _RELATED.fullmatch(kind)
    is_multipart = ("uploadType", "multipart") in read_query(head.query)
    if is_multipart != (related is not None):
        raise BadHead("the content-type of an upload is not that of its uploadType")
    if related is not None:
        body = _read_part(pieces, b"--" + related[2].encode())
    else:
        body = b""
        for piece in pieces:
            body += piece
            if len(body) > MAX_METADATA:
                raise BadHead("the metadata of an upload is longer than 64 KiB")
        if not body:
            return
        if not _JSON.fullmatch(kind):
            raise BadHead("the metadata of an upload is not application/json")
    try:
        metadata = json.loads(body.decode(), object_pairs_hook=refuse_twins)
    except (ValueError, RecursionError):
        raise BadHead("the metadata of an upload is no JSON") from None
    if not isinstance(metadata, dict):
        raise BadHead("the metadata of an upload is no JSON object")
    for name in metadata.keys() - set(names):
        raise BadHead(f"the metadata of an upload has {quote(name, limit=80)}, which is not listed")
    if "bucket" in metadata and f"/b/{metadata['bucket']}/" not in head.path:
        raise BadHead("the metadata of an upload names another bucket")


def _read_part(pieces: Iterable[bytes], boundary: bytes) -> bytes:
    """Return the content of the first of two parts of a body. Raises BadHead."""
    damaged = BadHead("an upload is no two parts that can be read in one way only")
    begin, tail, count = b"", b"", 0
    for piece in pieces:
        begin += piece[: MAX_METADATA - len(begin)]
        seen = tail + piece
        count += seen.count(boundary)
        tail = seen[1 - len(boundary) :]
    end = next((each for each in _ENDS if begin.startswith(boundary + each)), None)
    # One before each part and one at the end. With more, servers may differ in the first part.
    if end is None or count != 3:
        raise damaged
    part, found, _ = begin[len(boundary + end) :].partition(end + boundary + end)
    head, is_ended, content = part.partition(end + end)
    headers = [_HEADER.fullmatch(line) for line in head.decode("latin-1").split(end.decode())]
    kinds = [each[2].strip() for each in headers if each and each[1].lower() == "content-type"]
    if not (found and is_ended) or None in headers or boundary in part or content[-1:] == b"\r":
        raise damaged
    if len(kinds) != 1 or not _JSON.fullmatch(kinds[0]):
        raise damaged
    return content


class Seal(Struct, frozen=True):
    """Seals the upload ids of one agent at one API with their `key`."""

    key: bytes

    def open(self, head: Head, authority: str) -> Head:
        """Return the head with unsealed ids. Raises ForeignCredential for a foreign upload."""
        if not any(names_upload(name) for name, _ in read_query(head.query)):
            return head
        pairs = [self._open(pair, authority, head.path) for pair in head.query.split("&")]
        return Head(head.method, head.path, "&".join(pairs), head.headers)

    def close(self, headers: Iterable[tuple[bytes, bytes]], authority: str) -> Headers:
        """Return an answer's headers with sealed ids in Location."""
        return [
            (name, self._close(value, authority) if name == b"location" else value)
            for name, value in headers
        ]

    def _open(self, pair: str, authority: str, path: str) -> str:
        if not any(names_upload(name) for name, _ in read_query(pair)):
            return pair
        name, _, value = pair.partition("=")
        sent, dot, seal = urllib.parse.unquote(value).rpartition(".")
        wanted = self._make(authority, path, sent)
        if ";" in pair or not dot or not hmac.compare_digest(seal.encode(), wanted.encode()):
            raise ForeignCredential(
                f"the query parameter {name} names an upload that this agent has not begun here"
            )
        return f"{name}={urllib.parse.quote(sent, safe='')}"

    def _close(self, location: bytes, authority: str) -> bytes:
        try:
            url = urllib.parse.urlsplit(location.decode("latin-1"))
        except ValueError:
            # An API may be asked to redirect to anything. What is no URL names no upload.
            return location
        if url.netloc and url.netloc.lower().removesuffix(":443") != authority:
            return location

        def seal(pair: str) -> str:
            name, _, value = pair.partition("=")
            if not names_upload(urllib.parse.unquote_plus(name)):
                return pair
            return f"{pair}.{self._make(authority, url.path, urllib.parse.unquote(value))}"

        query = "&".join(map(seal, url.query.split("&")))
        return (
            location if query == url.query else url._replace(query=query).geturl().encode("latin-1")
        )

    def _make(self, authority: str, path: str, value: str) -> str:
        text = "\0".join((authority, urllib.parse.unquote(path), value))
        return hmac.digest(self.key, text.encode(), "sha256").hex()[:40]
