"""Signature Version 4: verify a tool's signature by its placeholder, sign with the real keys.

Everything that is judged must be signed: the host, every `x-amz-` header, the whole query. Bodies
are bound by their hash, which the service checks, or declared unsigned, which S3 accepts over TLS.
(Signature Version 4 signing process, in the AWS General Reference.)

`read_call` turns a verified request into a call.
"""

import hashlib
import hmac
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from airlock_modules.apis.aws.grant import Call, Grant, Keys
from airlock_modules.apis.aws.operations import Host, Table, split_query
from airlock_modules.apis.head import BadHead, ForeignCredential, Head
from airlock_wire.text import quote

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_SKEW_S = 15 * 60
_MAX_VALIDITY_S = 7 * 24 * 3600
_CREDENTIAL = r"([A-Z0-9]{16,128})/([0-9]{8})/([a-z0-9-]{1,40})/([A-Za-z0-9-]{1,60})/aws4_request"
_AUTHORIZATION = re.compile(
    ALGORITHM + r" Credential=" + _CREDENTIAL + r",[ \t]*SignedHeaders=([a-z0-9;.-]{1,4000}),[ \t]*"
    r"Signature=([0-9a-f]{64})"
)
_PRESIGNED = frozenset(
    {
        *("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature"),
        *("X-Amz-SignedHeaders", "X-Amz-Security-Token", "X-Amz-Content-Sha256"),
    }
)
_HASH = re.compile("[0-9a-f]{64}")
_REPLACED = frozenset({b"authorization", b"date", b"x-amz-date", b"x-amz-security-token"})


class Signature(Struct, frozen=True):
    """The fields of a request's signature. `token` is "" without a session."""

    key: str
    day: str
    region: str
    service: str
    headers: tuple[str, ...]
    value: str
    date: str
    token: str
    payload: str | None
    expires_s: int | None = None

    @property
    def is_presigned(self) -> bool:
        """Whether the signature is in the URL."""
        return self.expires_s is not None

    @property
    def scope(self) -> str:
        """The credential scope: day, region, service, and the fixed suffix."""
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


class Signed(Struct, frozen=True):
    """The signed request to forward: its query, and all headers in lower case."""

    query: str
    headers: tuple[tuple[bytes, bytes], ...]


def read_signature(head: Head) -> Signature:
    """Parse a request's signature. Raises BadHead for none, two, or another kind."""
    query = [*split_query(head.query)]
    named = {name for name, _ in query if name.lower().startswith("x-amz-")}
    authorization = head.get("authorization")
    if authorization is None:
        return _read_presigned(query, named, head)
    if named & _PRESIGNED:
        raise BadHead("the request is signed twice, in its URL and in a header")
    match = _AUTHORIZATION.fullmatch(authorization)
    if match is None:
        raise BadHead(_explain(authorization))
    key, day, region, service, signed, value = match.groups()
    payload = head.get("x-amz-content-sha256")
    token = head.get("x-amz-security-token") or ""
    date = head.get("x-amz-date") or ""
    names = tuple(signed.split(";"))
    return Signature(key, day, region, service, names, value, date, token, payload)


def _read_presigned(query: Sequence[tuple[str, str]], named: set[str], head: Head) -> Signature:
    values = dict(query)
    if "X-Amz-Signature" not in values:
        raise BadHead("it is not signed: give the tool the access key of its environment")
    if not named <= _PRESIGNED or len({*values}) != len(query):
        raise BadHead("the presigned URL has a parameter twice, or one that is not supported")
    if head.get("x-amz-security-token") or head.get("x-amz-date"):
        raise BadHead("the presigned URL comes with headers of another signature")
    match = re.fullmatch(_CREDENTIAL, values.get("X-Amz-Credential", ""))
    expires, value = values.get("X-Amz-Expires", ""), values["X-Amz-Signature"]
    if values.get("X-Amz-Algorithm") != ALGORITHM:
        raise BadHead(_explain(values.get("X-Amz-Algorithm", "")))
    if match is None or not re.fullmatch("[0-9]{1,6}", expires) or not _HASH.fullmatch(value):
        raise BadHead("the presigned URL cannot be read")
    signed = tuple(values.get("X-Amz-SignedHeaders", "").split(";"))
    token, date = values.get("X-Amz-Security-Token", ""), values.get("X-Amz-Date", "")
    payload = values.get("X-Amz-Content-Sha256") or head.get("x-amz-content-sha256")
    key, day, region, service = match.groups()
    return Signature(key, day, region, service, signed, value, date, token, payload, int(expires))


def _explain(text: str) -> str:
    if "ECDSA" in text:
        return "it is signed by version 4A, which is not supported: use an endpoint of one region"
    if text.startswith("AWS ") or "Bearer" in text:
        return "the request has another credential than a signature of version 4"
    return "the Authorization header is no signature of version 4"


