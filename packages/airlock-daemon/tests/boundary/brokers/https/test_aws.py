"""AWS through the HTTPS broker: botocore as the tool, and a cloud that checks signatures."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aws_cloud
import pytest
import trio
from api_server import Certificates
from aws_cloud import BUCKET, REGION, ROLE, Cloud, make_client, running_cloud
from broker_world import World, broker

from airlock_daemon.boundary.brokers.https.messages import Question, Refusal, Spent
from airlock_modules.apis import Api, ApiCall, Credential, Source
from airlock_modules.apis.aws import Grant

pytestmark = pytest.mark.skipif(aws_cloud.why_not() is not None, reason=str(aws_cloud.why_not()))

PLACEHOLDER = ("AKIAPLACEHOLDER34567", "P" * 40)
HOSTS = [
    f"{service}.{REGION}.amazonaws.com"
    for service in ("s3", "sts", "ec2", "sqs", "lambda", "monitoring")
]
HOSTS += [f"{name}.s3.{REGION}.amazonaws.com" for name in (BUCKET, "other-data", "acme-logs-1")]
GRANT = Grant(
    profile="readonly",
    regions=(REGION,),
    buckets=(BUCKET, "acme-logs-*"),
    roles=(ROLE,),
    allow=("*:Describe*", "*:List*", "s3:GetObject", "s3:PutObject", "sts:GetCallerIdentity"),
    deny=("ec2:DescribeHosts",),
    account="123456789012",
)
Call = Callable[..., Any]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Path]]:
    """The cloud, and the file of the authority that it is trusted by."""
    folder = tmp_path_factory.mktemp("cloud")
    certificates = Certificates(folder)
    certificate = certificates.issue(*HOSTS, "127.0.0.1")
    with running_cloud(folder, certificate, certificates.file) as cloud:
        human = make_client("s3", cloud.keys, proxy=cloud.proxy, authorities=certificates.file)
        place = {"LocationConstraint": REGION}
        human.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
        human.create_bucket(Bucket="acme-logs-1", CreateBucketConfiguration=place)
        human.put_object(Bucket=BUCKET, Key="seen", Body=b"seen")
        human.close()
        yield cloud, certificates.file


@pytest.fixture
async def world(tmp_path: Path, cloud: tuple[Cloud, Path]) -> AsyncIterator[World]:
    """A broker for AWS, whose questions are judged by GRANT."""
    variables = {
        "SSL_CERT_FILE": str(cloud[1]),
        "HOME": str(tmp_path),
        "https_proxy": cloud[0].proxy,
    }
    credential = Credential(
        kind="aws", source=Source(kind="env", words=("X",), format="aws"), placeholder="A{16}/{40}"
    )
    api = Api(
        name="aws",
        module="aws",
        hosts=tuple(HOSTS),
        credential=credential,
        loose_paths=True,
        headers=("x-amz-*", "amz-sdk-*", "smithy-protocol"),
        aws=GRANT,
    )
    async with broker(tmp_path, api, variables=variables) as world:
        world.secret = cloud[0].secret
        world.placeholder = "/".join(PLACEHOLDER)
        await world.settle()

        def judge(question: Question) -> Refusal | None:
            asked = ApiCall(method=question.method, path=question.path, aws=question.aws)
            verdict = api.judge(asked)
            if verdict.refusal is None:
                return None
            return Refusal(message=verdict.refusal, hint=verdict.hint, rule=verdict.rule)

        world.judge = judge
        yield world


@pytest.fixture
async def call(world: World, nursery: trio.Nursery) -> Call:
    """What calls an operation as a tool in the container does, in a thread."""
    port = await world.listen(nursery)

    async def run(
        service: str, operation: str, *, keys: tuple[str, ...] = PLACEHOLDER, **parameters: Any
    ) -> Any:
        def work() -> Any:
            client = make_client(
                service,
                keys,
                proxy=f"http://127.0.0.1:{port}",
                authorities=world.published / "ca-bundle.pem",
            )
            with closing(client):
                if operation.islower():
                    return getattr(client, operation)(**parameters)
                answer = client._make_api_call(operation, parameters)
                if "Body" in answer:
                    answer["Body"] = answer["Body"].read()
                return answer

        return await trio.to_thread.run_sync(work)

    return run


async def test_an_object_is_written_and_read(call: Call, world: World) -> None:
    """The cloud checks the real key's signature, and the tool has the placeholder's alone."""
    data = bytes(range(256)) * 5000
    await call("s3", "PutObject", Bucket=BUCKET, Key="a b/ü+1", Body=data)
    answer = await call("s3", "GetObject", Bucket=BUCKET, Key="a b/ü+1")
    assert hashlib.sha256(answer["Body"]).digest() == hashlib.sha256(data).digest()
    question = world.find(Question)[-1]
    assert isinstance(question, Question)
    assert question.aws is not None
    assert question.aws.words == ("s3:GetObject", REGION, f"{BUCKET}/a b/ü+1")


async def test_each_protocol_is_signed_anew(call: Call) -> None:
    """Forms, JSON and REST, with bodies that are read to be hashed."""
    assert (await call("sts", "GetCallerIdentity"))["Arn"].endswith("user/human")
    assert (await call("ec2", "DescribeRegions"))["Regions"]
    assert (await call("sqs", "ListQueues"))["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (await call("s3", "ListBuckets"))["Buckets"][0]["Name"] == BUCKET


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("s3", "DeleteObject", {"Bucket": BUCKET, "Key": "seen"}, "s3:DeleteObject is not granted"),
    ("s3", "GetObject", {"Bucket": "other-data", "Key": "k"}, "other-data is not granted"),
    ("ec2", "DescribeHosts", {}, "deny has ec2:DescribeHosts"),
    ("sqs", "CreateQueue", {"QueueName": "q"}, "sqs:CreateQueue is not granted"),
    ("lambda", "ListFunctions", {}, "which no * grants"),
    ("sts", "GetSessionToken", {}, "does not exchange"),
    ("cloudwatch", "DeleteAlarms", {"AlarmNames": ["a"]}, "cloudwatch:DeleteAlarms"),
    (
        "lambda",
        "Invoke",
        {"FunctionName": "f", "Payload": b"x" * (3 << 20)},
        "lambda:Invoke",
    ),
    (
        "s3",
        "PutObject",
        {"Bucket": BUCKET, "Key": "k", "ACL": "public-read"},
        "s3:PutObjectAcl is not granted",
    ),
    (
        "s3",
        "CopyObject",
        {"Bucket": BUCKET, "Key": "k", "CopySource": "other-data/k"},
        "CopyObject is not granted",
    ),
]


async def test_a_refusal_is_an_error_of_the_service(call: Call) -> None:
    """In each protocol; it says what was asked for, why it is refused, and what can be done."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - not in every environment

    for service, operation, parameters, reason in REFUSED:
        with pytest.raises(ClientError) as raised:
            await call(service, operation, **parameters)
        error = raised.value.response["Error"]
        assert error["Code"].startswith("AccessDenied")
        assert f"airlock: aws {service}:{operation} " in error["Message"]
        assert reason in error["Message"]


