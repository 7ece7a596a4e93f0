"""Target: requests to AWS: the signature in a head, the call that it makes, and signing it anew.

What is read is refused with one line, or signed so that it is verified, and is the same call then.
"""

from airlock_modules.apis import BadHead, ForeignCredential, Head, read_head
from airlock_modules.apis.aws import Call, Keys
from airlock_modules.apis.aws.operations import load_table, read_form
from airlock_modules.apis.aws.signature import (
    find_payload,
    read_call,
    read_signature,
    sign,
    unwrap,
    verify,
)
from fuzz.target import BrokenPromiseError, Target, require_one_line

_MAX_LENGTH = 4096
_NOW = 1_790_000_000.0
_KEYS = Keys("AKIAABCDEFGHIJKLMNOP", "secret", "token")


def _check(data: bytes) -> None:
    host, _, rest = data.partition(b"\n")
    raw, _, form = rest.partition(b"\r\n\r\n")
    try:
        head = read_head(raw + b"\r\n\r\n", host.decode("latin-1"), loose_paths=True)
        _check_head(head, host.decode("latin-1").partition(":")[0], form)
    except (BadHead, ForeignCredential) as refused:
        require_one_line(str(refused))


def _check_head(head: Head, host: str, form: bytes) -> None:
    signature = read_signature(head)
    payload = find_payload(signature) or "0" * 64
    bare = unwrap(head)
    signed = sign(bare, signature, _KEYS, payload, now=_NOW)
    again = Head(bare.method, bare.path, signed.query, signed.headers)
    own = read_signature(again)
    verify(again, own, _KEYS, payload, now=_NOW)
    if (own.service, own.region) != (signature.service, signature.region):
        raise BrokenPromiseError(f"{head!a} is signed for {own!a}")

    def read(each: Head) -> Call:
        has_form = load_table().needs_body(signature.service, each)
        parameters = read_form(each.query, form if has_form else None)
        return read_call(load_table(), each, signature, host, parameters)

    call = read(bare)
    if read(again) != call:
        raise BrokenPromiseError(f"{head!a} is {call!a}, and then {read(again)!a}")


def _make_seeds() -> tuple[bytes, ...]:
    scope = "AWS4-HMAC-SHA256 Credential=AKIAABCDEFGHIJKLMNOP/20260921/eu-west-1/{}/aws4_request, "
    rest = "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
    lines = (
        ("s3", "b-1.s3.eu-west-1.amazonaws.com", "PUT /a%20b?versionId=1", "x-amz-acl: private"),
        ("s3", "s3.eu-west-1.amazonaws.com", "GET /b-1/k?uploads", "x-amz-copy-source: b/k"),
        ("ec2", "ec2.eu-west-1.amazonaws.com", "POST /", "content-type: text/plain"),
        ("sqs", "sqs.eu-west-1.amazonaws.com", "POST /", "x-amz-target: AmazonSQS.ListQueues"),
        ("lambda", "lambda.eu-west-1.amazonaws.com", "GET /2015-03-31/functions", "accept: */*"),
    )
    form = "Action=DescribeRegions&Version=2016-11-15"
    return tuple(
        f"{host}\n{line} HTTP/1.1\r\nhost: {host}\r\nx-amz-date: 20260921T141320Z\r\n{header}\r\n"
        f"authorization: {scope.format(service)}{rest}\r\n\r\n{form}".encode()
        for service, host, line, header in lines
    )


_WORDS = (
    *(b"X-Amz-Signature=", b"X-Amz-Credential=", b"X-Amz-Algorithm=AWS4-HMAC-SHA256", b"&", b"%2F"),
    *(b"X-Amz-SignedHeaders=host", b"X-Amz-Date=", b"X-Amz-Expires=60", b"Action=", b"Version="),
    *(b"x-amz-content-sha256: UNSIGNED-PAYLOAD", b"x-amz-copy-source: ", b"smithy-protocol: "),
    *(b"\r\n", b".dualstack", b"-fips", b"us-east-1", b"?list-type=2", b"/", b";", b"+"),
)

TARGET = Target(check=_check, seeds=_make_seeds(), words=_WORDS, longest=_MAX_LENGTH)
"""Reading what a tool asks of AWS, and asking for it with other keys."""
