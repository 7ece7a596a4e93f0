"""`airlock check --diff`."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airlock_daemon.admin.cli.compared_sides import read_side
from airlock_daemon.admin.cli.policy_diff import AgentDiff, compare
from airlock_daemon.admin.cli.policy_judge import Judge
from airlock_daemon.admin.cli.sampled_operations import Question, compile_action, meet
from airlock_daemon.setup.paths import Locations
from commanding import Done, airlock_daemon

ENABLED = '"git", "git-remote", "git-sign", "ssh", "gh", "aws", "terraform"'
PROFILE = """\
commands = ["git-remote", "git-sign", "ssh", "gh", "aws"]
[workspace]
host = true
[git]
push = ["github.com/acme/app"]
refs = [
  "refs/heads/agent/**",
]
protect = ["refs/heads/main"]
[ssh]
hosts = ["deploy@build.example.com"]
[sign]
emails = ["agent@example.com"]
[gh]
deny = ["POST /repos/*/*/pulls"]
[aws]
profile = "dev"
regions = ["eu-west-1"]
buckets = ["acme-*"]
[limits]
running = 8
"""

HUB, REF = "github.com/acme", "refs/heads/agent/x"
OPENS, CLOSES = ("refused", "allowed"), ("allowed", "refused")


class Policy:
    """A directory of configuration files with one agent, `my`, and a repository around it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.agent = root / "agents" / "my"
        self.agent.mkdir(parents=True)
        self.write("config.toml", f"[commands]\nenable = [{ENABLED}]\n")
        self.write("agents.toml", '[my]\npath = "agents/my"\n')
        self.write_profile(PROFILE)

    def write(self, name: str, text: str) -> None:
        """Write a file by its path beside config.toml."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def write_profile(self, text: str) -> None:
        """Write the agent's airlock.toml."""
        self.write("agents/my/airlock.toml", text)

    def git(self, *words: str) -> str:
        """Run git in the repository of the configuration."""
        names = (
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.com",
            "-c",
            "init.defaultBranch=main",
        )
        done = subprocess.run(
            ["git", *names, *words], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self) -> str:
        """Commit everything; return the id."""
        if not (self.root / ".git").exists():
            self.git("init", "-q")
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def diff(self, *sides: str, status: int = 1, options: tuple[str, ...] = ()) -> Done:
        """Run `check --diff` with this configuration as the one in use."""
        words = ("--config", str(self.root), "check", *options, "--diff", *sides)
        return airlock_daemon(*words, status=status)

    def report(self, *sides: str, status: int = 1) -> dict[str, Any]:
        """What `check --diff --json` prints."""
        told: dict[str, Any] = json.loads(
            self.diff(*sides, status=status, options=("--json",)).stdout
        )
        return told


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    """A policy in a directory of its own."""
    return Policy(tmp_path / "policy")


def compare_directories(one: Path, other: Path) -> AgentDiff:
    """The differences for the agent, without a process."""
    locations = Locations.find(config=str(one))
    old, new = (read_side(str(root), locations, "") for root in (one, other))
    return compare(old, new)["my"]


def change(policy: Policy, before: str, after: str) -> dict[str, Any]:
    """What is reported of the agent when a text of its profile is replaced."""
    assert before in PROFILE
    changed = Policy(policy.root.with_name("changed"))
    changed.write_profile(PROFILE.replace(before, after))
    told: dict[str, Any] = msgspec.to_builtins(compare_directories(policy.root, changed.root))
    return told


def decided(told: Mapping[str, Any], operation: str) -> tuple[str, str, str, str]:
    """How an operation was decided before and after, and where."""
    keys = ("before", "after", "decided_before", "decided_after")
    found = next(each for each in told["operations"] if each["operation"] == operation)
    before, after, old, new = (found[key] for key in keys)
    return before, after, old, new