async def test_only_the_placeholder_signs(call: Call, world: World) -> None:
    """A key of the agent's own would carry data into an account of its own."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - as above

    for keys in (("AKIAFOREIGNFOREIGN22", "s"), (PLACEHOLDER[0], "wrong"), (*PLACEHOLDER, "token")):
        with pytest.raises(ClientError, match="placeholder"):
            await call("s3", "ListBuckets", keys=keys)
    assert world.find(Question) == []


async def test_the_cloud_is_asked_with_the_credential_that_the_daemon_has(
    call: Call, world: World
) -> None:
    """The same request with another secret is refused by the cloud itself."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - as above

    await call("s3", "ListBuckets")
    assert world.secret is not None
    good = world.secret
    world.secret = good.replace('"secret": "', '"secret": "x')
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        await call("s3", "ListBuckets")
    assert world.find(Spent) == []
    world.secret = good.replace('"id": "', '"id": "X')
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        await call("s3", "ListBuckets")
    await world.wait_for(Spent)


async def test_a_role_is_assumed_without_its_keys(
    call: Call, world: World, nursery: trio.Nursery
) -> None:
    """The tool gets others, which go on where the worker was ended, and with this agent alone."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - as above

    answer = await call("sts", "AssumeRole", RoleArn=ROLE, RoleSessionName="agent")
    given = answer["Credentials"]
    keys = (given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    assert (await call("sts", "GetCallerIdentity", keys=keys))["Arn"].endswith("role/deploy/agent")
    assert (await call("s3", "GetObject", keys=keys, Bucket=BUCKET, Key="seen"))["Body"] == b"seen"
    with pytest.raises(ClientError, match="s3:DeleteObject is not granted"):
        await call("s3", "DeleteObject", keys=keys, Bucket=BUCKET, Key="seen")
    other = ROLE.replace("deploy", "other")
    with pytest.raises(ClientError, match=r"role/other. is not granted"):
        await call("sts", "AssumeRole", RoleArn=other, RoleSessionName="agent")
    token = keys[2][:-8] + "AAAAAAAA"
    with pytest.raises(ClientError, match="not of this agent's own roles"):
        await call("s3", "ListBuckets", keys=(*keys[:2], token))

    await world.fork(nursery)
    await world.settle()
    assert (await call("sts", "GetCallerIdentity", keys=keys))["Arn"].endswith("role/deploy/agent")


async def test_a_large_object_is_sent_in_parts(call: Call, tmp_path: Path) -> None:
    """As the aws command and SDKs send it; bodies stream, and nothing is read whole."""
    file = tmp_path / "large"
    file.write_bytes(b"0123456789abcdef" * (20 << 16))
    await call("s3", "upload_file", Filename=str(file), Bucket=BUCKET, Key="large")
    await call("s3", "download_file", Filename=f"{file}2", Bucket=BUCKET, Key="large")
    assert Path(f"{file}2").read_bytes() == file.read_bytes()
