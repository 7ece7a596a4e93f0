"""`airlock test` of operations of APIs."""

import json
import re

import pytest

from commanding import run
from worlds import World

OWN = """
[git]
push = ["github.com/acme/app"]
[api.build]
hosts = ["build.example.com", "*.ci.example.com"]
ports = [8443]
allow = ["GET /jobs/**"]
parameters = ["page"]
deny = ["* /jobs/*/secrets/**"]
credential = { as = "header", env = "BUILD_TOKEN", placeholder = "bld_{36}" }
"""


@pytest.fixture
def apis(world: World) -> World:
    """An agent that may use GitHub's API for one repository, and one of its own."""
    config = world.config / "config.toml"
    config.write_text(config.read_text().replace('"git"', '"git", "gh"'))
    world.write_profile(OWN)
    return world


@pytest.mark.parametrize(
    ("words", "operation"),
    [
        ("gh POST /repos/acme/app/pulls", "gh POST /repos/acme/app/pulls"),
        ("gh GET /repos/acme/app/issues?state=open", "gh GET /repos/acme/app/issues"),
        ("gh GET https://api.github.com/repos/acme/app", "gh GET /repos/acme/app"),
        ("gh graphql mutation createPullRequest", "gh graphql mutation createPullRequest"),
        ("build GET https://a.ci.example.com:8443/jobs/1", "api.build GET /jobs/1"),
        ("api.build GET /jobs?page=2", "api.build GET /jobs"),
    ],
)
def test_an_operation_is_judged_as_the_broker_judges_it(
    apis: World, words: str, operation: str
) -> None:
    """Its line is that of the log; the path is read as a request's is."""
    said = run(apis, "test", "my", *words.split()).stdout
    assert f"\noperation: {operation}\nallowed\ndaemon: not asked" in said


def test_the_advised_repositories_take_none_away(apis: World) -> None:
    """Those of git are the default of the key that is to be written."""
    asked = (("gh", "GET", "/repos/o/lib/pulls"), ("gh", "GET", "/repos/acme/app/pulls"))
    said = run(apis, "test", "my", *asked[0], status=1).stdout
    (line,) = re.findall(r"can write \[gh\] (.+) in this agent's", said)
    apis.write_profile(f"{OWN}[gh]\n{line}\n")
    for words in asked:
        assert "\nallowed\n" in run(apis, "test", "my", *words).stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("gh PUT /repos/acme/app/pulls/1/merge", "no rule allows it"),
        ("gh GET /repos/acme/other/contents/x", "no rule allows it"),
        ("gh GET /repos/acme/app/../other/contents/x", "a segment . or .. in the path"),
        ("gh GET /repos/acme/app/contents/%2e%2e/x", "a segment . or .. in the path"),
        ("gh graphql mutation mergePullRequest", "no rule allows it"),
        ("build GET /jobs?page=2&token%32=x", "query parameter"),
        ("build GET /jobs/1/secrets/x", "deny has * /jobs/*/secrets/**"),
    ],
)
def test_what_is_refused_is_told_with_its_reason(apis: World, words: str, why: str) -> None:
    """By the status, too, and for programs."""
    agent, *rest = "my", *words.split()
    said = run(apis, "test", agent, *rest, status=1).stdout
    assert "\napi: refused: " in said
    assert why in said
    report = json.loads(run(apis, "test", "--json", agent, *rest, status=1).stdout)
    assert why in report["decision"]["message"]
    assert report["decision"]["allowed"] is False


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("build", "this is no operation of build"),
        ("build pr list", "this is no operation of build"),
        ("build GET ftp://x", "this is no operation of build"),
        ("gh GET https://gitlab.com/x", '"gitlab.com:443" is no host of gh'),
        ("build GET https://build.example.com/jobs", "is no host of build"),
        ("build graphql mutation x", "this is no operation of build"),
        ("gh POST /graphql", "is judged by its body"),
        ("gh graphql query viewer", "is judged by its body"),
    ],
)
def test_what_is_no_operation_is_told_with_the_form_of_one(
    apis: World, words: str, why: str
) -> None:
    """Such as the arguments of a tool, which the daemon never sees."""
    said = run(apis, "test", "my", *words.split(), status=1).stderr
    assert why in said
    assert "airlock: hint: write" in said