def test_a_ref_that_is_added_is_shown_with_its_line(policy: Policy) -> None:
    """With what it opens, what it does not, and the lines on both sides."""
    told = change(
        policy, '"refs/heads/agent/**",\n', '"refs/heads/agent/**",\n  "refs/heads/rel/*",\n'
    )
    name = "agents/my/airlock.toml"
    assert decided(told, "git push github.com/acme/app refs/heads/rel/x") == (
        "refused",
        "allowed",
        f"{name}:6 git.refs",
        f'{name}:5 "github.com/acme/app", {name}:8 "refs/heads/rel/*"',
    )
    refs = {each["operation"].split()[-1] for each in told["operations"]}
    assert "refs/heads/rel/x/y" not in refs
    assert not any("/main" in ref for ref in refs)


@pytest.mark.parametrize(
    ("before", "after", "operation", "states"),
    [
        ("acme/app", "acme/*", f"git fetch {HUB}/x", OPENS),
        ("acme/app", "acme/*", f"git push {HUB}/x {REF}", OPENS),
        ("acme/app", "other/app", f"git fetch {HUB}/app", CLOSES),
        ("refs/heads/main", REF, f"git push {HUB}/app {REF}", CLOSES),
        ("[ssh]", "delete = true\n[ssh]", f"git push {HUB}/app {REF} --delete", OPENS),
        (
            "[ssh]",
            'push_options = ["ci.*"]\n[ssh]',
            f"git push {HUB}/app {REF} --push-option=ci.x",
            OPENS,
        ),
        ("deploy@build", "build", "ssh root@build.example.com uptime", OPENS),
        (
            "build.example",
            "*.example",
            "ssh deploy@x.example.com uptime",
            ("refused", "depends"),
        ),
        ("example.com", "example.com:2222", "ssh deploy@build.example.com:2222 uptime", OPENS),
        ("agent@", "*@", "sign git tag x-agent@example.com", OPENS),
        (
            "[gh]",
            'authors = ["*@example.org"]\n[gh]',
            "sign git commit agent@example.com x@example.org",
            OPENS,
        ),
        (
            'emails = ["agent@example.com"]',
            "",
            "sign git commit x-agent@example.com",
            ("refused", "depends"),
        ),
        ('deny = ["POST /repos/*/*/pulls"]', "", "gh POST /repos/acme/app/pulls", OPENS),
        (
            "[aws]",
            'allow = ["DELETE /repos/acme/app/git/refs/**"]\n[aws]',
            "gh DELETE /repos/acme/app/git/refs/x/y",
            OPENS,
        ),
        ("[aws]", 'allow = ["mutation addStar"]\n[aws]', "gh graphql mutation addStar", OPENS),
        ("eu-west-1", "eu-west-2", "aws ec2:DescribeInstances eu-west-2", OPENS),
        ("acme-*", "data", "aws s3:GetObject eu-west-1 acme-x/x", CLOSES),
        (
            "[limits]",
            'deny = ["s3:Get*"]\n[limits]',
            "aws s3:GetObject eu-west-1 acme-x/x",
            CLOSES,
        ),
    ],
)
def test_each_kind_of_pattern_is_sampled(
    policy: Policy, before: str, after: str, operation: str, states: tuple[str, str]
) -> None:
    """A pattern of each table that is changed shows an operation that it decides."""
    told = change(policy, before, after)
    assert decided(told, operation)[:2] == states
    assert all(each["after"] == "removed" for each in told["unseen"])


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (("git", "push", f"https://{HUB}/app", f"HEAD:{REF}"), None),
        (("git", "push", f"https://{HUB}/app", "HEAD:refs/heads/main"), None),
        (("git", "fetch", f"https://{HUB}/other"), None),
        (("ssh", "deploy@build.example.com", "uptime"), None),
        (("ssh", "root@build.example.com", "uptime"), None),
        (("sign", "commit", "agent@example.com"), ("git-sign", "commit", "agent@example.com")),
        (
            ("api", "gh", "api.github.com", "GET", "/repos/acme/app"),
            ("gh", "GET", "/repos/acme/app"),
        ),
        (
            ("api", "gh", "api.github.com", "POST", "/repos/acme/app/pulls"),
            ("gh", "POST", "/repos/acme/app/pulls"),
        ),
        (
            ("aws", "aws", "s3:GetObject", "eu-west-1", "acme-x/x"),
            ("aws", "s3:GetObject", "eu-west-1", "acme-x/x"),
        ),
        (
            ("aws", "aws", "s3:DeleteObject", "eu-west-1", "acme-x/x"),
            ("aws", "s3:DeleteObject", "eu-west-1", "acme-x/x"),
        ),
    ],
)
def test_each_sample_is_decided_as_airlock_test_does(
    policy: Policy, question: tuple[str, ...], words: tuple[str, ...] | None
) -> None:
    """Of the operations that both can ask about, the one allows what the other does."""
    kind, rest = question[0], question[1:]
    side = read_side(str(policy.root), Locations.find(config=str(policy.root)), "")
    outcome = Judge(side.generations["my"]).judge(
        msgspec.convert({"kind": kind, "words": rest}, Question)
    )
    status = 0 if outcome.state == "allowed" else 1
    asked = question if words is None else words
    airlock_daemon("--config", str(policy.root), "test", "my", *asked, status=status)


