"""A person whose agent uses APIs in containers, and the services that want its credentials."""

import json
import secrets
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.world import api_services, aws_server
from e2e.world.api_services import (
    ANTHROPIC,
    CLOUD,
    GITHUB,
    INDEX,
    NPM,
    OPENAI,
    STORAGE,
    UPLOAD,
    WRITTEN,
    Services,
)
from e2e.world.command import Completed, run
from e2e.world.daemon import Daemon
from e2e.world.executables import Executables
from e2e.world.images import make_tools
from e2e.world.npm_registry import Registry
from e2e.world.person import Person, newcomer
from e2e.world.project import Project
from e2e.world.scene import Stage
from e2e.world.secrets import Password
from e2e.world.web_server import Asked, WebServer

PRINTER = """\
#!/bin/sh
echo "the password is {password}" >&2
echo {password}
[ ! -e ~/locked ]
"""
"""A program of the person's that prints the password of the index; beside `~/locked` it fails."""
GCLOUD = """\
#!/bin/sh
[ "$*" = "auth print-access-token" ] && echo {token}
"""
"""As much of gcloud as the daemon asks."""
COMMANDS = ("gh", "anthropic", "openai", "google", "npm", "pypi", "aws", "terraform", "git")
PROFILE = """\
commands = {commands}
[git]
push = ["github.com/acme/app"]
fetch = ["git@127.0.0.1:{git_port}/**"]
[npm]
publish = ["app"]
[pypi]
publish = true
[workspace]
same_path = ["{project}"]
[api.index]
hosts = ["{index}"]
credential = {{ as = "basic", user = "{user}", command = ["{printer}"], placeholder = "pw_{{24}}" }}
allow = ["GET /simple/**", "GET /packages/**"]
env = {{ INDEX = "https://{user}:{{placeholder}}@{index}/simple/" }}
[env]
set = {{ AWS_PROFILE = "{aws_profile}" }}
[aws]
regions = ["{region}"]
buckets = ["{bucket}"]
roles = ["{role}"]
allow = ["s3:PutObject", "s3:DeleteObject", "s3:GetObjectTagging"]
hosts = {aws_hosts}
[google]
projects = ["acme-dev"]
write = ["{written}"]
[network]
terraform = ["{downloads}:443"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A person whose agent has APIs, and the services that want the person's credentials."""

    person: Person
    project: Project
    image: str
    services: Services
    server: WebServer
    secrets: dict[str, str]
    daemon: "Keeper"
    host: Callable[[str, Path], Completed]

    def words(
        self, line: str, *options: str, image: str = "", program: str = "bash"
    ) -> tuple[str, ...]:
        """The command that types a line in a container of `run`, of the image with tools."""
        typed = (program, "-euc", line) if line else ()
        return ("airlock-daemon", "run", "my", *options, image or self.image, *typed)

    def run(self, line: str, *options: str, image: str = "", program: str = "bash") -> str:
        """Return what the line prints; it must succeed, and nothing has a credential."""
        return self.try_out(line, *options, image=image, program=program).succeeded().stdout

    def try_out(
        self, line: str, *options: str, image: str = "", program: str = "bash"
    ) -> Completed:
        """Type the line; nothing has a credential."""
        words = self.words(line, *options, image=image, program=program)
        done = self.person.try_line(shlex.join(words), cwd=self.project.path)
        assert self.find_leaks(done.out + done.err) == []
        return done

    def run_on_host(self, line: str, *, cwd: Path) -> str:
        """Return what the line prints where no Airlock is: it has the person's credentials."""
        return self.host(line, cwd).succeeded().stdout

    def find_leaks(self, data: bytes) -> list[str]:
        """The credentials of which pieces are in `data`."""
        return [name for name, value in self.secrets.items() if Password(value).find(data)]

    def asked(self, host: str) -> list[Asked]:
        """What that service was asked so far."""
        return [each for each in self.server.asked if each.host == host]


@dataclass(slots=True, kw_only=True)
class Keeper:
    """A daemon that is started, ended and started again."""

    begin: Callable[[], Daemon]
    running: Daemon | None = None

    def start(self) -> None:
        """Start it; it serves when this returns."""
        self.running = self.begin()

    def stop(self) -> None:
        """End it, if it runs."""
        if self.running is not None:
            self.running.stop()
        self.running = None


