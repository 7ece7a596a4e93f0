"""Reading a request to AWS as one call."""

import re
import urllib.parse
from collections.abc import Mapping

from airlock_modules.apis.aws.grant import Call
from airlock_modules.apis.aws.operations import Host, Table
from airlock_modules.apis.aws.signature import Signature
from airlock_modules.apis.errors import BadHead
from airlock_modules.apis.head import Head
from airlock_wire.text import quote

_HARMLESS_ACLS = frozenset({"private", "bucket-owner-read", "bucket-owner-full-control"})


def read_call(
    table: Table,
    head: Head,
    signature: Signature,
    host: str,
    form: Mapping[str, str],
    *,
    endpoint: str | None = None,
) -> Call:
    """What an unwrapped head asks for. Raises BadHead for what is not known here.

    `form` has its parameters where it speaks the protocol `query`; `host` is its connection's, and
    has no port. `endpoint` is the host of another S3.
    """
    places = table.find_host(signature.service, host, signature.region)
    if endpoint is not None and (host == endpoint or host.endswith(f".{endpoint}")):
        other = Host("s3", signature.region, False, host.removesuffix(endpoint), "s3")
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
    # Before escapes are decoded: with an escaped slash a bucket would be an object.
    bucket, _, key = path[1:].partition("/")
    key = urllib.parse.unquote(key)
    if bucket and not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", bucket):
        raise BadHead(f"{quote(bucket, limit=80)} is no name of a bucket")
    source = head.get("x-amz-copy-source") or head.get("x-amz-rename-source")
    also = []
    if source is not None:
        source = _read_source(source)
        also.append("s3:GetObject")
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
    """The BUCKET/KEY of a copy. Raises BadHead for an access point or what cannot be read."""
    source = urllib.parse.unquote(text.partition("?")[0]).removeprefix("/")
    bucket, slash, key = source.partition("/")
    if not slash or not key or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise BadHead("what is to be copied is not named as BUCKET/KEY")
    return source
