"""Operations and hosts of AWS, with botocore as the oracle."""

import hashlib
import time

import pytest

import aws_requests
from airlock_modules.apis import BadHead, Head, read_head
from airlock_modules.apis.aws import Call, Keys
from airlock_modules.apis.aws.operations import load_table, read_form
from airlock_modules.apis.aws.signature import (
    Signature,
    find_payload,
    read_call,
    read_signature,
    unwrap,
    verify,
)

needs_botocore = pytest.mark.skipif(
    aws_requests.why_not() is not None, reason=str(aws_requests.why_not())
)
# What botocore sends elsewhere: with another algorithm, or to hosts that are not offered.
ELSEWHERE = {"WriteGetObjectResponse", "ListDirectoryBuckets", "CreateSession"}


def read(raw: bytes, host: str, body: bytes = b"") -> Call:
    """The call that is signed in a request; the signature is verified as the broker does."""
    head = read_head(raw, host, loose_paths=True)
    signature = read_signature(head)
    payload = find_payload(signature) or hashlib.sha256(body).hexdigest()
    keys = Keys(aws_requests.KEY, aws_requests.SECRET)
    verify(head, signature, keys, payload, now=time.time())
    table, bare = load_table(), unwrap(head)
    has_form = table.needs_body(signature.service, head)
    return read_call(
        table, bare, signature, host, read_form(bare.query, body if has_form else None)
    )


def unsigned(
    service: str,
    host: str,
    line: str = "GET /",
    *,
    region: str = "eu-west-1",
    headers: tuple[tuple[bytes, bytes], ...] = (),
    body: bytes | None = None,
) -> Call:
    """The call of a request whose signature would name this service and region."""
    if body is not None:
        headers += ((b"content-type", b"application/x-www-form-urlencoded; charset=utf-8"),)
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    head = Head(method, path, query, headers)
    signature = Signature("", "", region, service, (), "", "", "", None)
    return read_call(load_table(), head, signature, host, read_form(query, body))


@needs_botocore
@pytest.mark.parametrize(
    "service", ["s3", "ec2", "sts", "iam", "dynamodb", "sqs", "cloudwatch", "lambda", "logs", "sns"]
)
def test_each_operation_is_named_as_its_client_calls_it(service: str) -> None:
    """Host, signature, protocol, path, query and headers lead back to what was asked for."""
    client = aws_requests.client(service)
    strange = []
    for name, parameters in aws_requests.operations(client):
        if "Bucket" in parameters:
            parameters["Bucket"] = "my-bucket"
        for each in ("CopySource", "RenameSource"):
            if each in parameters:
                parameters[each] = "my-bucket/key"
        request = aws_requests.request(client, name, parameters)
        raw, host = aws_requests.head_of(request)
        if name in ELSEWHERE or b"uthorization: " not in raw:
            continue
        call = read(raw, host, aws_requests.body_of(request))
        # Four operations of S3 have an old and a new name.
        if [each.name.removesuffix("Configuration") for each in call.operations] != [
            name.removesuffix("Configuration")
        ]:
            strange.append((name, call.operations))
    assert strange == []


@needs_botocore
@pytest.mark.parametrize("style", ["virtual", "path"])
def test_bucket_and_key_are_read_in_both_styles_of_addressing(style: str) -> None:
    """Also of keys with slashes, blanks and letters that are escaped."""
    client = aws_requests.client("s3", style=style)
    for key in ("a/b c/é+=&~.txt", "//twice//", "semi;colon"):
        request = aws_requests.request(client, "PutObject", {"Bucket": "acme-data", "Key": key})
        raw, host = aws_requests.head_of(request)
        call = read(raw, host)
        assert (call.bucket, call.key) == ("acme-data", key)


