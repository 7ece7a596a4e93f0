import json
import os
import re
import subprocess
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from airlock_modules import load_builtin, load_options
from asking import ask as ask_builtin

AWS = load_builtin("aws")
TABLE = load_options("aws")
ask = partial(ask_builtin, "aws")
NOWHERE = "http://127.0.0.1:1"

# Ends of names of members that hold a secret, whatever the model says of them.
SECRET = re.compile(
    r"(secret|password|passphrase|credentials?|private_?key|secret(access)?key|secretstring"
    r"|(session|security|access|refresh|id|auth|authorization|bearer|task|secret)token"
    r"|tokenvalue|secretbinary|(pre)?sharedkey|authkey|plaintext|apikeys?|userdata|seed"
    r"|((pre)?signed|download|embed|login|stream)url|onetimepassword|keymaterial)$",
    re.IGNORECASE,
)
VALUES = ("string", "blob", "structure", "list", "map")
# Members that are called like a secret and hold none, with the reason.
HARMLESS = {
    "ClientSecret": "accepted by elbv2, never answered",
    "Credentials": "a list of registered devices, by name",
    "FsxAdminPassword": "masked by the service",
    "MasterUserPassword": "masked by the service",
    "MasterUserSecret": "the name of a secret",
    "ServiceSpecificCredentials": "their names and dates",
    "SourceIp": "a condition for links that others make",
    "VpcSourceIp": "a condition for links that others make",
    "authorizerCredentials": "the name of a role",
    "credential": "the name of a secret",
    "credentials": "the name of a role",
    "registryCredential": "the name of a secret",
    "repositoryCredentials": "the name of a secret",
    "secret": "a flag of a mounted volume",
    "secretsManagerSecret": "a policy",
    "taskCredentials": "the name of a role",
}
# Services whose models mark names, addresses, texts and data as sensitive, and no credentials.
PERSONAL = {
    "backup", "bedrock", "bedrock-runtime", "budgets", "cognito-idp", "comprehend",
    "emr-serverless", "glue", "guardduty", "identitystore", "organizations", "pipes",
    "redshift-serverless", "resource-explorer-2", "s3api", "sagemaker", "sesv2", "sns",
    "stepfunctions",
}  # fmt: skip
# Other operations with members that are marked as sensitive, and what these are.
ACCEPTED = {
    "cloudfront": "headers for origins, comments, the code of functions",
    "ec2 get-instance-tpm-ek-pub": "a public key",
    "events list-targets-by-rule": "statements of SQL and GraphQL",
    "firehose describe-delivery-stream": "addresses and names of tables",
    "fsx": "the masked password",
    "lambda": "environment variables, which who may deploy can read anyway",
    "rds describe-tenant-databases": "the masked password",
    "redshift describe-clusters": "the masked password",
    "ssm describe-instance-information": "addresses",
    "ssm describe-instance-patch-states": "names of owners",
    "ssm describe-instance-patch-states-for-patch-group": "names of owners",
    "ssm describe-instance-properties": "addresses",
    "ssm describe-maintenance-window-targets": "names of owners",
    "ssm describe-maintenance-windows": "descriptions",
    "ssm get-maintenance-window": "descriptions",
    "ssm get-parameter": "stored text, encrypted where it is a secret",
    "ssm get-parameter-history": "stored text, encrypted where it is a secret",
    "ssm get-parameters": "stored text, encrypted where it is a secret",
    "ssm get-parameters-by-path": "stored text, encrypted where it is a secret",
    "ssm get-patch-baseline": "addresses of repositories",
    "ssm list-nodes": "addresses",
}


@cache
def find_aws() -> tuple[str, str] | None:
    """Return an aws of version 2 that is written in Python, and the Python that runs it."""
    for directory in os.environ["PATH"].split(os.pathsep):
        program = Path(directory, "aws")
        if program.is_file() and os.access(program, os.X_OK):
            first = program.read_bytes()[:200].partition(b"\n")[0].decode(errors="replace")
            version = run([str(program), "--version"]).stdout
            if "python" in first and version.startswith("aws-cli/2."):
                return str(program), first.removeprefix("#!").split()[0]
    return None


def run(argv: list[str], *, stdin: str = "", cwd: Path | None = None) -> Any:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd or "/nonexistent"),
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    } | dict(AWS.set)
    return subprocess.run(
        argv, input=stdin, capture_output=True, text=True, check=False, cwd=cwd, env=environment
    )


