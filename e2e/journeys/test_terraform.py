"""Terraform with its state in a cloud, and its questions answered by the container."""

import shutil
from pathlib import Path

import pytest
from e2e.world.aws_server import BUCKET
from e2e.world.command import Completed, run
from e2e.world.executables import Executables
from e2e.world.need import need
from e2e.world.scene import COMMANDS, ENVIRONMENT, MAPPED, Stage
from e2e.world.terraform import unpack_aws_provider

from .errands.cloud import Terraform

# Every file that can be listed, printed (in a /proc that shows something this would not end); and a
# program that is to be started.
_LOOKS = """
output "files" {
  value = [for name in fileset("/", "{run,home,proc,tmp}/**") : try(file("/${name}"), "")]
}
"""
_STARTS = """
resource "terraform_data" "runs" {
  provisioner "local-exec" {
    command = "touch ran"
  }
}
"""
# By HashiCorp's provider for AWS, with the credentials of the box, in the cloud of the test.
_MAKES = """
terraform {{
  required_providers {{
    aws = {{ source = "hashicorp/aws" }}
  }}
}}

provider "aws" {{
  region                     = "us-east-1"
  s3_force_path_style        = true
  skip_metadata_api_check    = true
  skip_get_ec2_platforms     = true
  skip_requesting_account_id = true
  endpoints {{
    s3  = "{address}"
    sts = "{address}"
  }}
}}

resource "aws_s3_bucket_object" "made" {{
  bucket  = "{bucket}"
  key     = "made-by-{name}"
  content = "content of {name}\\n"
}}
"""


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory of plugins with the provider for AWS."""
    plugins = tmp_path_factory.mktemp("plugins")
    need(unpack_aws_provider(plugins))
    return plugins


def test_a_plan_is_applied_after_it_was_looked_at(
    stage: Stage, terraform_errand: Terraform
) -> None:
    """show says what a plan would do, apply does it, and output reads the state in the cloud."""
    scene = stage.workshop
    name = terraform_errand.write_configuration(scene)
    cwd = f"/workspace/{name}"
    with scene.setup(scene.images.busybox).running() as client:

        def terraform(*words: str) -> str:
            return client.run("terraform", *words, "-no-color", cwd=cwd).succeeded().stdout

        terraform("init", "-input=false")
        assert "1 to add, 0 to change" in terraform("plan", "-input=false", "-out=plan")
        assert "terraform_data.greeting will be created" in terraform("show", "plan")
        assert terraform_errand.applied(name) is None
        assert "Resources: 1 added" in terraform("apply", "-input=false", "plan")
        assert f"hello {name}" in terraform("output")
        assert "No changes" in terraform("plan", "-input=false")
    assert terraform_errand.applied(name) == f"hello {name}"


def test_the_answer_comes_from_the_container(
    user_stage: Stage, terraform_errand: Terraform
) -> None:
    """apply asks, and its standard input is the container's: only yes changes anything."""
    scene = user_stage.workshop
    name = terraform_errand.write_configuration(scene)
    cwd = f"/workspace/{name}"
    with scene.setup(scene.images.busybox).running() as client:
        client.run("terraform", "init", "-input=false", cwd=cwd).succeeded()
        apply = ("terraform", "apply", "-no-color")
        for answer, status, output in (
            (b"no\n", 1, None),
            (b"", 1, None),
            (b"yes\n", 0, f"hello {name}"),
        ):
            done = client.run(*apply, cwd=cwd, stdin=answer)
            assert (done.exit_code, terraform_errand.applied(name)) == (status, output), done
            assert "Enter a value:" in done.stdout


@pytest.mark.parametrize("may_execute", [False, True])
def test_what_a_configuration_names_is_started_where_the_profile_says_so(
    user_stage: Stage, terraform_errand: Terraform, may_execute: bool
) -> None:
    """Without it no provisioner runs, and no credential is where a configuration could look."""
    more = "[terraform]\nexec = true\n" if may_execute else ""
    scene = user_stage.scene(
        commands=COMMANDS, profile=f"{MAPPED}\n{more}", environment=ENVIRONMENT
    )
    name = terraform_errand.write_configuration(scene)
    path = scene.project.path / name / "main.tf"
    user_stage.account.write(path, path.read_text() + _STARTS + ("" if may_execute else _LOOKS))
    with scene.setup(scene.images.busybox).running() as client:

        def terraform(*words: str) -> Completed:
            return client.run("terraform", *words, "-no-color", cwd=f"/workspace/{name}")

        terraform("init", "-input=false").succeeded()
        terraform("plan", "-input=false", "-out=plan").succeeded()
        done = terraform("apply", "-input=false", "plan")
    assert (done.exit_code == 0) == may_execute, done
    assert (scene.project.path / name / "ran").exists() == may_execute
    assert terraform_errand.cloud.secret() not in done.stdout + done.stderr
    if not may_execute:
        assert "fork/exec /bin/sh: permission denied" in done.stderr


def test_a_provider_of_the_persons_changes_the_cloud_and_one_of_the_workspace_never_starts(
    user_stage: Stage, executables: Executables, terraform_errand: Terraform, provider: Path
) -> None:
    """By the same bytes, which Terraform finds in both places, and the credentials of the box."""
    account = user_stage.account
    # The stand-in has a loader, which Terraform's own program has not.
    module = run((str(executables.daemon), "show", "terraform")).succeeded().stdout
    module = module.replace("programs = ", "dynamic = true\nprograms = ")
    scene = user_stage.scene(
        commands=COMMANDS, modules={"terraform": module}, environment=ENVIRONMENT
    )
    name = terraform_errand.write_configuration(scene)
    folder = scene.project.path / name
    cloud = terraform_errand.cloud
    makes = _MAKES.format(address=cloud.address, bucket=BUCKET, name=name)
    account.write(folder / "made.tf", makes)
    mine, theirs = account.home / ".terraform.d", folder / "terraform.d"
    with scene.setup(scene.images.busybox).running() as client:

        def terraform(*words: str) -> Completed:
            return client.run("terraform", *words, "-no-color", cwd=f"/workspace/{name}")

        shutil.copytree(provider, theirs / "plugins")
        account.own(theirs)
        terraform("init", "-input=false").succeeded()
        planned = terraform("plan", "-input=false", "-out=plan")
        assert planned.exit_code == 1
        assert "permission denied" in planned.stderr
        assert cloud.read(f"made-by-{name}") is None

        shutil.rmtree(theirs)
        shutil.rmtree(folder / ".terraform")
        shutil.copytree(provider, mine / "plugins")
        account.own(mine)
        try:
            terraform("init", "-input=false").succeeded()
            assert "2 to add" in terraform("plan", "-input=false", "-out=plan").succeeded().stdout
            assert "2 added" in terraform("apply", "-input=false", "plan").succeeded().stdout
        finally:
            shutil.rmtree(mine)
    assert cloud.read(f"made-by-{name}") == f"content of {name}\n".encode()