CLOUD = """
[aws]
profile = "reader"
regions = ["eu-west-1", "us-east-1"]
buckets = ["data"]
roles = ["arn:aws:iam::123456789012:role/deploy"]
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("s3:GetObject data/a/b", "operation: aws s3:GetObject eu-west-1 data/a/b\nallowed"),
        ("ec2:DescribeHosts us-east-1", "operation: aws ec2:DescribeHosts us-east-1\nallowed"),
        (
            "sts:AssumeRole arn:aws:iam::123456789012:role/deploy",
            "aws sts:AssumeRole eu-west-1 arn:aws:iam::123456789012:role/deploy\nallowed",
        ),
        ("ec2:DescribeHosts ap-south-1", "the region ap-south-1 is not granted"),
        ("s3:GetObject other/a", "the bucket other is not granted"),
        ("s3:PutObject data/a", "s3:PutObject is not granted"),
        ("iam:ListUsers", "it is a service without regions"),
        ("cloudwatch:DescribeAlarms", "operation: aws cloudwatch:DescribeAlarms"),
        ("ssm:GetParameter", "which no * grants"),
        ("s3:Get", "is no operation of AWS that is known here"),
        ("s3:GetObject eu-west-1 data data", "is no operation of AWS that is known here"),
    ],
)
def test_an_operation_of_aws_is_judged_by_its_name(world: World, words: str, said: str) -> None:
    """Beside a command of that name, whose arguments it cannot be."""
    config = world.config / "config.toml"
    config.write_text(config.read_text().replace('"git"', '"git", "aws"'))
    world.write_profile(CLOUD)
    status = 0 if "operation: " in said or said.endswith("allowed") else 1
    shown = run(world, "test", "my", "aws", *words.split(), status=status)
    assert said in shown.stdout + shown.stderr
    assert "arguments" not in shown.stdout


def test_other_words_are_arguments_of_a_command(apis: World) -> None:
    """Which are not judged: gh of the host runs in a box that reaches the agent's APIs alone."""
    said = run(apis, "test", "my", "gh", "pr", "list").stdout
    assert (
        "operation: run gh pr list\nsandbox: closed, but for its agent's APIs\n"
        "broker: undecided: its requests to APIs are judged when they come\n"
        "allowed, as far as can be told without the client\n"
    ) in said


@pytest.mark.parametrize(
    ("name", "words", "status", "said"),
    [
        ("aws", "s3:GetObject data/a", 1, "granted none of its"),
        ("aws", "help", 1, 'can write [aws] with profile = "NAME" and regions = ["eu-west-1"] in'),
        ("docker", "run alpine", 0, "broker: undecided: its calls of the docker engine are"),
        ("terraform", "plan", 0, "broker: undecided: its requests to APIs are"),
    ],
)
def test_a_command_that_may_start_is_not_all_that_is_asked(
    world: World, name: str, words: str, status: int, said: str
) -> None:
    """What a tool sends is refused later, if nothing of it is granted."""
    config = world.config / "config.toml"
    config.write_text(config.read_text().replace('"git"', f'"git", "{name}"'))
    shown = run(world, "test", "my", name, *words.split(), status=status).stdout
    assert said in shown
    assert ("\nallowed, as far as can be told without the client\n" in shown) == (not status)
    assert "\nallowed\n" not in shown
    config.write_text(f'[commands]\nenable = ["{name}"]\n[sandbox]\nmode = "off"\n')
    shown = run(world, "test", "my", name, *words.split(), status=1).stdout
    assert "boxes are switched off" in shown
    assert '\nrule: "no-box"\n' in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("GET /simple/x/", "api: passed: rule|api: refused: pypi.2 GET |allowed"),
        ("GET /packages/x.whl", "api: passed: |api: refused: pypi GET |allowed"),
        ("POST /legacy/", "api: refused: pypi.3 POST |denied: pypi POST /legacy/ is refused"),
    ],
)
def test_a_path_without_a_host_is_judged_for_each_api(world: World, words: str, said: str) -> None:
    """One that allows it decides."""
    config = world.config / "config.toml"
    config.write_text(config.read_text().replace('"git"', '"git", "pypi"'))
    shown = run(world, "test", "my", "pypi", *words.split(), status="denied" in said).stdout
    assert all(f"\n{each}" in shown for each in said.split("|")), shown
    assert shown.count("\napi: ") == 3


def test_an_api_that_is_not_granted_is_refused_by_the_layer(apis: World) -> None:
    """As a command is."""
    apis.write_profile(commands='["git"]')
    said = run(apis, "test", "my", "gh", "GET", "/user", status=1).stdout
    assert "profile: refused: " in said
    said = run(apis, "test", "my", "openai", "GET", "/v1/models", status=1).stdout
    assert "ceiling: refused: " in said
