"""What the metadata of an upload may say."""

import json

import pytest

from airlock_modules.apis import BadHead, Head
from airlock_modules.apis.uploads import Seal, check_metadata, has_metadata

NAMES = ("name", "bucket", "metadata")
PATH = "/upload/storage/v1/b/mine/o"
GOOD, EVIL = (json.dumps(each) for each in ({"name": "a"}, {"name": "a", "acl": [{}]}))
PART = "Content-Type: application/json; charset=UTF-8"


def check(body: str, kind: str, upload: str, *, size: int = 7) -> None:
    """Check the metadata of a body that comes in pieces of some size."""
    head = Head("POST", PATH, f"uploadType={upload}", ((b"content-type", kind.encode()),))
    assert has_metadata(head)
    data = body.encode()
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    check_metadata(head, pieces, NAMES)


def write_parts(metadata: str, *, end: str = "\r\n", header: str = PART, before: str = "") -> str:
    """The body of a multipart upload."""
    media = f"Content-Type: text/plain{end}{end}text"
    first = f"{before}--=B={end}{header}{end}{end}{metadata}{end}"
    return f"{first}--=B={end}{media}{end}--=B=--{end}"


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_what_clients_send_passes(end: str, size: int) -> None:
    """The libraries of Google for Python, Go and Java, and gcloud, which ends lines by LF."""
    metadata = {"name": "a", "bucket": "mine", "metadata": {"acl": "x"}}
    header = f"{PART}{end}MIME-Version: 1.0{end}Content-Transfer-Encoding: 7bit"
    body = write_parts(json.dumps(metadata), end=end, header=header)
    check(body, 'multipart/related; boundary="=B="', "multipart", size=size)
    check(body, "multipart/related; boundary==B=", "multipart", size=size)
    check(json.dumps(metadata), "application/json; charset=UTF-8", "resumable", size=size)
    check("", "", "resumable")


@pytest.mark.parametrize(
    "body",
    [
        write_parts(EVIL),
        write_parts('{"name": "a", "name": "b"}'),
        write_parts('{"bucket": "evil"}'),
        write_parts("[]"),
        write_parts(f"{GOOD} {EVIL}"),
        write_parts("{}", before="\r\n"),
        write_parts("{}", before=f"--=B=\n{PART}\n\n{EVIL}\n"),
        write_parts(GOOD, header=f"{PART}\r\n{PART}"),
        write_parts(GOOD, header="Content-Type: text/json"),
        write_parts(GOOD, header=f"{PART}\r\nContent-Transfer-Encoding: base64"),
        write_parts(GOOD, header=f"{PART}\r\nX-Other: a"),
        write_parts(GOOD, header=f"{PART}\n\n{EVIL}"),
        write_parts(f"{GOOD}\r", end="\n"),
        write_parts(f'{{"name": "{"x" * 70_000}"}}'),
        write_parts(GOOD).replace("text/plain", f"application/json\r\n\r\n{EVIL}\r\n--=B="),
        write_parts(GOOD).removesuffix("--=B=--\r\n"),
        "",
    ],
)
def test_metadata_with_another_name_or_reading_is_refused(body: str) -> None:
    """It could publish the object; with the names not looked at, the first would pass."""
    with pytest.raises(BadHead):
        check(body, "multipart/related; boundary==B=", "multipart")


@pytest.mark.parametrize(
    ("body", "kind", "upload"),
    [
        (EVIL, "application/json", "resumable"),
        (GOOD, "text/plain", "resumable"),
        (GOOD, "application/json; charset=utf-16", "resumable"),
        (GOOD, "multipart/related; boundary==B=", "resumable"),
        (write_parts(GOOD), "multipart/mixed; boundary==B=", "multipart"),
        (write_parts(GOOD), "multipart/related; boundary==B=; boundary=C", "multipart"),
        (write_parts(GOOD), "application/json", "multipart"),
    ],
)
def test_a_body_is_of_the_kind_that_the_query_names(body: str, kind: str, upload: str) -> None:
    """Else a server might read it as the other one."""
    with pytest.raises(BadHead):
        check(body, kind, upload)


@pytest.mark.parametrize("query", ["", "uploadType=a", "uploadType=media&uploadType=multipart"])
def test_an_upload_is_of_one_kind(query: str) -> None:
    """What goes on with one, or is media alone, has no metadata; nor has what is no upload."""
    with pytest.raises(BadHead):
        has_metadata(Head("POST", PATH, query, ()))
    with pytest.raises(BadHead):
        has_metadata(Head("PUT", PATH, "uploadType=multipart&upload_id=1", ()))
    assert not has_metadata(Head("PUT", PATH, "uploadType=resumable&upload_id=1", ()))
    assert not has_metadata(Head("POST", PATH, "uploadType=media", ()))
    assert not has_metadata(Head("GET", PATH, query, ()))
    assert not has_metadata(Head("POST", "/storage/v1/b/mine/o", query, ()))


@pytest.mark.parametrize("location", [b"//[", b"https://[::1/?upload_id=1"])
def test_a_location_that_is_no_url_is_passed_as_it_is(location: bytes) -> None:
    """An API may be asked to redirect there; nothing is sealed by that."""
    headers = [(b"location", location)]
    assert Seal(bytes(32)).close(headers, "storage.example.com") == headers


def test_metadata_alone_is_read_no_further_than_it_may_be_long() -> None:
    """The rest stays where it is: an upload may be much larger than memory is cheap."""
    head = Head("POST", PATH, "uploadType=resumable", ((b"content-type", b"application/json"),))
    pieces = iter([b" " * 40_000] * 5)
    with pytest.raises(BadHead, match="longer than 64 KiB"):
        check_metadata(head, pieces, NAMES)
    assert len(list(pieces)) == 3
