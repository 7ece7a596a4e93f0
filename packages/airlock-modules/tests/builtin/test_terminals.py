"""ssh and terraform on a terminal, in the environments of the modules."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airlock_modules import load_builtin
from terminal import run_on_terminal
from terraform_library import RUN, needs_terraform

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")
# A server that is started as root wants a directory that only its service makes.
needs_sshd = pytest.mark.skipif(
    SSHD is None or (os.geteuid() == 0 and not Path("/run/sshd").is_dir()),
    reason="there is no sshd that could be started",
)
TERRAFORM = f"{RUN}\nsys.exit(run(sys.argv[1:], 1, 2))"
CONFIGURATION = 'variable "name" {}\noutput "greeting" {\n  value = "hello ${var.name}"\n}\n'


def environment_of(module: str, home: Path, **variables: str) -> dict[str, str]:
    base = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm"}
    return base | variables | dict(load_builtin(module).set)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return a key for which a passphrase is needed."""
    path = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "passphrase", "-f", str(path)], check=True
    )
    return path


@pytest.fixture
def server(tmp_path: Path) -> str:
    """Return the option that connects ssh with a server that nobody knows."""
    host_key = tmp_path / "host_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host_key)], check=True)
    (tmp_path / "sshd_config").write_text(f"HostKey {host_key}\nPidFile none\n")
    return f"-oProxyCommand={SSHD} -i -e -f {tmp_path}/sshd_config"


@needs_ssh
@pytest.mark.parametrize("module", ["ssh", "terraform"])
def test_a_passphrase_is_not_asked_for(tmp_path: Path, key: Path, module: str) -> None:
    """Whatever reads a key in the environment of a module fails at once, terminal or not."""
    ended = run_on_terminal(
        *("ssh-keygen", "-y", "-f", str(key)),
        directory=tmp_path,
        environment=environment_of(module, tmp_path),
        typed="passphrase\n",
    )
    assert "Enter passphrase" not in ended.text
    assert "ssh-ed25519" not in ended.text
    assert ended.status != 0


@needs_ssh
@needs_sshd
@pytest.mark.parametrize("module", ["terraform"])
def test_nobody_on_the_terminal_can_trust_an_unknown_host(
    tmp_path: Path, server: str, module: str
) -> None:
    """Without the arguments of the ssh module too, as a key that a profile selects has ssh run."""
    ended = run_on_terminal(
        *("ssh", "-F", "none", f"-oUserKnownHostsFile={tmp_path}/known", server, "host", "id"),
        directory=tmp_path,
        environment=environment_of(module, tmp_path),
        typed="yes\n",
    )
    assert "Host key verification failed" in ended.text
    assert ended.status == 255
    assert not (tmp_path / "known").exists()


@pytest.fixture
def terraform(tmp_path: Path) -> list[str]:
    """Return the command line of Terraform, beside a configuration with a variable."""
    (tmp_path / "main.tf").write_text(CONFIGURATION)
    return [sys.executable, "-c", TERRAFORM]


def terraform_environment(directory: Path) -> dict[str, str]:
    search = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    return environment_of("terraform", directory, **search)


@needs_terraform
@pytest.mark.parametrize(("answer", "status"), [("yes", 0), ("no", 1)])
def test_terraform_asks_on_a_terminal(
    tmp_path: Path, terraform: list[str], answer: str, status: int
) -> None:
    """For a value, and whether to apply; it applies on yes alone."""
    ended = run_on_terminal(
        *(*terraform, "apply", "-no-color"),
        directory=tmp_path,
        environment=terraform_environment(tmp_path),
        typed=f"world\n{answer}\n",
    )
    assert "Only 'yes' will be accepted" in ended.text
    assert ended.status == status
    assert (tmp_path / "terraform.tfstate").exists() == (answer == "yes")


@needs_terraform
@pytest.mark.parametrize(("text", "status"), [("yes\n", 0), ("", 1)])
def test_terraform_asks_on_a_pipe(
    tmp_path: Path, terraform: list[str], text: str, status: int
) -> None:
    """Without anything to read it fails at once."""
    done = subprocess.run(
        [*terraform, "apply", "-no-color", "-var", "name=world"],
        cwd=tmp_path,
        env=terraform_environment(tmp_path),
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Only 'yes' will be accepted" in done.stdout
    assert done.returncode == status
