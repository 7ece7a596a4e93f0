"""Signatures of version 4, with botocore as the oracle in both directions."""

import datetime as dt
import hashlib
import re
import time
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aws_requests
from airlock_modules.apis import BadHead, ForeignCredential, Head, read_head
from airlock_modules.apis.aws import Keys
from airlock_modules.apis.aws.signature import (
    Signature,
    find_payload,
    read_signature,
    sign,
    unwrap,
    verify,
)

pytestmark = pytest.mark.skipif(
    aws_requests.why_not() is not None, reason=str(aws_requests.why_not())
)
KEYS = Keys(aws_requests.KEY, aws_requests.SECRET)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=20)
HOST = "my-bucket.s3.eu-west-1.amazonaws.com"


def put(key: str = "a/b c", **parameters: Any) -> tuple[bytes, str]:
    """The head of a PutObject as botocore signs it, and its host."""
    client = aws_requests.client("s3")
    parameters = {"Bucket": "my-bucket", "Key": key, "Body": b"x", **parameters}
    raw, host = aws_requests.head_of(aws_requests.request(client, "PutObject", parameters))
    return raw, host


def check(raw: bytes, host: str = HOST, *, now: float | None = None, body: bytes = b"") -> Head:
    """Verify the head as the broker does."""
    head = read_head(raw, host, loose_paths=True)
    signature = read_signature(head)
    payload = find_payload(signature) or hashlib.sha256(body).hexdigest()
    verify(head, signature, KEYS, payload, now=time.time() if now is None else now)
    return head


@given(key=TEXT.filter(lambda text: not {".", ".."} & {*text.split("/")}), value=TEXT)
def test_what_botocore_signs_is_verified(key: str, value: str) -> None:
    """Whatever is in the key, and in the values of headers and parameters."""
    client = aws_requests.client("s3")
    parameters = {"Bucket": "my-bucket", "Key": key, "VersionId": value, "Range": "bytes=0-1"}
    raw, host = aws_requests.head_of(aws_requests.request(client, "GetObject", parameters))
    try:
        head = read_head(raw, host, loose_paths=True)
    except BadHead:
        return  # a key that the strict reader does not take, such as one with a backslash
    signature = read_signature(head)
    verify(head, signature, KEYS, find_payload(signature) or "", now=time.time())


@given(
    name=st.sampled_from(["s3", "execute-api", "lambda"]),
    segments=st.lists(TEXT, max_size=3),
    pairs=st.dictionaries(TEXT, TEXT, max_size=3),
    token=st.sampled_from(["", "token/+="]),
)
def test_what_is_signed_here_is_what_botocore_would_sign(
    name: str, segments: list[str], pairs: dict[str, str], token: str
) -> None:
    """The same signature for the same time, so that AWS takes it as that of a tool."""
    import urllib.parse  # noqa: PLC0415

    from botocore.auth import S3SigV4Auth, SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    # Of dot segments and double slashes botocore makes others; the reader of heads refuses them.
    segments = [each.replace("/", "").strip(".") or "x" for each in segments]
    path = "/" + "/".join(urllib.parse.quote(each, safe="~") for each in segments)
    query = "&".join(
        f"{urllib.parse.quote(key, safe='~')}={urllib.parse.quote(value, safe='~')}"
        for key, value in pairs.items()
    )
    digest = hashlib.sha256(b"").hexdigest()
    headers = [(b"host", b"h.example"), (b"content-type", b"text/plain  x")]
    headers += [(b"x-amz-content-sha256", digest.encode())] if name == "s3" else []
    now = 1_790_000_000.0
    scope = Signature("", "", "eu-west-1", name, (), "", "", "", None)
    ours = sign(
        Head("GET", path, query, tuple(headers)),
        scope,
        Keys("AKIA" + "A" * 16, "s", token),
        digest,
        now=now,
    )

    request = AWSRequest("GET", f"https://h.example{path}" + (f"?{query}" if query else ""))
    request.headers["content-type"] = "text/plain  x"
    kind = S3SigV4Auth if name == "s3" else SigV4Auth
    day = dt.datetime.fromtimestamp(now, dt.UTC)
    credentials = Credentials("AKIA" + "A" * 16, "s", token or None)
    with mock.patch("botocore.auth.get_current_datetime", return_value=day.replace(tzinfo=None)):
        kind(credentials, name, "eu-west-1").add_auth(request)
    theirs = request.headers["Authorization"]
    sent = dict(ours.headers)[b"authorization"].decode()
    assert sent.rpartition("=")[2] == theirs.rpartition("=")[2], (sent, theirs)


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (rb"^PUT ", b"DELETE "),
        (rb"/a/b%20c ", b"/a/other "),
        (rb"/a/b%20c ", b"/a/b%20c?acl "),
        (rb"Signature=[0-9a-f]", b"Signature=g"),
        (rb"Signature=[0-9a-f]{64}", b"Signature=" + b"0" * 64),
        (rb"(?i)\r\nx-amz-date: \d{8}", b"\r\nx-amz-date: 20200101"),
        (rb"(?i)\r\nx-amz-content-sha256: [^\r]*", b"\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD"),
        (rb"\r\n\r\n$", b"\r\nx-amz-acl: public-read\r\n\r\n"),
        (rb"\r\n\r\n$", b"\r\nx-amz-copy-source: b/k\r\n\r\n"),
        (rb"/eu-west-1/s3/", b"/eu-central-1/s3/"),
        (rb"host;", b""),
        (rb"SignedHeaders=", b"SignedHeaders=zzz;"),
        (rb"AWS4-HMAC-SHA256 ", b"AWS4-ECDSA-P256-SHA256 "),
        (rb"/\d{8}/eu-west-1", b"/20200101/eu-west-1"),
        (rb"(?i)\r\nauthorization: [^\r]*", b""),
        (rb"(?i)\r\nauthorization: [^\r]*", b"\r\nauthorization: Bearer ghp_1"),
        (rb" HTTP", b"?X-Amz-Signature=" + b"0" * 64 + b" HTTP"),
    ],
)
def test_a_change_of_what_was_signed_is_noticed(pattern: bytes, replacement: bytes) -> None:
    """Of the method, path, query, headers, date, scope, and of the signature itself."""
    raw, host = put()
    check(raw, host)
    changed, count = re.subn(pattern, replacement, raw, count=1)
    assert count == 1
    with pytest.raises((BadHead, ForeignCredential)):
        check(changed, host)