@pytest.mark.parametrize(
    ("pattern", "operation"),
    [
        ("git push * refs/heads/agent/**", f"git push {HUB}/app {REF}"),
        ("git * github.com/acme/**", f"git fetch {HUB}/app"),
        ("git", f"git push {HUB}/app {REF}"),
        ("ssh deploy@build.example.com", "ssh deploy@build.example.com uptime"),
        ("ssh * reboot", "ssh deploy@build.example.com reboot"),
        ("gh POST /repos/*/*/issues", "gh POST /repos/acme/app/issues"),
        ("gh * /repos/**", "gh GET /repos/acme/app"),
        ("aws *:Get*", "aws s3:GetObject eu-west-1 acme-x/x"),
        ("sign git commit", "sign git commit agent@example.com"),
        ("aws", "aws s3:GetObject eu-west-1 acme-x/x"),
    ],
)
def test_what_is_asked_is_neither_allowed_nor_refused(
    policy: Policy, pattern: str, operation: str
) -> None:
    """A pattern of [approve] shows an allowed operation that a person is asked about then."""
    told = change(policy, "[limits]", f'[approve]\nrequire = ["{pattern}"]\n[limits]')
    before, after, _, where = decided(told, operation)
    assert (before, after) == ("allowed", "asked")
    assert where == f'agents/my/airlock.toml:21 "{pattern}"'
    assert {(each["before"], each["after"]) for each in told["operations"]} <= {
        ("allowed", "asked"),
        ("depends", "asked"),
    }
    assert not told["unseen"]


@pytest.mark.parametrize("words", ["lfs upload github.com/acme/app 01 9", "push * * 1..2 x"])
def test_what_no_sample_can_name_is_told_as_unseen(policy: Policy, words: str) -> None:
    """Large files and commits are known to the client's git alone."""
    told = change(policy, "[limits]", f'[approve]\nrequire = ["git {words}"]\n[limits]')
    assert not told["operations"]
    assert f'"git {words}"' in [each["after"] for each in told["unseen"]]


def test_a_command_that_is_granted_comes_with_box_network_and_apis(policy: Policy) -> None:
    """Beside what its API and its arguments allow then."""
    told = change(policy, '"aws"]', '"aws", "terraform"]')
    grants = {each["name"]: each for each in told["grants"]}
    assert grants["command terraform"]["before"] == "not granted"
    assert grants["command terraform"]["after"].startswith("granted, box: closed")
    assert grants["command terraform"]["where"] == 'agents/my/airlock.toml:1 "terraform"'
    assert "network of terraform: registry.terraform.io:443" in grants
    assert "API terraform: app.terraform.io" in grants
    assert decided(told, "run terraform")[:2] == ("refused", "allowed")