@contextmanager
def running_place(
    stage: Stage, executables: Executables, folder: Path, *, tools: Sequence[Path] = ()
) -> Iterator[Place]:
    """Have a person with credentials at home, and a daemon that sees the services.

    `folder`, which is made, is for its files. The daemon finds `tools` before those of the host.
    """
    account = stage.account
    known = {
        GITHUB: f"gho_{secrets.token_hex(18)}",
        ANTHROPIC: f"sk-ant-api03-{secrets.token_hex(40)}",
        INDEX: secrets.token_hex(20),
        NPM: f"npm_{secrets.token_hex(18)}",
        UPLOAD: f"pypi-{secrets.token_hex(32)}",
        OPENAI: f"sk-proj-{secrets.token_hex(24)}",
        STORAGE: f"ya29.{secrets.token_hex(32)}",
    }
    services = Services(tokens=known, registry=Registry(token=known[NPM]))
    folder.mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(api_services.running_services(folder, services))
        cloud = aws_server.running_cloud(folder, server.authority, address=CLOUD)
        keys = stack.enter_context(cloud)
        person = stack.enter_context(newcomer(account, executables))
        repository = stage.server.make_repository("apis")
        project = Project.make(account, folder.with_name("apis-project"), repository)
        granted = " ".join(f"--command {each}" for each in COMMANDS)
        person.run(f"airlock-daemon agent add my --workspace . {granted} --yes", cwd=project.path)
        printer = _give_credentials(person, known, cwd=project.path)
        files = person.files
        account.write(
            files / "agents/my/airlock.toml", _write_profile(project, printer), mode=0o600
        )
        gcloud = account.write(
            account.make_directory(account.home / "google") / "gcloud",
            GCLOUD.format(token=known[STORAGE]),
            mode=0o700,
        )
        programs = (*tools, gcloud)
        search = (*(str(each.parent) for each in programs), person.environment["PATH"])
        variables = {"SSL_CERT_FILE": str(server.authority), "PATH": ":".join(search)}
        for name, file in (("CONFIG", "config"), ("SHARED_CREDENTIALS", "credentials")):
            copy = account.write(
                account.home / f"aws-{file}", (folder / file).read_text(), mode=0o600
            )
            variables[f"AWS_{name}_FILE"] = str(copy)
        line = f"exec airlock-daemon start --agents {files}/agents.toml"
        daemon = Keeper(
            begin=lambda: Daemon(
                (*_see_services(folder), *person.shell(line)),
                said=folder / "daemon-said",
                sockets=lambda: [
                    files / f"sockets/my/{name}.sock" for name in ("airlock", "https")
                ],
                environment={**person.environment, **variables},
            )
        )
        daemon.start()
        stack.callback(daemon.stop)

        def run_there(line: str, cwd: Path) -> Completed:
            words = (*_see_services(folder), *person.shell(line))
            return run(words, cwd=str(cwd), env={**person.environment, **variables})

        yield Place(
            person=person,
            project=project,
            image=make_tools(),
            services=services,
            server=server,
            secrets={**known, **{f"aws {name}": secret for name, secret in keys.items()}},
            daemon=daemon,
            host=run_there,
        )


def _write_profile(project: Project, printer: Path) -> str:
    return PROFILE.format(
        commands=json.dumps(COMMANDS),
        project=project.path,
        index=INDEX,
        user=api_services.USER,
        printer=printer,
        aws_profile=aws_server.READER,
        aws_hosts=json.dumps(aws_server.NAMES),
        bucket=aws_server.BUCKET,
        region=aws_server.REGION,
        role=aws_server.ROLE,
        downloads=api_services.DOWNLOADS,
        git_port=project.repository.server.port,
        written=WRITTEN,
    )


def _give_credentials(person: Person, known: Mapping[str, str], *, cwd: Path) -> Path:
    """Put each where the person has it; return the program that prints that of the index."""
    account = person.account
    folder = account.home / ".config/gh"
    folder.mkdir(parents=True)
    hosts = f"github.com:\n    oauth_token: {known[GITHUB]}\n    user: ada\n"
    account.write(folder / "hosts.yml", hosts, mode=0o600)
    account.own(account.home / ".config")
    stored = {"anthropic": ANTHROPIC, "openai": OPENAI, "npm": NPM, "pypi": UPLOAD}
    for name, host in stored.items():
        token = f"{known[host]}\n".encode()
        person.try_line(f"airlock-daemon login {name}", cwd=cwd, stdin=token).succeeded()
    text = PRINTER.format(password=known[INDEX])
    return account.write(account.home / "print-password", text, mode=0o700)


def _see_services(folder: Path) -> tuple[str, ...]:
    """The words before a command that sees the services by their names."""
    hosts = api_services.write_hosts(folder / "hosts")
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    return ("unshare", "--mount", "--propagation=slave", "sh", "-euc", script, str(hosts))