def test_a_foreign_key_is_refused_with_a_right_signature() -> None:
    """With a key of its own an agent could carry data into an account of its own."""
    import botocore.session  # noqa: PLC0415

    own = botocore.session.Session()
    own.set_credentials("AKIAFOREIGNFOREIGN22", "secret")
    client = own.create_client("sts", region_name="eu-west-1")
    request = aws_requests.request(client, "GetCallerIdentity", {})
    raw, host = aws_requests.head_of(request)
    with pytest.raises(ForeignCredential, match="access key"):
        check(raw, host, body=aws_requests.body_of(request))


def test_a_signature_is_good_for_fifteen_minutes() -> None:
    """Before and after its date."""
    raw, host = put()
    check(raw, host, now=time.time() + 800)
    for seconds in (-1000, 1000):
        with pytest.raises(BadHead, match="too old or too new"):
            check(raw, host, now=time.time() + seconds)


def presigned(**parameters: Any) -> tuple[bytes, str]:
    from urllib.parse import urlsplit  # noqa: PLC0415

    client = aws_requests.client("s3", signature="s3v4")
    values = {"Bucket": "my-bucket", "Key": "a b", **parameters}
    url = urlsplit(client.generate_presigned_url("get_object", Params=values, ExpiresIn=60))
    return f"GET {url.path}?{url.query} HTTP/1.1\r\nhost: {url.netloc}\r\n\r\n".encode(), url.netloc


def test_a_presigned_url_is_verified_and_signed_anew_in_headers() -> None:
    """The real key's id and signature are in no URL; it ends as it says."""
    raw, host = presigned(VersionId="7")
    head = check(raw, host)
    signature = read_signature(head)
    sent = sign(
        unwrap(head), signature, Keys("AKIA" + "R" * 16, "real", "t"), "UNSIGNED-PAYLOAD", now=1e9
    )
    assert sent.query == "versionId=7"
    names = dict(sent.headers)
    assert names[b"x-amz-security-token"] == b"t"
    assert names[b"x-amz-content-sha256"] == b"UNSIGNED-PAYLOAD"
    assert b"SignedHeaders=host;x-amz-content-sha256;x-amz-date;" in names[b"authorization"]
    with pytest.raises(BadHead, match="too old"):
        check(raw, host, now=time.time() + 61)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"X-Amz-Expires=60", b"X-Amz-Expires=6000"),
        lambda raw: raw.replace(b" HTTP", b"&x-amz-acl=public-read HTTP"),
        lambda raw: raw.replace(b" HTTP", b"&versionId=2 HTTP"),
        lambda raw: raw.replace(b"\r\n\r\n", b"\r\nx-amz-acl: public-read\r\n\r\n"),
        lambda raw: raw.replace(b" HTTP", b"&X-Amz-Expires=1 HTTP"),
    ],
)
def test_a_presigned_url_is_taken_as_it_was_made(change: Any) -> None:
    """S3 takes headers and parameters beside it, which are not signed."""
    raw, host = presigned()
    assert change(raw) != raw
    with pytest.raises(BadHead):
        check(change(raw), host)


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "chunked encoding off"),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "chunked encoding off"),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "chunked encoding off"),
        ("anything", "neither a hash"),
    ],
)
def test_a_body_that_is_bound_in_another_way_is_refused_with_advice(
    payload: str, problem: str
) -> None:
    """Signed chunks would have to be signed anew one by one."""
    signature = Signature("", "", "eu-west-1", "s3", (), "", "", "", payload)
    with pytest.raises(BadHead, match=problem):
        find_payload(signature)
