"""aws and Terraform at a cloud that checks every signature."""

import configparser
import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.world.account import Account
from e2e.world.aws_server import BUCKET, fill_bucket, running_aws
from e2e.world.command import Completed, run
from e2e.world.project import TOOLS
from e2e.world.scene import Scene
from e2e.world.secrets import Password, Secret

from .errand import Errand, Job

CREDENTIAL = ".aws/credentials"

_STATE = """\
terraform {{
  backend "s3" {{
    bucket                  = "{bucket}"
    key                     = "{key}"
    region                  = "us-east-1"
    endpoints               = {{ s3 = "{address}", sts = "{address}", iam = "{address}" }}
    use_path_style          = true
    skip_metadata_api_check = true
  }}
}}

resource "terraform_data" "greeting" {{
  input = "{greeting}"
}}

output "greeting" {{
  value = terraform_data.greeting.output
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """The cloud at `address`, and the home of somebody who may use its bucket BUCKET."""

    address: str
    home: Path

    def furnish(self, account: Account) -> None:
        """Let the account in too: with a copy of those settings and keys."""
        shutil.copytree(self.home / ".aws", account.home / ".aws")
        (account.home / CREDENTIAL).chmod(0o600)
        account.own(account.home / ".aws")

    def aws(self, *arguments: str) -> Completed:
        """Run aws on the host as that person."""
        return run(("aws", *arguments), env={"PATH": TOOLS, "HOME": str(self.home)})

    def read(self, key: str) -> bytes | None:
        """Return the content of an object, or None where there is no such object."""
        got = self.aws("s3", "cp", f"s3://{BUCKET}/{key}", "-")
        return None if "404" in got.stderr else got.succeeded().out

    def key_id(self) -> str:
        """Return the half of the key that is no secret."""
        return self._read_key("aws_access_key_id")

    def secret(self) -> str:
        """Return the secret half of the key."""
        return self._read_key("aws_secret_access_key")

    def _read_key(self, name: str) -> str:
        settings = configparser.ConfigParser()
        settings.read(self.home / CREDENTIAL)
        return settings["default"][name]

    def forge(self) -> str:
        """Return the file with the right key and another secret half."""
        text = (self.home / CREDENTIAL).read_text()
        return text.replace(self.secret(), self.secret()[::-1])


@contextmanager
def running_cloud(folder: Path, *, port: int) -> Iterator[Cloud]:
    """Serve at `port` while the context lasts; `folder`, which is made, is for its files."""
    folder.mkdir(mode=0o700)
    with running_aws(folder, folder, port=port) as address:
        fill_bucket("aws", {"PATH": TOOLS, "HOME": str(folder)}, {})
        yield Cloud(address=address, home=folder)


class AtCloud(Errand):
    """An errand at the cloud, which lets nobody in but by that key."""

    credential = CREDENTIAL
    trusts = (".aws/config",)

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._number = itertools.count()

    def forge(self) -> str:
        """Return the right key with another secret half."""
        return self.cloud.forge()

    def secrets(self) -> list[Secret]:
        """Return the secret half of the key."""
        return [Password(self.cloud.secret())]


class Aws(AtCloud):
    """A file of the workspace, copied into the bucket."""

    name = "aws"
    lacks = "Unable to locate credentials"
    refused = "SignatureDoesNotMatch"

    def job(self, scene: Scene) -> Job:
        """Copy a new file."""
        name = f"aws-{next(self._number)}"
        account = scene.airlock.account
        account.write(scene.project.path / name, f"content of {name}\n")
        return Job(
            argvs=[("aws", "s3", "cp", name, f"s3://{BUCKET}/{name}")],
            arrived=lambda: self.cloud.read(name) == f"content of {name}\n".encode(),
        )


class Terraform(AtCloud):
    """init, plan and apply, with the state in the bucket."""

    name = "terraform"
    lacks = "No valid credential sources found"
    refused = "StatusCode: 403"

    def job(self, scene: Scene) -> Job:
        """Apply a new configuration to a new state."""
        name = self.write_configuration(scene)
        quiet = ("-no-color", "-input=false")
        return Job(
            argvs=[
                ("terraform", "init", *quiet),
                ("terraform", "plan", *quiet, "-out=plan"),
                ("terraform", "apply", *quiet, "plan"),
            ],
            cwd=f"/workspace/{name}",
            arrived=lambda: self.applied(name) == f"hello {name}",
        )

    def write_configuration(self, scene: Scene) -> str:
        """Make a directory of the workspace with a configuration; return its name."""
        name = f"terraform-{next(self._number)}"
        account = scene.airlock.account
        # Whoever is in the boxes of a daemon that is root writes there too.
        mode = 0o777 if account.uid == 0 else 0o755
        folder = account.make_directory(scene.project.path / name, mode=mode)
        text = _STATE.format(
            bucket=BUCKET, key=name, address=self.cloud.address, greeting=f"hello {name}"
        )
        account.write(folder / "main.tf", text)
        return name

    def applied(self, name: str) -> str | None:
        """Return the output that the state in the bucket has, or None where it has none."""
        state = self.cloud.read(name)
        outputs = json.loads(state)["outputs"] if state else {}
        return outputs["greeting"]["value"] if outputs else None
