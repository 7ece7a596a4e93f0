"""A job of GitHub Actions, as far as its script does what a runner would call it for."""

import re
from pathlib import Path

from .git_server import GitServer, Repository
from .keyed_host import HOME, VARIABLES, KeyedHost

PROFILE = """
commands = ["git-remote", "ssh"]
[git]
push = ["git@{server}/srv/*"]
refs = ["refs/heads/agent/**"]
[ssh]
hosts = ["guest@{server}"]
[workspace]
same_path = ["{home}/app"]
"""


def run_action(runner: KeyedHost, action: Path, repository: Repository) -> tuple[str, str]:
    """Run the script of `action`; return the directory that later steps have on PATH, and the key.

    The key of the machine is the input, and is no file any more. The inputs without a default of
    their own keep what action.yml says.
    """
    server: GitServer = repository.server
    key = runner.type("cat .ssh/id_ed25519 && rm .ssh/id_ed25519")
    manifest = (action / "action.yml").read_text()
    (package,) = re.findall(r"default: (airlock-daemon\S+)", manifest)
    inputs = {
        "AGENT": "my",
        "GRANT": "--command git-remote --command ssh",
        "KNOWN_HOSTS": "",
        "PACKAGE": package,
        "PROFILE": PROFILE.format(server=server.address, home=HOME),
        "SSH_KEY": key,
    }
    assert set(re.findall(r"AIRLOCK_(\w+):", manifest)) == set(inputs)
    runner.begin(repository.url_from_containers)
    runner.type("mkdir temp")
    runner.host.write(f"{HOME}/start", (action / "start").read_text())
    job = {
        "RUNNER_TEMP": f"{HOME}/temp",
        "GITHUB_PATH": f"{HOME}/temp/path",
        "GITHUB_WORKSPACE": f"{HOME}/app",
    }
    variables = {f"AIRLOCK_{name}": value for name, value in inputs.items()}
    runner.host.run("sh", f"{HOME}/start", env=VARIABLES | job | variables).succeeded()
    path = runner.type("cat temp/path")
    install = "mkdir bin && airlock shim bin/airlock-shim && bin/airlock-shim --install bin"
    runner.type(f"PATH={path}:$PATH; {install} git-ssh ssh")
    return path, key