def find_payload(signature: Signature) -> str | None:
    """Return the hash of the body or the word for unsigned; None if the body must be hashed.

    Raises BadHead for an unsupported kind.
    """
    payload = signature.payload
    if payload is None:
        return UNSIGNED if signature.is_presigned and signature.service == "s3" else None
    if payload.startswith("STREAMING-") and payload != STREAMED:
        hint = "turn chunked encoding off (in Java chunkedEncodingEnabled(false))"
        raise BadHead(f"its body is in signed chunks, which are not supported: {hint}")
    is_unsigned = payload in (UNSIGNED, STREAMED)
    if not is_unsigned and not _HASH.fullmatch(payload):
        raise BadHead("x-amz-content-sha256 is neither a hash nor UNSIGNED-PAYLOAD")
    return payload


def verify(head: Head, signature: Signature, keys: Keys, payload: str, *, now: float) -> None:
    """Verify that `keys` signed this head and `payload`, and that the signature is valid at `now`.

    Raises ForeignCredential for another key, BadHead for a signature that is wrong, expired or
    covers too little.
    """
    if not hmac.compare_digest(signature.key.encode(), keys.id.encode()):
        raise ForeignCredential("its access key is not the placeholder of this agent")
    if not hmac.compare_digest(signature.token.encode(), keys.token.encode()):
        raise ForeignCredential("its session token is not the placeholder of this agent")
    _check_headers(head, signature)
    _check_date(signature, now)
    query = split_query(head.query)
    pairs = [(name, value) for name, value in query if name != "X-Amz-Signature"]
    text = _canonical(head, pairs, head.headers, signature.headers, payload, signature.service)
    if not hmac.compare_digest(_sign(text, signature.date, signature.scope, keys), signature.value):
        raise BadHead("the signature is not made with the placeholder of this agent")


def _check_headers(head: Head, signature: Signature) -> None:
    signed = signature.headers
    if list(signed) != sorted({*signed}) or "host" not in signed:
        raise BadHead("the signed headers are out of order, or without host")
    present = {name.decode() for name, _ in head.headers}
    if not present.issuperset(signed):
        raise BadHead("a header that is signed is missing")
    for name in sorted(present.difference(signed)):
        if name.startswith("x-amz-") and name != "x-amz-te":
            raise BadHead(f"the header {name} is not signed")


def _check_date(signature: Signature, now: float) -> None:
    try:
        date = datetime.strptime(signature.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise BadHead("the date of the signature cannot be read") from None
    if signature.date[:8] != signature.day:
        raise BadHead("the signature is of another day than its date")
    limit = _SKEW_S if signature.expires_s is None else signature.expires_s
    if date > now + _SKEW_S or now > date + limit or limit > _MAX_VALIDITY_S:
        raise BadHead("the signature is too old or too new: compare container's and host's clock")


def unwrap(head: Head) -> Head:
    """Return the request without the signature parameters of its URL."""
    pairs = [(name, value) for name, value in split_query(head.query) if name not in _PRESIGNED]
    return Head(head.method, head.path, _join(pairs), head.headers)


def sign(head: Head, signature: Signature, keys: Keys, payload: str, *, now: float) -> Signed:
    """Sign an unwrapped head by headers, for the region and service of `signature`."""
    date = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = [(name, value) for name, value in head.headers if name not in _REPLACED]
    headers.append((b"x-amz-date", date.encode()))
    if keys.token:
        headers.append((b"x-amz-security-token", keys.token.encode()))
    if signature.service == "s3" and head.get("x-amz-content-sha256") is None:
        headers.append((b"x-amz-content-sha256", payload.encode()))
    names = {name.decode() for name, _ in headers}
    signed = sorted(each for each in names if each.startswith("x-amz-") or each in _ALWAYS)
    pairs = [*split_query(head.query)]
    scope = f"{date[:8]}/{signature.region}/{signature.service}/aws4_request"
    text = _canonical(head, pairs, headers, signed, payload, signature.service)
    value = _sign(text, date, scope, keys)
    fields = f"SignedHeaders={';'.join(signed)}, Signature={value}"
    authorization = f"{ALGORITHM} Credential={keys.id}/{scope}, {fields}"
    headers.append((b"authorization", authorization.encode()))
    return Signed(_join(pairs), tuple(headers))


_ALWAYS = frozenset({"host", "content-type", "content-md5"})


def _join(pairs: Sequence[tuple[str, str]]) -> str:
    return "&".join(f"{_escape(name)}={_escape(value)}" for name, value in pairs)


def _escape(text: str, safe: str = "") -> str:
    return urllib.parse.quote(text, safe=f"-_.~{safe}")


def _canonical(
    head: Head,
    query: Sequence[tuple[str, str]],
    headers: Sequence[tuple[bytes, bytes]],
    signed: Sequence[str],
    payload: str,
    service: str,
) -> str:
    # S3 signs the path escaped once; all others escape it again.
    path = urllib.parse.unquote(head.path) if service == "s3" else head.path
    pairs = sorted((_escape(name), _escape(value)) for name, value in query)
    values: dict[str, list[str]] = {}
    for name, value in headers:
        text = " ".join(value.decode("latin-1").split(" ")).strip()
        values.setdefault(name.decode(), []).append(re.sub(" +", " ", text))
    lines = "".join(f"{name}:{','.join(values[name])}\n" for name in signed)
    joined = "&".join(f"{name}={value}" for name, value in pairs)
    return f"{head.method}\n{_escape(path, '/')}\n{joined}\n{lines}\n{';'.join(signed)}\n{payload}"


def _sign(canonical: str, date: str, scope: str, keys: Keys) -> str:
    digest = hashlib.sha256(canonical.encode("latin-1", "surrogateescape")).hexdigest()
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, f"{ALGORITHM}\n{date}\n{scope}\n{digest}".encode(), "sha256").hex()


