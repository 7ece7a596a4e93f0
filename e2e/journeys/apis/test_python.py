"""Packages of Python from indexes and to one, and AWS by boto3 and both versions of its command."""

import shlex
from pathlib import Path

from e2e.world.api_services import INDEX, UPLOAD
from e2e.world.aws_server import BUCKET, READER, ROLE

from .place import Place

WHEEL = """\
import sys, zipfile
name, folder = f"mine-{sys.argv[1]}-py3-none-any.whl", f"mine-{sys.argv[1]}.dist-info"
with zipfile.ZipFile(name, "w") as wheel:
    for path, text in (
        ("mine.py", f"print('this is {sys.argv[1]}')\\n"),
        (f"{folder}/METADATA", f"Metadata-Version: 2.1\\nName: mine\\nVersion: {sys.argv[1]}\\n"),
        (f"{folder}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"),
        (f"{folder}/RECORD", ""),
    ):
        wheel.writestr(path, text)
"""
# Whoever assumes the role gets keys from the broker that are worth nothing elsewhere.
ASSUME = f"""\
import boto3
sts, s3 = boto3.client("sts"), boto3.client("s3")
print(sts.get_caller_identity()["Arn"])
try:
    s3.put_object(Bucket="{BUCKET}", Key="own", Body=b"")
except s3.exceptions.ClientError as error:
    print(error)
answer = sts.assume_role(RoleArn="{ROLE}", RoleSessionName="agent")["Credentials"]
names = {{
    "aws_access_key_id": "AccessKeyId",
    "aws_secret_access_key": "SecretAccessKey",
    "aws_session_token": "SessionToken",
}}
keys = {{name: answer[key] for name, key in names.items()}}
with open("keys", "w") as file:
    for name, value in keys.items():
        print(f"export {{name.upper()}}={{value}}", file=file)
s3 = boto3.client("s3", **keys)
s3.upload_file("large", "{BUCKET}", "large")
"""
SIZE = 50 << 20


def test_packages_are_installed_and_published(place: Place, wheels: Path, workstation: str) -> None:
    """pip and uv install from PyPI and from a private index; twine and uv publish."""
    line = f"""
        export XDG_CACHE_HOME=/tmp/cache
        cd /tmp && pip install -q --target tools uv && export PATH=$PWD/tools/bin:$PATH
        UV_DEFAULT_INDEX=$INDEX uv pip install -q --target lib boto3 twine
        for version in 1.0 2.0; do python3 -c {shlex.quote(WHEEL)} $version; done
        PYTHONPATH=lib python3 -m twine upload --non-interactive mine-1.0*.whl >&2
        uv publish mine-2.0*.whl >&2
        uv pip install -q --target new mine && python3 new/mine.py
        pip install -q --target old mine==1.0 && python3 old/mine.py
    """
    assert place.run(line, image=workstation).split("\n") == ["this is 2.0", "this is 1.0"]
    for host in (INDEX, UPLOAD):
        assert len({each.account for each in place.asked(host)} - {""}) == 1


def test_aws_by_code_and_by_both_versions_of_its_command(
    place: Place, wheels: Path, workstation: str
) -> None:
    """As the profile that `[env] set` names, and by a role; the cloud checks each signature.

    boto3 sends 50 MB in parts, and the commands get them. What the person's key may not do the
    cloud itself refuses: the key of another profile, which may, is not used.
    """
    line = f"""
        export XDG_CACHE_HOME=/tmp/cache
        cd /tmp && pip install -q --no-compile --target v1 awscli boto3
        head -c {SIZE} /dev/urandom >large
        PYTHONPATH=v1 python3 -c {shlex.quote(ASSUME)}
        one() {{ PYTHONPATH=v1 python3 -m awscli "$@"; }}
        two() {{ /usr/bin/aws "$@"; }}
        for aws in one two; do
            $aws --version | cut -d. -f1
            $aws sts get-caller-identity --query Arn --output text
        done
        . ./keys
        mkdir -p files/below && echo hello >files/below/file
        one s3 sync files s3://{BUCKET}/files >&2
        two s3 sync s3://{BUCKET}/files got >&2
        cat got/below/file
        two s3 cp --no-progress s3://{BUCKET}/large - | cmp - large
        two sts get-caller-identity --query Arn --output text
    """
    said = place.run(line, image=workstation).split("\n")
    who = f"arn:aws:iam::123456789012:user/{READER}"
    assert said[0] == who
    assert said[1].endswith("calling the PutObject operation: Access Denied")
    assert said[2:7] == ["aws-cli/1", who, "aws-cli/2", who, "hello"]
    assert said[7].endswith(":assumed-role/deploy/agent")