def test_a_rule_of_a_module_is_sampled(policy: Policy) -> None:
    """One of the agent's own, in whichever spelling the tool accepts."""
    module = '[command]\nbin = "/bin/tool"\n[sandbox]\nbox = "closed"\n[deny]\nargs = [{}]\n'
    changed = Policy(policy.root.with_name("changed"))
    for each, rule in ((policy, "push & --force"), (changed, "--network=host")):
        each.write("config.toml", '[commands]\nenable = ["tool"]\n')
        each.write_profile('commands = ["tool"]\n')
        each.write("agents/my/commands/tool.toml", module.format(f'"{rule}"'))
    told = msgspec.to_builtins(compare_directories(policy.root, changed.root))
    assert decided(told, "run tool push --force") == (
        "refused",
        "allowed",
        'agents/my/commands/tool.toml:6 "push & --force"',
        'agents/my/airlock.toml:1 "tool"',
    )
    assert decided(told, "run tool --network=host")[:2] == ("allowed", "refused")
    shown = {each["operation"] for each in told["operations"]}
    assert "run tool push" not in shown
    assert not any("airlock-sample" in each for each in shown)


def test_a_box_that_is_opened_is_a_grant(policy: Policy) -> None:
    """Whatever the command's arguments, it can read the human's home then."""
    changed = Policy(policy.root.with_name("changed"))
    for each, box in ((policy, "closed"), (changed, "home")):
        module = f'[command]\nbin = "ssh-add"\n[sandbox]\nbox = "{box}"\n[deny]\nargs = []\n'
        each.write("config.toml", '[commands]\nenable = ["tool"]\n')
        each.write_profile('commands = ["tool"]\n')
        each.write("agents/my/commands/tool.toml", module)
    told = compare_directories(policy.root, changed.root)
    (grant,) = told.grants
    assert (grant.name, grant.before) == ("command tool", "granted, box: closed")
    assert "every credential in your home" in grant.after
    assert [(each.name, each.before, each.after) for each in told.settings] == [
        ("sandbox.box", '"closed"', '"home"')
    ]


def test_patterns_without_end_are_sampled_all_the_same(policy: Policy) -> None:
    """The author of a revision may write what exhausts a recursion, and is none the wiser."""
    deep = "refs/heads/" + "a/" * 2000 + "**"
    told = change(policy, '"refs/heads/agent/**",', f'"refs/heads/agent/**", "{deep}",')
    assert any(deep in each["after"] for each in told["unseen"])


def test_hooks_and_settings_are_compared_by_their_content(policy: Policy) -> None:
    """A hook's bytes, and each value that decides no single operation."""
    policy.write("agents/my/hooks/pre-exec", "#!/bin/sh\nexit 0\n")
    (policy.agent / "hooks/pre-exec").chmod(0o755)
    policy.commit()
    policy.write("agents/my/hooks/pre-exec", "#!/bin/sh\nexit 1\n")
    policy.write_profile(PROFILE.replace("running = 8", "running = 16"))
    policy.commit()
    told = policy.report("HEAD~1", "HEAD")["agents"]["my"]
    (hook,) = told["grants"]
    assert hook["name"] == "hook pre-exec"
    assert hook["before"] != hook["after"]
    assert told["settings"] == [
        {
            "name": "limits.running",
            "before": "8",
            "after": "16",
            "where": "agents/my/airlock.toml:21",
        }
    ]
    assert told["operations"] == []


def test_a_pattern_without_effect_is_not_called_no_difference(policy: Policy) -> None:
    """One that protects what could not be pushed anyway is named, and the status is 1."""
    policy.commit()
    policy.write_profile(PROFILE.replace("refs/heads/main", "refs/heads/other"))
    policy.commit()
    said = policy.diff("HEAD~1", "HEAD").stdout
    assert "differs, and changes none of the sampled operations" in said
    assert 'git.protect: "refs/heads/main" -> removed' in said
    assert 'git.protect: not there -> "refs/heads/other"' in said
    assert "no difference" not in said


