"""AWS refuses a bucket that only a pattern matches, unless the credential's account owns it."""

import msgspec
import pytest

from airlock_daemon.boundary.brokers.https.aws import (
    AwsContext,
    AwsRequest,
    Session,
    Sessions,
    exchange_session,
    sign_request,
)
from airlock_daemon.boundary.brokers.https.incoming import Spool
from airlock_daemon.errors import Failed
from airlock_modules.apis import Api, Head
from airlock_modules.apis.aws import Call, Grant, Keys, Operation
from airlock_modules.apis.aws.signature import Signature

OWN, OTHER = "1" * 12, "2" * 12
ROLE = f"arn:aws:iam::{OTHER}:role/deploy"
KEYS = Keys("AKIA7", "secret")
CONTEXT = AwsContext(Sessions("my", bytes(32)), Spool("/"))


def send(
    *,
    exported: str = "",
    account: str | None = None,
    endpoint: str | None = None,
    bucket: str = "acme-x",
    session: Session | None = None,
    host: str = "s3.eu-west-1.amazonaws.com",
) -> str | None:
    """Sign a request for an object; the owner that AWS is told to expect."""
    buckets = ("acme-*", "acme-data")
    grant = Grant(profile="p", buckets=buckets, account=account, endpoint=endpoint)
    operation = Operation("s3", "PutObject", takes_owner=True)
    request = AwsRequest(
        head=Head("PUT", f"/{bucket}/key", "", ((b"host", host.encode()),)),
        dropped=(),
        signature=Signature("AKIA", "20300101", "eu-west-1", "s3", (), "", "", "", None),
        payload="UNSIGNED-PAYLOAD",
        call=Call(operations=(operation,), region="eu-west-1", bucket=bucket, key="key"),
        session=session,
        body=None,
    )
    api = Api(name="aws", module="aws", hosts=(host.partition(":")[0],), aws=grant)
    keys = msgspec.json.encode(msgspec.structs.replace(KEYS, account=exported)).decode()
    sent = dict(sign_request(request, CONTEXT, api, keys).headers)
    return sent.get(b"x-amz-expected-bucket-owner", b"").decode() or None


def test_the_account_of_the_credential_or_of_the_profile_must_own_it() -> None:
    """The profile's counts; none does for a bucket that is named in full."""
    assert send(exported=OWN) == OWN
    assert send(exported=OWN, account=OTHER) == OTHER
    assert send(bucket="acme-data") is None


def test_without_an_account_no_pattern_matches_a_bucket() -> None:
    """Anybody can make one of such a name; a service that is not AWS has no accounts."""
    with pytest.raises(Failed, match="account is not known") as refused:
        send()
    assert "[aws] account" in refused.value.hint
    assert "aws sts get-caller-identity --profile p" in refused.value.hint
    for host in ("minio.test", "MinIO.test:9000", "acme-x.minio.test"):
        assert send(endpoint="minio.test", host=host) is None
    for host in ("s3.eu-west-1.amazonaws.com", "not-minio.test"):
        with pytest.raises(Failed, match="account is not known"):
            send(endpoint="minio.test", host=host)


def test_a_role_has_the_account_of_its_name() -> None:
    """Its keys come from the broker."""
    names = {"AccessKeyId": "ASIA7", "SecretAccessKey": "s", "SessionToken": "t"}
    answer = "".join(f"<{name}>{value}</{name}>" for name, value in names.items()).encode()
    given = exchange_session(answer, ROLE, CONTEXT.sessions)
    token = given.split(b"<SessionToken>")[1].split(b"<")[0].decode()
    _, session = CONTEXT.sessions.open(token)
    assert send(exported=OWN, session=session) == OTHER