@pytest.fixture(scope="session")
def models() -> Any:
    """Return what the installed aws says about itself."""
    found = find_aws()
    if found is None:
        pytest.skip("no aws of version 2 with a Python of its own is installed")
    result = run(
        [found[1], str(Path(__file__).parents[1] / "aws_models.py")],
        stdin="\n".join(TABLE.commands),
    )
    if result.returncode != 0:
        pytest.skip(f"the models of {found[0]} cannot be read: {result.stderr[-200:]}")
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("args", "path"),
    [
        (["s3", "cp", "/root/.ssh/id_rsa", "s3://b/k"], "/root/.ssh/id_rsa"),
        (["s3", "cp", "s3://b/k", "--quiet", "../../etc/x"], "../../etc/x"),
        (["s3", "sync", "--sse", "/etc", "s3://b"], "/etc"),
        (["s3", "mv", "--exclude", "x", "../y", "s3://b"], "../y"),
        (["s3", "ls", "file:///etc/shadow"], "/etc/shadow"),
        (["ec2", "describe-instances", "--filters", "file:///etc/shadow"], "/etc/shadow"),
        (["ec2", "describe-instances", "--filters=file://../x"], "../x"),
        (["ec2", "describe-instances", "--instance-ids", "i", "fileb:///etc/x"], "/etc/x"),
        (["lambda", "invoke", "--function-name", "f", "/etc/cron.d/x"], "/etc/cron.d/x"),
        (["s3api", "get-object", "--bucket", "b", "--key", "k", "/etc/x"], "/etc/x"),
        (["s3api", "put-object", "--bucket", "b", "--key", "k", "--body", "/etc/x"], "/etc/x"),
        (["s3api", "put-object", "--key", "k", "--bod", "/etc/x"], "/etc/x"),
        (["s3api", "put-object", "--body", "--region", "eu", "/etc/x"], "/etc/x"),
        (["cloudformation", "deploy", "--template-file=/etc/x"], "/etc/x"),
        (["cloudformation", "deploy", "--template-file", "--region", "eu", "/etc/x"], "/etc/x"),
        (["cloudformation", "create-stack", "--template-body", "file:///etc/x"], "/etc/x"),
    ],
)
def test_a_path_is_handed_on_unless_it_is_refused(args: list[str], path: str) -> None:
    """Whoever knows the workspace can hold every file that the client would open."""
    decision = ask(*args)
    assert not decision.allowed or path in {use.text for use in decision.paths}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("iam create-access-key", "it makes, hands out or shows a credential or a secret"),
        ("ec2 terminate-instances", "it destroys or halts something at one stroke"),
        ("s3 ls --endpoint-url=x", "it would send signed requests elsewhere, or print them and"),
    ],
)
def test_what_is_left_out_on_purpose_is_refused_for_its_reason(line: str, reason: str) -> None:
    """Nobody is told that it is not known."""
    assert f" is refused: {reason}" in ask(*line.split()).message


def test_the_global_flags_are_those_of_the_installed_client(models: Any) -> None:
    """None is missing from the table, and none is there that the client does not have."""
    ours = {name for spec in TABLE.root.flags.own for name in spec.names}
    assert ours == {f"--{name}" for name in models["globals"]}


def test_every_operation_of_the_table_exists(models: Any) -> None:
    """The table invents nothing; groups and the manual are no operations."""
    listed = {key for key in TABLE.commands if " " in key and not key.endswith(" help")}
    assert listed - models["flags"].keys() == set()


def test_the_flags_of_described_commands_are_complete(models: Any) -> None:
    """Where flags are listed one by one, none that the client knows is missing."""
    for key, scope in TABLE.commands.items():
        if key in models["flags"] and not scope.is_open:
            missing = {f"--{name}" for name in models["flags"][key]} - scope.flags.exact.keys()
            assert missing == set(), key


def test_no_allowed_operation_answers_with_a_secret(models: Any) -> None:
    """Members that are called or marked as secret are known, with the reason they may be there."""
    found = []
    for key, members in models["answers"].items():
        service = key.split(" ")[0]
        if not ask(*key.split(" ")).allowed:
            continue
        for path, mark, kind in members:
            name = path.rpartition(".")[2].rstrip("[]{}")
            if kind not in VALUES:
                continue
            is_named = bool(SECRET.search(name)) or mark == "signed"
            is_marked = mark == "sensitive" and not {service, key} & (PERSONAL | ACCEPTED.keys())
            if (is_named and name not in HARMLESS) or is_marked:
                found.append((key, path))
    assert found == []


@pytest.mark.parametrize(
    "args",
    [
        ["ec2", "describe-regions", f"--end={NOWHERE}"],
        ["s3", "cp", "--acl", f"--endpoint-url={NOWHERE}", "private", "f", "s3://b/k"],
        ["ec2", f"--endpoint={NOWHERE}", "--", "describe-regions"],
        ["s3", "ls", "file://~/f", "--endpoint-url", NOWHERE],
        ["ec2", "describe-regions", "--filters", 'Name@ = "file://f"', "--endpoint-u", NOWHERE],
    ],
)
def test_the_client_really_reads_them_so(tmp_path: Path, args: list[str]) -> None:
    """What is refused here reaches the endpoint that the caller chose when it is not."""
    found = find_aws()
    if found is None:
        pytest.skip("no aws of version 2 with a Python of its own is installed")
    (tmp_path / "f").write_text("x")
    assert not ask(*args).allowed
    assert NOWHERE in run([found[0], *args], cwd=tmp_path).stderr
