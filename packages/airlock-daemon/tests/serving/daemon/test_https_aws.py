"""A daemon whose agent has AWS: boto3 as the tool, and a cloud that checks signatures."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import aws_cloud
import pytest
from api_server import Certificates
from aws_cloud import BUCKET, REGION, ROLE, Cloud, make_client, running_cloud

from api_world import wait_until_published
from running import Daemon
from worlds import World

pytestmark = pytest.mark.skipif(aws_cloud.why_not() is not None, reason=str(aws_cloud.why_not()))

HOSTS = [f"{name}.{REGION}.amazonaws.com" for name in ("sts", "ec2", f"{BUCKET}.s3", "s3")]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[tuple[Cloud, Path]]:
    """The cloud with a bucket, and the authority that it is trusted by."""
    folder = tmp_path / "cloud"
    folder.mkdir()
    certificates = Certificates(folder)
    with running_cloud(folder, certificates.issue(*HOSTS, "127.0.0.1"), certificates.file) as cloud:
        with closing(
            make_client("s3", cloud.keys, proxy=cloud.proxy, authorities=certificates.file)
        ) as human:
            place = {"LocationConstraint": REGION}
            human.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
        yield cloud, certificates.file


@contextmanager
def listening(path: Path) -> Iterator[str]:
    """The address of a proxy that leads to a socket, as the shim is one in containers."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=carry, args=(client,), daemon=True).start()

    def carry(client: socket.socket) -> None:
        with client, suppress(OSError), socket.socket(socket.AF_UNIX) as broker:
            broker.connect(str(path))
            threading.Thread(target=copy, args=(broker, client), daemon=True).start()
            copy(client, broker)

    def copy(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def write_host(world: World, cloud: Cloud) -> str:
    """An aws of the human's that exports the profile readonly alone; its directory."""
    printed = {
        "Version": 1,
        "AccessKeyId": cloud.keys[0],
        "SecretAccessKey": cloud.keys[1],
    }
    program = world.root / "bin" / "aws"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'case " $* " in *" export-credentials "*" --profile readonly "*) ;; *) exit 255 ;; esac\n'
        f"cat <<'END'\n{json.dumps(printed)}\nEND\n"
    )
    program.chmod(0o755)
    return str(program.parent)


def records(daemon: Daemon, count: int) -> list[tuple[str, str]]:
    """Outcome and operation of so many records of the broker."""
    found = daemon.wait_for_records(count, "broker")
    return [(each["outcome"], each["detail"]["operation"]) for each in found]


def test_the_container_uses_aws_without_a_key(
    world: World, cloud: tuple[Cloud, Path], tmp_path: Path
) -> None:
    """With AWS_PROFILE of the agent, the daemon's `aws` exports it; the log has the operations."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - not in every environment

    bin_folder = write_host(world, cloud[0])
    config = world.config / "config.toml"
    config.write_text(config.read_text().replace("enable = [", 'enable = ["aws", '))
    world.write_profile(
        f"""[workspace]
host = true
[env]
set = {{ AWS_PROFILE = "readonly" }}
[aws]
regions = ["{REGION}"]
buckets = ["{BUCKET}"]
allow = ["s3:PutObject"]
roles = ["{ROLE}"]
hosts = {json.dumps(HOSTS)}
""",
        commands='["aws"]',
    )
    variables = {
        "https_proxy": cloud[0].proxy,
        "SSL_CERT_FILE": str(cloud[1]),
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "AWS_PROFILE": "admin",
    }
    published = world.config / "sockets" / "my"
    with Daemon(world, environment=variables) as daemon:
        wait_until_published(published, daemon)
        lines = (published / "client.env").read_text().splitlines()
        given = dict(line.split("=", 1) for line in lines)
        assert given["AWS_REGION"] == REGION
        keys = (given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"])

        def call(service: str, operation: str, *, keys: tuple[str, ...] = keys, **more: Any) -> Any:
            with closing(
                make_client(service, keys, proxy=proxy, authorities=published / "ca-bundle.pem")
            ) as client:
                return client._make_api_call(operation, more)

        with listening(published / "https.sock") as proxy:
            call("s3", "PutObject", Bucket=BUCKET, Key="a/b", Body=b"data")
            with pytest.raises(ClientError, match="s3:DeleteObject is not granted"):
                call("s3", "DeleteObject", Bucket=BUCKET, Key="a/b")
            role = call("sts", "AssumeRole", RoleArn=ROLE, RoleSessionName="agent")["Credentials"]
            session = (role["AccessKeyId"], role["SecretAccessKey"], role["SessionToken"])
            arn = call("sts", "GetCallerIdentity", keys=session)["Arn"]
            assert arn.endswith("assumed-role/deploy/agent")
        assert records(daemon, 4) == [
            ("allowed", f"aws s3:PutObject {REGION} {BUCKET}/a/b"),
            ("denied", f"aws s3:DeleteObject {REGION} {BUCKET}/a/b"),
            ("allowed", f"aws sts:AssumeRole {REGION} {ROLE}"),
            ("allowed", f"aws sts:GetCallerIdentity {REGION}"),
        ]
        for text in (world.log.read_text(), "".join(lines), str(role)):
            assert cloud[0].keys[1] not in text