def test_comments_and_layout_are_no_difference(policy: Policy) -> None:
    """They are named, and the status is 0."""
    policy.commit()
    policy.write_profile(f"# Reviewed.\n{PROFILE}")
    policy.commit()
    said = policy.diff("HEAD~1", "HEAD", status=0).stdout
    assert "agents/my/airlock.toml differs in comments or layout alone\n" in said
    assert "no difference" in said


def test_directories_and_revisions_compare_alike(policy: Policy, tmp_path: Path) -> None:
    """What the working tree has is compared with a revision; a copy elsewhere with either."""
    policy.commit()
    copy = tmp_path / "copy"
    policy.git("worktree", "add", "-q", str(copy), "HEAD")
    policy.write_profile(PROFILE.replace("acme/app", "acme/*"))
    told = policy.report("HEAD", str(policy.root))["agents"]
    assert decided(told["my"], "git fetch github.com/acme/x")[:2] == ("refused", "allowed")
    assert policy.report(str(copy), str(policy.root))["agents"] == told
    assert policy.report(str(copy), "HEAD", status=0)["differs"] is False


def test_a_registered_path_is_read_at_the_same_place_of_each_side(policy: Policy) -> None:
    """An absolute path of the configuration in use does not lead a revision to today's files."""
    policy.write("agents.toml", f'[my]\npath = "{policy.agent}"\n')
    policy.commit()
    policy.write_profile(PROFILE.replace("acme/app", "acme/*"))
    policy.commit()
    told = policy.report("HEAD~1", "HEAD")["agents"]["my"]
    assert decided(told, "git fetch github.com/acme/x")[:2] == ("refused", "allowed")


def test_an_agent_outside_of_both_sides_is_named(policy: Policy, tmp_path: Path) -> None:
    """Its files are those of today on both sides."""
    outside = tmp_path / "outside"
    policy.agent.rename(outside)
    policy.write("agents.toml", f'[my]\npath = "{outside}"\n')
    policy.commit()
    policy.commit()
    (note,) = policy.report("HEAD~1", "HEAD", status=0)["notes"]
    assert note == f"agent my is the same in both: {outside} is a part of neither"


def test_the_keys_of_another_host_need_not_be_here(policy: Policy) -> None:
    """A job of CI compares the files, and has no key."""
    policy.commit()
    keys = 'key = "~/nowhere/agents"\n[env]\nset = { GIT_SSH_COMMAND = "ssh -i ~/nowhere/key" }\n'
    policy.write_profile(PROFILE.replace("[gh]\n", keys + "[gh]\n"))
    told = policy.report("HEAD", str(policy.root))["agents"]["my"]
    assert {each["name"] for each in told["settings"]} == {"sign.key", "env.set.GIT_SSH_COMMAND"}


def test_an_agent_that_is_registered_or_removed_is_compared_with_nothing(policy: Policy) -> None:
    """All that it may do becomes allowed, or refused."""
    policy.commit()
    policy.write("agents.toml", "")
    policy.commit()
    told = policy.report("HEAD~1", "HEAD")["agents"]["my"]
    push = "git push github.com/acme/app refs/heads/agent/x"
    assert decided(told, push)[:2] == ("allowed", "refused")
    assert decided(told, push)[3] == "no such agent"
    assert {each["after"] for each in told["operations"]} == {"refused"}


def test_a_configuration_with_faults_is_no_difference_but_a_fault(policy: Policy) -> None:
    """Status 2, and the side, the file and the remedy; what a revision wrote drives no terminal."""
    policy.commit()
    policy.write_profile('commands = ["git"]\n[git]\nrefs = ["x\\u001b[2J"]\n')
    policy.write("agents/my/commands/\x1b.toml", "[x]\n")
    policy.commit()
    said = policy.diff("HEAD~1", "HEAD", status=2)
    assert said.stdout == ""
    assert "airlock: HEAD (" in said.stderr
    assert "agents/my/airlock.toml: [git] refs: " in said.stderr
    assert "\x1b" not in said.stderr


