"""A container's own git signs commits and tags, with a key that the container never has."""

import shlex
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.command import Completed, run
from e2e.world.daemon import Daemon
from e2e.world.executables import Executables
from e2e.world.images import Images, temporary_image
from e2e.world.need import need
from e2e.world.person import Person, newcomer
from e2e.world.project import Project
from e2e.world.questions import Questions, read_detail
from e2e.world.reach import command_line_beside
from e2e.world.scene import Stage

from .remotes.layouts import LAYOUTS

_EMAIL = "agent@acme.example"
_GIT = f"git -c user.name=Agent -c user.email={_EMAIL} -c commit.gpgSign=true -c tag.gpgSign=true"
_COMMITS = 50
_GRANT = f'[sign]\nemails = ["{_EMAIL}"]\nkey = "KEY"\n'

# The hook of a forge that requires signed commits: it gets a ref, the old and the new id.
_RULE = """\
#!/bin/sh
for commit in $(git rev-list "$3" --not --all); do
  git -c gpg.ssh.allowedSignersFile=/srv/signers verify-commit "$commit" || exit 1
done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A person with a project, and a daemon that serves the agent `my`, who may sign."""

    person: Person
    project: Project
    image: str
    key: str
    daemon: Daemon

    @property
    def questions(self) -> Questions:
        """The questions of the daemon, and the person's answers."""
        person = self.person
        shell = command_line_beside(self.daemon.pid, Path("/bin/sh"), person.account)

        def answer(*words: str) -> Completed:
            line = shlex.join(("airlock-daemon", *words))
            return run((*shell, "-c", line), cwd="/", env=person.environment)

        return Questions(answer)

    @property
    def files(self) -> Path:
        """The directory of the person's Airlock files."""
        return self.person.files

    @contextmanager
    def granting(self, agent: str, key: str, more: str = "") -> Iterator[None]:
        """Have commits of an agent signed by `key`, with `more` in its profile, until the end."""
        profile = self.files / f"agents/{agent}/airlock.toml"
        before = profile.read_text()
        text = before.partition("[sign]\n")[0] + _GRANT.replace("KEY", key) + more
        self.person.account.write(profile, text)
        self.person.run("airlock-daemon reload", cwd=self.project.path)
        yield
        self.person.account.write(profile, before)
        self.person.run("airlock-daemon reload", cwd=self.project.path)

    def run(self, script: str) -> str:
        """Run a script in a container, in the project; GIT in it signs. It must succeed."""
        words = ("sh", "-ec", script.replace("GIT", _GIT))
        line = f"airlock-daemon run my {self.image} {shlex.join(words)}"
        return self.person.run(line, cwd=self.project.path)

    def verify(self, kind: str, name: str) -> str:
        """What the host's git says of a commit's or tag's signature, which must be good."""
        signers = f"gpg.ssh.allowedSignersFile={self.project.path.parent}/signers"
        done = self.project.git("-c", signers, f"verify-{kind}", name)
        return done.succeeded().stderr


@pytest.fixture(scope="module")
def place(
    stages: dict[str, Stage], executables: Executables, images: Images, ground: Path
) -> Iterator[Place]:
    """Return a person who has granted signatures to an agent, by a key for agents."""
    stage = stages["user"]
    repository = stage.server.make_repository("signed")
    project = Project.make(stage.account, ground / "signed", repository)
    recipe = LAYOUTS["debian"].format(debian=images.debian, busybox=images.busybox)
    with (
        newcomer(stage.account, executables) as person,
        temporary_image("signing", recipe) as image,
    ):
        key = stage.account.home / ".config/airlock/agents-key"
        add = "airlock-daemon agent add my --workspace . --command git-remote --command git-sign"
        person.run(f"{add} --yes", cwd=project.path)
        person.run(f"ssh-keygen -q -t ed25519 -N '' -f {key}", cwd=project.path)
        public = Path(f"{key}.pub").read_text()
        stage.account.write(ground / "signers", f'{_EMAIL} namespaces="git" {public}')
        with person.start(said=ground / "signed.log") as daemon:
            place = Place(person=person, project=project, image=image, key=str(key), daemon=daemon)
            with place.granting("my", place.key):
                yield place


def test_a_rebase_of_many_commits_is_signed_and_pushed(place: Place) -> None:
    """The host verifies each, the branch arrives as it is, and the log has what was signed."""
    place.run(
        f"for n in $(seq {_COMMITS}); do GIT commit -q --allow-empty -m many-$n; done; "
        f"GIT rebase -q --force-rebase HEAD~{_COMMITS}; GIT push -q origin HEAD:agent/many"
    )
    for back in range(_COMMITS):
        said = place.verify("commit", f"HEAD~{back}")
        assert f'Good "git" signature for {_EMAIL}' in said
    assert place.project.repository.commit("agent/many") == place.project.head()
    told = place.person.run("airlock-daemon log tail -n 500", cwd=place.project.path)
    assert told.count("sign git commit ") == 2 * _COMMITS


def test_a_tag_is_signed(place: Place) -> None:
    """By the same key."""
    place.run("GIT tag -s -m release v1")
    assert f'Good "git" signature for {_EMAIL}' in place.verify("tag", "v1")


