"""Where the table is carried out: repositories at the server, and a clone for each case."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.journeys.remotes.case import Case
from e2e.world.git_server import GitServer

ROOT = "/srv/remote"
"""The directory of all these repositories at the server."""

_DATE = "2024-02-29T12:00:00+00:00"
_NAMES = ("AUTHOR", "COMMITTER")
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    **{f"GIT_{name}_DATE": _DATE for name in _NAMES},
    **{f"GIT_{name}_NAME": "A Person" for name in _NAMES},
    **{f"GIT_{name}_EMAIL": "person@example.com" for name in _NAMES},
}
"""With this, a commit has the same id wherever it is made."""

_SEED = f"""
set -eu
export {" ".join(f"{name}={shlex.quote(value)}" for name, value in ENVIRONMENT.items())}
mkdir -p {ROOT}/templates/none; cd {ROOT}/templates
# Sample hooks in hundreds of repositories would be most of their files.
export GIT_TEMPLATE_DIR={ROOT}/templates/none
commit() {{ mkdir -p folder; echo "$1" >>notes; echo "$1" >folder/"$1"; git add .
    git commit --quiet --message="$1"; }}

git init --quiet library; cd library; echo 'a book' >book; git add book
git commit --quiet --message=book; cd ..
git clone --quiet --bare library library.git

git init --quiet seed; cd seed; commit one; commit two
git clone --quiet --bare . ../before.git
git branch topic; commit three; git tag --annotate --message=one v1; commit four; git tag light
git switch --quiet --create nested
git -c protocol.file.allow=always submodule --quiet add ../library library
git config --file .gitmodules submodule.library.url ../library.git
git commit --quiet --all --message=nested
git switch --quiet topic; commit other; git switch --quiet main; cd ..
git clone --quiet --bare seed plain.git
git --git-dir=plain.git config uploadpack.allowFilter true
git --git-dir=plain.git config uploadpack.allowAnySHA1InWant true
git --git-dir=plain.git config transfer.advertiseSID true
git init --quiet --bare empty.git
git init --quiet --bare --object-format=sha256 sha256.git
cp -R plain.git picky.git; mkdir picky.git/own
printf '#!/bin/sh\\nwhile read -r _ _ ref; do case $ref in */kept) exit 0;; esac; done
echo not on a Thursday; exit 1\\n' >picky.git/own/pre-receive
printf '#!/bin/sh\\ncase $1 in */kept) echo kept as it is; exit 1;; esac\\n' >picky.git/own/update
chmod 755 picky.git/own/*
git --git-dir=picky.git config receive.advertisePushOptions true
git --git-dir=picky.git config core.hooksPath {ROOT}/templates/picky.git/own
chown -R git {ROOT}
"""

# What one case is carried out by, in the directory of its side.
_CASE = """
mkdir {id}; cp -R "$CLONE" {id}/work; cd {id}/work; URL=$SERVER/{id}.git ID={id}.git
git remote set-url origin "$URL"
( export URL ID AIRLOCK_SOCKET={socket}; exec sh -e -c {script} ) >../out 2>../err </dev/null
echo $? >../status
for each in . ../copy; do git -C $each rev-parse HEAD; git -C $each for-each-ref; done >../refs 2>&1
cd "$HERE"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a case: its status and streams, and the refs of both ends.

    `err` has its lines sorted: git and its ssh write there side by side.
    """

    status: int
    out: str
    err: str
    refs: str
    remote_refs: str


def seed(server: GitServer) -> None:
    """Make the repositories of which each case gets a copy."""
    server.run("sh", "-s", stdin=_SEED.encode()).succeeded()


def lay_out(server: GitServer, side: str, cases: Iterable[Case]) -> None:
    """Give `side` its own repository for each case."""
    copies = [f"cp -R ../templates/{case.remote}.git {case.id}.git" for case in cases]
    lines = [
        "set -eu",
        f"mkdir {ROOT}/{side}; cd {ROOT}/{side}",
        "cp -R ../templates/library.git .",
    ]
    script = "\n".join([*lines, *copies, "chown -R git ."])
    server.run("sh", "-s", stdin=script.encode()).succeeded()


def read_remote_refs(server: GitServer, side: str) -> dict[str, str]:
    """The refs of each repository of `side`."""
    script = f"cd {ROOT}/{side}; for each in *.git; do echo == $each; "
    listed = server.run("sh", "-c", f"{script} git --git-dir=$each for-each-ref; done").succeeded()
    pieces = listed.out.decode().split("== ")[1:]
    return {
        name.removesuffix(".git"): refs for name, _, refs in (p.partition("\n") for p in pieces)
    }


def write_script(
    cases: Iterable[Case], *, url: str, folder: str, configuration: str, sockets: Mapping[str, str]
) -> str:
    """The script that carries out all cases of a side, whose repositories are below `url`.

    `folder` is its directory, beside a `clone`, and `configuration` git's file for its user, as the
    script sees them. `sockets` has that of each agent likewise; it is empty for a plain git.
    """
    lines = [
        f"export SERVER={url} CLONE={folder}/../clone HERE={folder}",
        # What takes longer than two seconds would say so, on one side and not on the other.
        f"export GIT_CONFIG_GLOBAL={configuration} GIT_PROGRESS_DELAY=3600",
        *(f"export {name}={shlex.quote(value)}" for name, value in ENVIRONMENT.items()),
        'cd "$HERE"',
    ]
    lines += [
        _CASE.format(id=case.id, socket=sockets.get(case.agent, ""), script=shlex.quote(case.run))
        for case in cases
    ]
    return "\n".join(lines)


def read_result(folder: Path, case: Case, remote_refs: str, *, at: str) -> Result:
    """What the script left of a case in the directory of its side, which it saw `at` that path."""
    here = folder / case.id

    def read(name: str) -> str:
        text = (here / name).read_text()
        return text.replace(f"{at}/", "/SIDE/").replace(f"/{folder.name}/", "/SIDE/")

    return Result(
        status=int(read("status")),
        out=read("out"),
        err="".join(sorted(read("err").splitlines(keepends=True))),
        refs=read("refs"),
        remote_refs=remote_refs,
    )