@pytest.mark.parametrize("wanted", ["nowhere", "/nowhere", "--help", "HEAD:config.toml", ""])
def test_what_is_neither_directory_nor_revision_is_refused(policy: Policy, wanted: str) -> None:
    """With both remedies, and status 2; no word becomes an option of git."""
    policy.commit()
    said = policy.diff("HEAD", wanted, status=2).stderr
    assert "hint: name a directory with a config.toml, or a revision such as HEAD~1" in said


def test_nothing_of_a_revision_is_run_or_hidden(policy: Policy, tmp_path: Path) -> None:
    """No filter, hook or archive attribute of a repository under review has a say."""
    policy.commit()
    ran = tmp_path / "ran"
    policy.git("config", "filter.evil.smudge", f"touch {ran}; cat")
    policy.git("config", "filter.evil.clean", "cat")
    policy.git("config", "core.fsmonitor", f"touch {ran}")
    policy.git("config", "core.pager", f"touch {ran}")
    policy.write(".gitattributes", "*.toml filter=evil export-ignore export-subst diff=evil\n")
    policy.write_profile(PROFILE.replace("acme/app", "acme/*"))
    hook = policy.root / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    policy.commit()
    ran.unlink(missing_ok=True)
    # As an archive of it would be empty.
    assert (
        b"airlock.toml"
        not in subprocess.run(
            ["git", "archive", "HEAD"], cwd=policy.root, check=True, capture_output=True
        ).stdout
    )
    ran.unlink(missing_ok=True)
    told = policy.report("HEAD~1", "HEAD")["agents"]["my"]
    assert decided(told, "git fetch github.com/acme/x")[:2] == ("refused", "allowed")
    assert not ran.exists()


def test_a_link_in_a_revision_leads_nowhere(policy: Policy, tmp_path: Path) -> None:
    """It could name any file of this host, so it is refused by its name."""
    policy.commit()
    elsewhere = tmp_path / "elsewhere.toml"
    elsewhere.write_text(PROFILE)
    (policy.agent / "airlock.toml").unlink()
    os.symlink(elsewhere, policy.agent / "airlock.toml")
    policy.commit()
    said = policy.diff("HEAD~1", "HEAD", status=2).stderr
    assert '"agents/my/airlock.toml" is a link' in said


def test_nothing_invisible_is_shown(policy: Policy) -> None:
    """A letter that no terminal shows is no way to have two patterns look alike."""
    policy.commit()
    policy.write_profile(PROFILE.replace("acme/app", "acme/app\u3164"))
    said = policy.diff("HEAD", str(policy.root)).stdout
    assert "\u3164" not in said
    assert "\\u{3164}" in said


def test_a_folder_that_is_a_link_is_not_left_out(policy: Policy) -> None:
    """The daemon would read its modules, so that no difference would be untrue."""
    policy.commit()
    policy.write("elsewhere/git.toml", '[command]\nbin = "sh"\n[sandbox]\nbox = "none"\n')
    (policy.root / "modules").symlink_to("elsewhere")
    policy.commit()
    assert '"modules" is a link' in policy.diff("HEAD~1", "HEAD", status=2).stderr