def test_a_forge_that_requires_signatures_takes_them(place: Place, ground: Path) -> None:
    """Its rule is a hook over allowed_signers; a commit without a signature is rejected there."""
    repository = place.project.repository
    place.run("GIT push -q origin HEAD:agent/base")
    hooks = f"{repository.path}/hooks"
    configure = f"git config --file {repository.path}/config"
    install = f"cat >{hooks}/update && chmod 755 {hooks}/update"
    install += f" && {configure} core.hooksPath {hooks}"
    repository.server.run("sh", "-c", install, stdin=_RULE.encode()).succeeded()
    signers = (ground / "signers").read_bytes()
    repository.server.run("sh", "-c", "cat >/srv/signers", stdin=signers).succeeded()
    try:
        place.run("GIT commit -q --allow-empty -m ruled; GIT push -q origin HEAD:agent/ruled")
        head = place.project.head()
        said = place.run(
            "GIT commit -q --allow-empty --no-gpg-sign -m x; "
            "! GIT push origin HEAD:agent/ruled 2>&1; GIT reset -q --soft HEAD~1"
        )
    finally:
        repository.server.run("sh", "-c", f"{configure} --unset core.hooksPath").succeeded()
    assert "[remote rejected] HEAD -> agent/ruled (hook declined)" in said
    assert repository.commit("agent/ruled") == head == place.project.head()


def test_another_person_s_commit_is_not_signed(place: Place) -> None:
    """git makes none, and says why."""
    before = place.project.head()
    script = "GIT commit --allow-empty --author='CEO <ceo@acme.example>' -m x"
    line = f"airlock-daemon run my {place.image} sh -ec {shlex.quote(script.replace('GIT', _GIT))}"
    done = place.person.try_line(line, cwd=place.project.path)
    assert done.exit_code == 128
    assert 'airlock: a commit with the author "ceo@acme.example" is not signed' in done.stderr
    assert place.project.head() == before


def test_a_signature_waits_for_a_person(place: Place) -> None:
    """Who sees the whole commit; it is made with the approval, and not with a rejection."""
    project, questions = place.project, place.questions
    script = "GIT commit -q --allow-empty -m asked"
    with (
        place.granting("my", place.key, '[approve]\nrequire = ["sign *"]\n'),
        ThreadPoolExecutor() as pool,
    ):
        made = pool.submit(place.run, script)
        (question,) = questions.wait_for()
        assert f"committer Agent <{_EMAIL}> " in read_detail(question, "the commit")
        questions.approve(question)
        made.result()
        assert f'Good "git" signature for {_EMAIL}' in place.verify("commit", "HEAD")
        before = project.head()
        refused = pool.submit(place.run, f"{script} || test $? -eq 128")
        questions.reject(questions.wait_for()[0], "not now")
        refused.result()
    assert project.head() == before


def test_a_container_has_no_key(place: Place) -> None:
    """It learns the public one, and nothing else signs."""
    assert place.run("git-sign").startswith("key::ssh-ed25519 ")
    line = f"airlock-daemon run my {place.image} git-sign ssh"
    done = place.person.try_line(line, cwd=place.project.path, stdin=b"certificate version 0.1\n")
    assert (done.exit_code, done.stdout) == (126, "")
    assert "a push certificate is not signed" in done.stderr


@pytest.mark.linux_only("boxes")
def test_git_of_the_host_signs_in_a_box(place: Place) -> None:
    """In an image without git, a rebase of as many, and a tag; the branch arrives."""
    need(None if shutil.which("bwrap") else "there is no bubblewrap")
    person, project = place.person, place.project
    script = (
        f"set -e; for n in $(seq {_COMMITS}); do GIT commit -q --allow-empty -m boxed-$n; done\n"
        f"GIT rebase -q --force-rebase HEAD~{_COMMITS}; GIT tag -s -m release boxed\n"
        "GIT push -q origin HEAD:refs/heads/agent/boxed\n"
    )
    person.account.write(project.path / "boxed", script.replace("GIT", _GIT))
    project.git("config", "alias.boxed", "!sh ./boxed").succeeded()
    add = "airlock-daemon agent add box --workspace . --command git --command git-sign --yes"
    person.run(add, cwd=project.path)
    try:
        with place.granting("box", place.key):
            person.run("airlock-daemon run box airlock-e2e/busybox git boxed", cwd=project.path)
    finally:
        person.run("airlock-daemon agent remove box --yes", cwd=project.path)
    for back in range(_COMMITS):
        assert f'Good "git" signature for {_EMAIL}' in place.verify("commit", f"HEAD~{back}")
    assert f'Good "git" signature for {_EMAIL}' in place.verify("tag", "boxed")
    assert project.repository.commit("agent/boxed") == project.head()


def test_the_host_s_gpg_signs(place: Place) -> None:
    """Commits, each again in a rebase, and a tag, where the key is one of OpenPGP."""
    need(None if shutil.which("gpg") else "there is no gpg")
    person, project = place.person, place.project
    make = "gpg --batch --quiet --passphrase '' --quick-generate-key"
    person.run(f"{make} 'Agent <{_EMAIL}>' ed25519 sign", cwd=project.path)
    try:
        listed = person.run("gpg --batch --with-colons --list-keys", cwd=project.path)
        key = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
        with place.granting("my", key):
            place.run(
                f"for n in $(seq {_COMMITS}); do GIT commit -q --allow-empty -m pgp-$n; done; "
                f"GIT rebase -q --force-rebase HEAD~{_COMMITS}; GIT tag -s -m release pgp; "
                "GIT push -q origin HEAD:agent/pgp"
            )
        for back in range(_COMMITS):
            assert f'Good signature from "Agent <{_EMAIL}>"' in place.verify(
                "commit", f"HEAD~{back}"
            )
        assert f'Good signature from "Agent <{_EMAIL}>"' in place.verify("tag", "pgp")
    finally:
        person.run("gpgconf --kill all", cwd=project.path)
    assert project.repository.commit("agent/pgp") == project.head()