_HARMLESS_ACLS = frozenset({"private", "bucket-owner-read", "bucket-owner-full-control"})


def read_call(
    table: Table,
    head: Head,
    signature: Signature,
    host: str,
    form: Mapping[str, str],
    *,
    grant: Grant | None = None,
) -> Call:
    """Return the call of an unwrapped head. Raises BadHead for an unknown service or operation.

    `form` has its parameters in the protocol `query`; `host` is the connection's, without a port.
    A host that is elsewhere by `grant` is an S3-compatible service's.
    """
    places = table.find_host(signature.service, host, signature.region)
    if grant is not None and grant.is_elsewhere(host):
        before = host.removesuffix(grant.endpoint or "")
        other = Host("s3", signature.region, False, before, "s3")
        places = (other,) if signature.service == "s3" else ()
    if not places:
        signed_for = f"{signature.service} in {signature.region}"
        raise BadHead(f"{host} is no endpoint of {signed_for}, which the signature names")
    is_s3 = places[0].service == "s3"
    if not is_s3 and ("//" in head.path or ";" in head.path):
        raise BadHead("an empty segment or a semicolon in the path")
    before = places[0].before.removesuffix(".") if is_s3 else ""
    path = head.path if not before else f"/{before}{'' if head.path == '/' else head.path}"
    operations = table.find(places, head, path, form)
    if not operations:
        named = head.get("x-amz-target") or form.get("Action") or f"{head.method} {head.path}"
        named = quote(named, limit=120)
        raise BadHead(f"{signature.service} has no operation {named} that is known here")
    assumes = any(each.action == "sts:AssumeRole" for each in operations)
    call = Call(
        operations=operations,
        region=signature.region,
        is_global=any(each.is_global for each in places),
        role=form.get("RoleArn", "") if assumes else None,
    )
    return _add_bucket(call, head, path) if is_s3 else call


def _add_bucket(call: Call, head: Head, path: str) -> Call:
    # Split before decoding escapes: an escaped slash would turn a bucket into an object.
    bucket, _, key = path[1:].partition("/")
    key = urllib.parse.unquote(key)
    if bucket and not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", bucket):
        raise BadHead(f"{quote(bucket, limit=80)} is no name of a bucket")
    source = head.get("x-amz-copy-source") or head.get("x-amz-rename-source")
    also = []
    if source is not None:
        source = _read_source(source)
        also.append("s3:GetObject")
    if any(name == "versionId" for name, _ in split_query(head.query)):
        deletes = any(each.action == "s3:DeleteObject" for each in call.operations)
        also += ["s3:DeleteObjectVersion"] if deletes else []
    on = "Object" if key else "Bucket"
    for name, value in ((name.decode(), value.decode("latin-1")) for name, value in head.headers):
        if (name == "x-amz-acl" and value not in _HARMLESS_ACLS) or name.startswith("x-amz-grant-"):
            also.append(f"s3:Put{on}Acl")
        elif name == "x-amz-website-redirect-location":
            also.append("s3:PutBucketWebsite")
        elif name == "x-amz-tagging":
            also.append("s3:PutObjectTagging")
        elif name == "x-amz-object-lock-legal-hold":
            also.append("s3:PutObjectLegalHold")
        elif name.startswith("x-amz-object-lock-"):
            also.append("s3:PutObjectRetention")
        elif name.startswith("x-amz-bypass-"):
            also.append("s3:BypassGovernanceRetention")
    return Call(
        operations=call.operations,
        region=call.region,
        is_global=call.is_global,
        bucket=bucket or None,
        key=key,
        source=source,
        also=tuple(dict.fromkeys(also)),
    )


def _read_source(text: str) -> str:
    """Parse the BUCKET/KEY of a copy. Raises BadHead for an access point or invalid text."""
    source = urllib.parse.unquote(text.partition("?")[0]).removeprefix("/")
    bucket, slash, key = source.partition("/")
    if not slash or not key or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise BadHead("what is to be copied is not named as BUCKET/KEY")
    return source