@pytest.mark.parametrize(
    ("service", "host", "region"),
    [
        ("s3", "s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("s3", "acme.s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1"),
        ("s3", "acme.s3.amazonaws.com", "us-east-1"),
        ("ec2", "ec2.eu-west-1.api.aws", "eu-west-1"),
        ("ec2", "ec2-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("ec2", "ec2.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("dynamodb", "123456789012.ddb.eu-west-1.amazonaws.com", "eu-west-1"),
        ("logs", "stream-logs.eu-west-1.amazonaws.com", "eu-west-1"),
        ("iam", "iam.amazonaws.com", "us-east-1"),
    ],
)
def test_hosts_of_the_endpoint_rules_are_known(service: str, host: str, region: str) -> None:
    """Of each partition, with two stacks, for FIPS, of an account, with an operation's prefix."""
    assert load_table().find_host(service, host, region)


@pytest.mark.parametrize(
    ("service", "host", "region"),
    [
        ("ec2", "ec2.eu-west-1.amazonaws.com.evil.example", "eu-west-1"),
        ("ec2", "evil.ec2.eu-west-1.amazonaws.com", "eu-west-1"),
        ("ec2", "evilec2.eu-west-1.amazonaws.com", "eu-west-1"),
        ("ec2", "ec2.eu-central-1.amazonaws.com", "eu-west-1"),
        ("ec2", "sqs.eu-west-1.amazonaws.com", "eu-west-1"),
        ("ec2", "abc.execute-api.eu-west-1.amazonaws.com", "eu-west-1"),
        ("ec2", "ec2.eu-west-1.amazonaws.com.cn", "eu-west-1"),
        ("s3", "acmes3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("s3", "s3.amazonaws.com", "eu-west-1"),
        ("s3", "acme.s3-website.eu-west-1.amazonaws.com", "eu-west-1"),
        ("s3", "ap-1234.s3-accesspoint.eu-west-1.amazonaws.com", "eu-west-1"),
        ("dynamodb", "12345678901.ddb.eu-west-1.amazonaws.com", "eu-west-1"),
        ("iam", "iam.amazonaws.com", "eu-west-1"),
        ("nothing", "nothing.eu-west-1.amazonaws.com", "eu-west-1"),
        ("ec2", "ec2.nowhere.amazonaws.com", "nowhere"),
    ],
)
def test_other_hosts_are_of_no_service(service: str, host: str, region: str) -> None:
    """Whatever is before, behind or in the middle of the name."""
    assert load_table().find_host(service, host, region) == ()


@pytest.mark.parametrize(
    ("service", "host", "line", "body", "problem"),
    [
        ("s3", "b-1.s3.eu-west-1.amazonaws.com", "GET /k?acl&tagging", None, "no parameter"),
        ("s3", "b-1.s3.eu-west-1.amazonaws.com", "GET /k?unknown", None, "no parameter"),
        ("s3", "s3.eu-west-1.amazonaws.com", "GET /?policy", None, "no parameter"),
        ("s3", "b-1.s3.eu-west-1.amazonaws.com", "PUT /k?x-amz-acl=public-read", None, "x-amz-acl"),
        ("ec2", "ec2.eu-west-1.amazonaws.com", "POST //", None, "empty segment"),
        ("ec2", "ec2.eu-west-1.amazonaws.com", "POST /", b"Action=RunInstances", "no operation"),
        (
            "ec2",
            "ec2.eu-west-1.amazonaws.com",
            "POST /?Action=DescribeRegions",
            b"Action=RunInstances&Version=2016-11-15",
            "there twice",
        ),
        (
            "ec2",
            "ec2.eu-west-1.amazonaws.com",
            "POST /",
            b"Action=DescribeRegions&action=RunInstances&Version=2016-11-15",
            "spelled unusually",
        ),
        (
            "ec2",
            "ec2.eu-west-1.amazonaws.com",
            "POST /",
            b"Action=DescribeRegions&Version=2016-11-15&\xff=1",
            "cannot be read",
        ),
        (
            "ec2",
            "ec2.eu-west-1.amazonaws.com",
            "POST /",
            b"Action=DescribeRegions&Version=2016-11-15&AWSAccessKeyId=AKIA&Signature=x",
            "signed by itself",
        ),
        ("lambda", "lambda.eu-west-1.amazonaws.com", "GET /2015-03-31/x", None, "no operation"),
        # What is written as the list of a bucket is an object of it.
        ("s3", "s3.eu-west-1.amazonaws.com", "GET /acme-data%2Fkey", None, "no name of a bucket"),
    ],
)
def test_what_has_two_readings_is_refused(
    service: str, host: str, line: str, body: bytes | None, problem: str
) -> None:
    """A service could read it as another operation than the one that is judged."""
    with pytest.raises(BadHead, match=problem):
        unsigned(service, host, line, body=body)


def test_a_request_speaks_one_protocol() -> None:
    """SQS speaks two: with the parts of both, it could be either."""
    form = b"Action=DeleteQueue&Version=2012-11-05"
    target = (b"x-amz-target", b"AmazonSQS.ListQueues")
    json, other = (b"content-type", b"application/x-amz-json-1.0"), (b"content-type", b"text/plain")
    host = "sqs.eu-west-1.amazonaws.com"
    call = unsigned("sqs", host, "POST /", headers=(target, json))
    assert [each.action for each in call.operations] == ["sqs:ListQueues"]
    assert unsigned("sqs", host, "POST /", body=form).operations[0].action == "sqs:DeleteQueue"
    in_query = "POST /?Action=DeleteQueue&Version=2012-11-05"
    for headers, line, body in (
        ((target,), "POST /", form),
        ((target, other), "POST /", None),
        ((target, json), in_query, None),
        ((json,), in_query, None),
    ):
        with pytest.raises(BadHead, match="no operation"):
            unsigned("sqs", host, line, headers=headers, body=body)


@pytest.mark.parametrize("charset", ["utf-16", "ibm037", "utf-8; charset=utf-16", "x-utf-8"])
def test_a_form_is_read_in_one_charset(charset: str) -> None:
    """In another one the same bytes name another action, as a service may read them."""
    kind = (b"content-type", f"application/x-www-form-urlencoded; charset={charset}".encode())
    line = "POST /?Action=ListQueues&Version=2012-11-05"
    with pytest.raises(BadHead, match="no operation"):
        unsigned("sqs", "sqs.eu-west-1.amazonaws.com", line, headers=(kind,))
    plain = (b"content-type", b'Application/x-www-form-urlencoded ; charset="UTF-8"')
    call = unsigned("sqs", "sqs.eu-west-1.amazonaws.com", line, headers=(plain,))
    assert call.operations[0].action == "sqs:ListQueues"


def test_a_version_is_deleted_by_its_own_name_alone() -> None:
    """What is deleted without one stays as an older version."""
    host, key = "b-1.s3.eu-west-1.amazonaws.com", "DELETE /key"
    assert unsigned("s3", host, key).also == ()
    assert unsigned("s3", host, f"{key}?versionId=1").also == ("s3:DeleteObjectVersion",)
    assert unsigned("s3", host, "GET /key?versionId=1").also == ()


def test_what_answers_with_a_credential_is_known_as_such() -> None:
    """By the table: no wildcard grants any of these."""
    table = load_table()
    wanted = {
        "iam": "CreateAccessKey CreateServiceSpecificCredential CreateVirtualMFADevice",
        "sts": "AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity GetSessionToken",
        "secretsmanager": "GetSecretValue BatchGetSecretValue GetRandomPassword",
        "ssm": "GetParameter GetParameters GetParametersByPath GetParameterHistory",
        "kms": "Decrypt GenerateDataKey GenerateDataKeyPair",
        "ecr": "GetAuthorizationToken GetDownloadUrlForLayer",
        "ec2": "CreateKeyPair GetPasswordData GetLaunchTemplateData DescribeInstanceAttribute",
        "lambda": "GetFunction ListFunctions GetFunctionConfiguration",
        "redshift": "GetClusterCredentials GetClusterCredentialsWithIAM",
        "cognito-identity": "GetCredentialsForIdentity GetOpenIdToken",
        "codeartifact": "GetAuthorizationToken",
        "lakeformation": "GetTemporaryGlueTableCredentials",
        "lightsail": "GetInstanceAccessDetails DownloadDefaultKeyPair",
        "apigateway": "CreateApiKey GetApiKey GetApiKeys GetUsagePlanKeys",
        "iot": "CreateKeysAndCertificate",
        "datazone": "GetIamPortalLoginUrl",
        "kinesisanalytics": "CreateApplicationPresignedUrl",
        "sagemaker": "CreatePresignedDomainUrl CreatePresignedNotebookInstanceUrl "
        "CreatePartnerAppPresignedUrl",
        "elasticmapreduce": "GetClusterSessionCredentials",
    }
    missed = []
    for signing, names in wanted.items():
        entries = [each.operations for each in table._find_services(signing)]
        secret = {name for each in entries for name, text in each.items() if text[:1] == "!"}
        missed += [f"{signing}:{name}" for name in names.split() if name not in secret]
    assert missed == []


def test_headers_that_change_a_request_need_actions_of_their_own() -> None:
    """IAM asks for the same."""
    call = unsigned(
        "s3",
        "b-1.s3.eu-west-1.amazonaws.com",
        "PUT /key",
        headers=(
            (b"x-amz-acl", b"public-read"),
            (b"x-amz-tagging", b"a=b"),
            (b"x-amz-website-redirect-location", b"https://evil.example/"),
            (b"x-amz-copy-source", b"other%2Dbucket/secret?versionId=1"),
        ),
    )
    assert [each.action for each in call.operations] == ["s3:CopyObject"]
    assert call.source == "other-bucket/secret"
    assert {*call.also} == {
        *("s3:GetObject", "s3:PutObjectAcl", "s3:PutObjectTagging", "s3:PutBucketWebsite")
    }


@pytest.mark.parametrize(
    "source", ["bucket", "/bucket/", "arn:aws:s3:eu-west-1:1:accesspoint/x/object/k", "../b/k"]
)
def test_a_copy_names_its_source_as_bucket_and_key(source: str) -> None:
    """An access point could be of any bucket."""
    headers = ((b"x-amz-copy-source", source.encode()),)
    with pytest.raises(BadHead, match="BUCKET/KEY"):
        unsigned("s3", "b-1.s3.eu-west-1.amazonaws.com", "PUT /key", headers=headers)
