"""AWS through the HTTPS broker: botocore as the tool, and a cloud that checks signatures."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aws_cloud
import pytest
import trio
from api_server import Certificates
from aws_cloud import BUCKET, REGION, ROLE, Cloud, make_client, running_cloud
from broker_world import World, broker

from airlock_daemon.brokers.https.messages import Finished, Question, Refusal
from airlock_modules.apis import Api, Asked, Credential, Source
from airlock_modules.apis.aws import Grant

pytestmark = pytest.mark.skipif(aws_cloud.why_not() is not None, reason=str(aws_cloud.why_not()))

PLACEHOLDER = ("AKIAPLACEHOLDER34567", "P" * 40)
HOSTS = [f"{service}.{REGION}.amazonaws.com" for service in ("s3", "sts", "ec2", "sqs", "lambda")]
HOSTS += [f"{BUCKET}.s3.{REGION}.amazonaws.com", f"other-data.s3.{REGION}.amazonaws.com"]
GRANT = Grant(
    profile="readonly",
    regions=(REGION,),
    buckets=(BUCKET, "acme-logs-*"),
    roles=(ROLE,),
    allow=("*:Describe*", "*:List*", "s3:GetObject", "s3:PutObject", "sts:GetCallerIdentity"),
    account="123456789012",
)
Call = Callable[..., Any]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Path]]:
    """The cloud, and the file of the authority that it is trusted by."""
    folder = tmp_path_factory.mktemp("cloud")
    certificates = Certificates(folder)
    certificate = certificates.issue(*HOSTS, "127.0.0.1")
    with running_cloud(folder, certificate, certificate) as cloud:
        human = make_client("s3", cloud.keys, proxy=cloud.proxy, authorities=certificates.file)
        place = {"LocationConstraint": REGION}
        human.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
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
        aws=GRANT,
    )
    async with broker(tmp_path, api, variables=variables) as world:
        world.secret = cloud[0].secret
        world.placeholder = "/".join(PLACEHOLDER)
        await world.settle()

        def judge(question: Question) -> Refusal | None:
            asked = Asked(method=question.method, path=question.path, aws=question.aws)
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
            return client._make_api_call(operation, parameters)

        return await trio.to_thread.run_sync(work)

    return run


async def test_an_object_is_written_and_read(call: Call, world: World) -> None:
    """The cloud checks the real key's signature, and the tool has the placeholder's alone."""
    data = bytes(range(256)) * 5000
    await call("s3", "PutObject", Bucket=BUCKET, Key="a b/ü+1", Body=data)
    answer = await call("s3", "GetObject", Bucket=BUCKET, Key="a b/ü+1")
    assert hashlib.sha256(answer["Body"].read()).digest() == hashlib.sha256(data).digest()
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