def test_a_directory_does_not_stand_in_for_a_revision(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent may have made one in its workspace, where a person happens to call it."""
    policy.commit()
    policy.write_profile(PROFILE.replace("acme/app", "acme/*"))
    policy.commit()
    here = tmp_path / "workspace"
    for name in ("HEAD~1", "HEAD"):
        Policy(here / name)
    monkeypatch.chdir(here)
    said = policy.diff("HEAD~1", "HEAD", status=2).stderr
    assert '"HEAD~1" is a directory here, and a revision of ' in said
    assert "hint: write ./HEAD~1 for the directory" in said
    policy.diff("./HEAD~1", "./HEAD", status=0)


def test_an_agent_that_moves_is_a_difference(policy: Policy, tmp_path: Path) -> None:
    """Whoever can write there decides, though it has the same files today."""
    policy.commit()
    other = Policy(tmp_path / "other").agent
    policy.write("agents.toml", f'[my]\npath = "{other}"\n')
    policy.commit()
    for sides in (("HEAD~1", "HEAD"), ("HEAD~1", str(policy.root))):
        (change,) = policy.report(*sides)["agents"]["my"]["grants"]
        assert change["name"] == "directory"
        assert change["before"] == os.path.realpath(policy.agent)
        assert change["after"] == os.path.realpath(other)


def test_an_agent_beside_the_configuration_has_not_moved(policy: Policy, tmp_path: Path) -> None:
    """Its directory is in the repository, and its registered path leads through a link."""
    link = tmp_path / "link"
    link.symlink_to(policy.root)
    policy.write("conf/config.toml", (policy.root / "config.toml").read_text())
    policy.write("conf/agents.toml", f'[my]\npath = "{link}/agents/my"\n')
    policy.commit()
    words = ("--config", str(link / "conf"), "check", "--diff", "HEAD", str(link / "conf"))
    assert "no difference" in airlock_daemon(*words, status=0).stdout


def test_a_tree_that_cannot_be_written_is_a_fault(policy: Policy) -> None:
    """A file below another file, and a file that the repository lacks."""
    policy.commit()
    blob = bytes.fromhex(policy.git("hash-object", "-w", "config.toml"))
    inner = bytes.fromhex(_write_tree(policy, b"100644 b.toml\0" + blob))
    pair = b"100644 a.toml\0" + blob + b"40000 a.toml\0" + inner
    lacking = b"100644 a.toml\0" + b"\x11" * 20
    for more, problem in ((pair, "cannot be written"), (lacking, "lacks the file")):
        commit = policy.git(
            "commit-tree", _write_tree(policy, more + _list_tree(policy)), "-m", "x"
        )
        assert problem in policy.diff("HEAD", commit, status=2).stderr


@pytest.mark.timeout(60)
def test_a_pattern_with_many_stars_takes_no_time() -> None:
    """The author of a revision may be nobody's friend."""
    assert meet("refs/" + "x*" * 24 + "y", "refs/" + "x" * 60) is None
    assert meet("refs/" + "x*" * 24 + "y", "refs/" + "x" * 60 + "y") is not None
    assert compile_action("s3:" + "*e" * 20 + "X").fullmatch("s3:" + "e" * 60) is None
    assert compile_action("*:*ject*").fullmatch("s3:GetObjectAcl")


def test_a_tree_cannot_write_outside_of_its_directory(policy: Policy, tmp_path: Path) -> None:
    """A tree that git would never make may name `..`."""
    policy.commit()
    blob = policy.git("hash-object", "-w", "config.toml")
    raw = b"100644 escaped.toml\0" + bytes.fromhex(blob)
    inner = _write_tree(policy, raw)
    outer = _write_tree(policy, b"40000 ..\0" + bytes.fromhex(inner) + _list_tree(policy))
    commit = policy.git("commit-tree", outer, "-m", "x")
    scratch = tmp_path / "scratch" / "new"
    scratch.mkdir(parents=True)
    read_side(commit, Locations.find(config=str(policy.root)), str(scratch))
    assert (scratch / "config.toml").exists()
    assert not [*tmp_path.rglob("escaped.toml")]


def _write_tree(policy: Policy, raw: bytes) -> str:
    done = subprocess.run(
        ["git", "hash-object", "-w", "--literally", "-t", "tree", "--stdin"],
        cwd=policy.root,
        input=raw,
        check=True,
        capture_output=True,
    )
    return done.stdout.decode().strip()


def _list_tree(policy: Policy) -> bytes:
    tree = policy.git("rev-parse", "HEAD^{tree}")
    words = ["git", "cat-file", "tree", tree]
    return subprocess.run(words, cwd=policy.root, check=True, capture_output=True).stdout


POOL = {
    ("git", "push"): (
        "github.com/acme/app",
        "github.com/acme/*",
        "*.example.com/**",
        "git@host.example:2222/a/b",
    ),
    ("git", "fetch"): ("github.com/up/*", "https://host.example:8443/x/**"),
    ("git", "refs"): ("refs/heads/agent/**", "refs/heads/*", "refs/tags/v*", "refs/for/main"),
    ("git", "protect"): ("refs/heads/main", "refs/heads/*", "refs/heads/agent/**"),
    ("git", "push_options"): ("ci.skip", "topic=*"),
    ("ssh", "hosts"): ("deploy@build.example.com", "*.example.com", "db.example.com:2222"),
    ("sign", "emails"): ("agent@example.com", "*@example.com"),
    ("sign", "authors"): ("*@example.org",),
    ("gh", "allow"): (
        "PUT /repos/acme/app/pulls/*/merge",
        "GET /repos/acme/**",
        "mutation addStar",
    ),
    ("gh", "deny"): ("POST /repos/*/*/pulls", "* /repos/**", "GET,POST /repos/acme/app/issues/**"),
    ("gh", "repositories"): ("acme/app", "acme/*"),
    ("aws", "regions"): ("eu-west-1", "us-east-1"),
    ("aws", "buckets"): ("acme-*", "data"),
    ("aws", "allow"): ("s3:PutObject", "dynamodb:*"),
    ("aws", "deny"): ("*:Delete*", "s3:Get*"),
    ("approve", "require"): ("git push", "gh * /repos/**", "aws *:Put*", "run terraform", "ssh"),
    ("deny", "terraform"): ("apply", "destroy & -auto-approve"),
}
"""Patterns of each key of a profile, those that match the same among them."""

_PROFILES = st.fixed_dictionaries(
    {key: st.sets(st.sampled_from(texts), max_size=2) for key, texts in POOL.items()}
)


def _write(root: Path, patterns: Mapping[tuple[str, str], set[str]]) -> None:
    text = 'commands = ["git-remote", "git-sign", "ssh", "gh", "aws", "terraform"]\n'
    for table in dict.fromkeys(key[0] for key in POOL):
        text += f"[{table}]\n" + ('profile = "dev"\n' if table == "aws" else "")
        for (name, key), texts in patterns.items():
            if name == table and texts:
                text += f"{key} = {json.dumps(sorted(texts))}\n"
    (root / "agents" / "my" / "airlock.toml").write_text(text)


@pytest.mark.timeout(300)
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(patterns=_PROFILES, data=st.data())
def test_identical_policies_give_nothing_and_each_changed_pattern_is_reported(
    tmp_path_factory: pytest.TempPathFactory,
    patterns: dict[tuple[str, str], set[str]],
    data: st.DataObject,
) -> None:
    """Whichever pattern is added or removed, an operation changes or the pattern is named."""
    root = tmp_path_factory.mktemp("policies")
    one, other = Policy(root / "one"), Policy(root / "other")
    _write(one.root, patterns)
    _write(other.root, patterns)
    assert not compare_directories(one.root, other.root)
    key = data.draw(st.sampled_from(sorted(POOL)))
    text = data.draw(st.sampled_from(POOL[key]))
    _write(other.root, {**patterns, key: patterns[key] ^ {text}})
    forth, back = (
        compare_directories(one.root, other.root),
        compare_directories(other.root, one.root),
    )
    for told in (forth, back):
        named = [each.before + each.after for each in told.unseen]
        assert told.operations or any(json.dumps(text) in each for each in named)
