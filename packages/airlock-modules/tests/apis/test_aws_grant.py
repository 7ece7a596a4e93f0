"""What of AWS is granted, and what a refusal advises."""

import msgspec
import pytest

from airlock_modules.apis.aws import Call, Grant, Operation, find_action_problem

GRANT = Grant(
    profile="readonly",
    regions=("eu-west-1",),
    buckets=("acme-data", "acme-logs-*"),
    roles=("arn:aws:iam::123456789012:role/deploy",),
    allow=("*:Describe*", "*:List*", "s3:GetObject", "s3:PutObject", "ssm:GetParameter"),
    deny=("ec2:DescribeHosts",),
)


def call(
    action: str,
    *,
    region: str = "eu-west-1",
    bucket: str | None = None,
    source: str | None = None,
    role: str | None = None,
    also: tuple[str, ...] = (),
    is_secret: bool = False,
    is_global: bool = False,
) -> Call:
    service, _, name = action.partition(":")
    return Call(
        operations=(Operation(service, name, is_secret, takes_owner=True),),
        region=region,
        is_global=is_global,
        bucket=bucket,
        key="key" if bucket else "",
        source=source,
        role=role,
        also=also,
    )


@pytest.mark.parametrize(
    "allowed",
    [
        call("ec2:DescribeInstances"),
        call("s3:GetObject", bucket="acme-data"),
        call("s3:HeadObject", bucket="acme-logs-2026"),
        call("s3:UploadPart", bucket="acme-data"),
        call("ssm:GetParameter", is_secret=True),
        call("sts:AssumeRole", role=GRANT.roles[0], is_secret=True),
        call("s3:ListBuckets"),
    ],
    ids=lambda each: " ".join(each.words),
)
def test_what_is_granted_is_allowed(allowed: Call) -> None:
    """By name, by a pattern, as part of another action, and a role with its ARN."""
    assert GRANT.judge(allowed).refusal is None


@pytest.mark.parametrize(
    ("refused", "rule", "reason"),
    [
        (call("ec2:RunInstances"), "allow", "ec2:RunInstances is not granted"),
        (call("ec2:DescribeHosts"), "ec2:DescribeHosts", "deny has ec2:DescribeHosts"),
        (call("ec2:DescribeInstances", region="us-east-1"), "regions", "us-east-1"),
        (call("iam:ListUsers", region="us-east-1", is_global=True), "global", "without regions"),
        (call("s3:GetObject", bucket="acme"), "buckets", "the bucket acme is not granted"),
        (call("s3:GetObject", bucket="xacme-data"), "buckets", "xacme-data"),
        (call("s3:DeleteObject", bucket="acme-data"), "allow", "s3:DeleteObject"),
        (call("s3:PutObject", bucket="acme-data", source="x/k"), "buckets", "the bucket x"),
        (call("s3:PutObject", bucket="acme-data", also=("s3:PutObjectAcl",)), "allow", "Acl"),
        (call("lambda:ListFunctions", is_secret=True), "secret", "which no * grants"),
        (call("sts:AssumeRole", role="arn:aws:iam::1:role/x", is_secret=True), "roles", "role/x"),
        (call("sts:GetSessionToken", is_secret=True), "keys", "does not exchange"),
    ],
    ids=lambda each: " ".join(each.words) if isinstance(each, Call) else "",
)
def test_what_is_not_granted_is_refused_with_the_line_to_add(
    refused: Call, rule: str, reason: str
) -> None:
    """Each refusal names what it is about, and the key of the profile that decides."""
    verdict = GRANT.judge(refused)
    assert verdict.refusal is not None
    assert reason in verdict.refusal
    assert verdict.refusal.startswith(f"aws {refused.operations[0].action} ")
    assert verdict.rule == rule
    assert "airlock.toml" in verdict.hint or rule == "keys"


def test_nothing_is_allowed_without_a_profile_of_the_human() -> None:
    """The human's default profile may do anything, and nobody has named it."""
    verdict = Grant(regions=("eu-west-1",), allow=("*:Describe*",)).judge(call("ec2:DescribeTags"))
    assert verdict.rule == "profile"
    assert "[aws] profile" in verdict.hint


def test_all_operations_that_a_request_may_be_must_be_granted() -> None:
    """Where the models leave two possible."""
    both = Call(
        operations=(Operation("rds", "DescribeX"), Operation("rds", "DeleteX")), region="eu-west-1"
    )
    assert GRANT.judge(both).rule == "allow"


@pytest.mark.parametrize(
    ("denied", "action"),
    [
        ("s3:DeleteObject", "s3:DeleteObjects"),
        ("s3:PutObject", "s3:CopyObject"),
        ("s3:PutObject", "s3:UploadPartCopy"),
        ("s3:GetObject", "s3:SelectObjectContent"),
        ("s3:ListObjectsV2", "s3:ListObjects"),
    ],
)
def test_what_is_denied_cannot_be_done_under_another_name(denied: str, action: str) -> None:
    """S3 has several operations for some things."""
    grant = msgspec.structs.replace(GRANT, allow=("s3:*",), deny=(denied,))
    assert grant.judge(call(action, bucket="acme-data")).rule == denied
    grant = msgspec.structs.replace(grant, deny=())
    assert grant.judge(call(action, bucket="acme-data")).refusal is None


def test_the_owner_is_demanded_where_a_pattern_matched_the_bucket() -> None:
    """Anybody can make a bucket of such a name; one that is written in full is the human's word."""
    owned = "x-amz-expected-bucket-owner"
    assert [*GRANT.list_owned(call("s3:PutObject", bucket="acme-logs-x"))] == [owned]
    assert [*GRANT.list_owned(call("s3:PutObject", bucket="acme-data"))] == []
    assert [*GRANT.list_owned(call("s3:ListBuckets"))] == []
    copy = call("s3:CopyObject", bucket="acme-data", source="acme-logs-x/key")
    assert [*GRANT.list_owned(copy)] == ["x-amz-source-expected-bucket-owner"]
    assert GRANT.needs_account
    for more in ({"buckets": ("acme-data",)}, {"account": "1" * 12}, {"endpoint": "minio.test"}):
        assert not msgspec.structs.replace(GRANT, **more).needs_account


@pytest.mark.parametrize("pattern", ["s3", "*", "S3:Get*", "s3:Get Object", "s3:", "GET /x"])
def test_a_pattern_names_a_service_and_an_operation(pattern: str) -> None:
    """What is meant for another kind of API is a fault."""
    assert find_action_problem(pattern) is not None
    assert find_action_problem("s3:Get*") is None
