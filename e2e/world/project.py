"""The account's project: a working tree with a remote at the git server."""

from dataclasses import dataclass
from pathlib import Path

from .account import Account
from .command import Completed, run
from .git_server import Repository
from .home import ssh_command

TOOLS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of the account and of the daemon on the host: Debian's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The working tree at `path`, whose remote `origin` is `repository`."""

    account: Account
    path: Path
    repository: Repository

    @classmethod
    def make(cls, account: Account, path: Path, repository: Repository) -> "Project":
        """Create the working tree with a first, unpushed commit."""
        account.make_directory(path)
        project = cls(account=account, path=path, repository=repository)
        # The user in the boxes of a root daemon writes there too.
        is_shared = account.uid == 0
        if is_shared:
            path.chmod(0o777)
        project.git("init", "--quiet", *(("--shared=0666",) if is_shared else ())).succeeded()
        project.git("remote", "add", "origin", repository.url).succeeded()
        project.commit("begin")
        return project

    def git(self, *arguments: str) -> Completed:
        """Run git on the host, as the project's owner."""
        account = self.account
        return run(
            ("git", *arguments),
            cwd=str(self.path),
            env=account.environment(path=TOOLS) | ssh_command(account),
            uid=account.uid,
            gid=account.gid,
        )

    def commit(self, message: str) -> str:
        """Commit a new line in a file and return the commit id."""
        file = self.path / "notes.txt"
        with file.open("a") as stream:
            stream.write(f"{message}\n")
        self.account.own(file)
        self.git("add", "notes.txt").succeeded()
        self.git("commit", "--quiet", f"--message={message}").succeeded()
        return self.head()

    def head(self) -> str:
        """Return the commit id of HEAD."""
        return self.git("rev-parse", "HEAD").succeeded().stdout
