"""What a configuration gets of the keys with which Terraform works, whatever it has evaluated."""

import pytest
from e2e.world.command import run
from e2e.world.executables import Executables
from e2e.world.scene import COMMANDS, ENVIRONMENT, MAPPED, Stage

from .errands.cloud import Terraform

# The s3 backend puts variables into a path, and a warning shows it while Terraform asks whether to
# apply. What stands in `paths` by then is read afterwards.
_SHOWS = """
check "{name}" {{
  data "terraform_remote_state" "{name}" {{
    backend = "s3"
    config = {{
      bucket                  = "b"
      key                     = "k"
      region                  = "us-east-1"
      skip_metadata_api_check = true
      custom_ca_bundle        = "/nowhere/${name}"
    }}
  }}
  assert {{
    condition     = data.terraform_remote_state.{name}.outputs != null
    error_message = "never"
  }}
}}
"""
_READS = """
resource "terraform_data" "first" {
  input = "first"
}

resource "terraform_data" "read" {
  input = [
    for path in split("\\n", file("${path.module}/paths${substr(terraform_data.first.id, 0, 0)}")) :
    try(file(path), "")
  ]
}

output "read" {
  value = terraform_data.read.output
}
"""
_VARIABLES = (
    *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ACCESS_KEY_ID"),
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"),
)
_APPLY = """
mkfifo /tmp/answers /tmp/shown
terraform apply -no-color </tmp/answers >/tmp/shown 2>&1 &
exec 3>/tmp/answers 4</tmp/shown
while read -r line <&4; do
  echo "$line" | tee -a /tmp/all
  case "$line" in *'will be accepted to approve'*)
    grep -o '/run/credentials/[A-Za-z0-9_/]*' /tmp/all >paths
    echo yes >&3
  esac
done
wait $!
"""


@pytest.mark.parametrize("given_at", ["an address", "files and variables"])
@pytest.mark.parametrize("kept_in", ["file", "variables"])
def test_a_configuration_is_shown_no_keys(
    user_stage: Stage,
    executables: Executables,
    terraform_errand: Terraform,
    kept_in: str,
    given_at: str,
) -> None:
    """It is told of paths while Terraform asks its question; by a module without address it is."""
    cloud = terraform_errand.cloud
    keys = {
        "AWS_ACCESS_KEY_ID": cloud.key_id(),
        "AWS_SECRET_ACCESS_KEY": cloud.secret(),
    }
    module = run((str(executables.daemon), "show", "terraform")).succeeded().stdout
    if given_at != "an address":
        module = module.replace("aws_endpoint = true", "")
    scene = user_stage.scene(
        commands=COMMANDS,
        profile=MAPPED,
        modules={"terraform": module},
        environment=ENVIRONMENT | (keys if kept_in == "variables" else {}),
    )
    name = terraform_errand.write_configuration(scene)
    folder = scene.project.path / name
    shows = "".join(_SHOWS.format(name=each) for each in _VARIABLES)
    user_stage.account.write(folder / "reads.tf", shows + _READS)
    cwd = f"/workspace/{name}"
    with scene.setup(scene.images.busybox).running() as client:
        client.run("terraform", "init", "-input=false", cwd=cwd).succeeded()
        done = client.run("sh", "-c", _APPLY, cwd=cwd).succeeded()
    assert "Apply complete!" in done.stdout
    assert terraform_errand.applied(name) == f"hello {name}"
    assert (cloud.secret() in done.stdout) == (given_at != "an address")
