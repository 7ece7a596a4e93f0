"""The recipes: modules that a person copies, and what they say of themselves."""

import pytest

from airlock_modules import (
    Grant,
    builtin_names,
    evaluate,
    load_builtin,
    parse_module,
    recipe_names,
    recipe_text,
    review_module,
)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_a_module_of_which_nothing_is_odd(name: str) -> None:
    """Its examples hold, whatever it lets a client choose chooses nothing."""
    module = parse_module(recipe_text(name), name=name, source=name)
    assert list(review_module(module)) == []


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_holds_little_and_says_so(name: str) -> None:
    """It runs no second program, reaches named places alone, and follows no link of a client's."""
    module = parse_module(recipe_text(name), name=name, source=name)
    assert module.is_holding
    assert module.sandbox is not None
    assert (module.sandbox.programs, len(module.sandbox.network)) == ((), 1)
    assert module.workspace == "none" or not module.sandbox.links
    assert module.rules.mode == "allow"
    head = recipe_text(name).partition("[command]")[0]
    assert "# What this leaves:" in head
    assert name not in builtin_names() or not load_builtin(name).has_command


@pytest.mark.parametrize("name", ["git", "..", "../builtin/git/module", "gh.toml"])
def test_other_names_have_none(name: str) -> None:
    """Nothing else of the package is read by such a name."""
    with pytest.raises(KeyError):
        recipe_text(name)


SPELLINGS = {
    "kubectl": [
        "config view --raw",
        "--kubeconfig=/tmp/x get pods",
        "get pods --kubeconfig /tmp/x",
        "get pods --server=https://203.0.113.7",
        "get pods -s https://203.0.113.7",
        "get pods --token x",
        "get pods --as admin",
        "get pods --context home",
        "get pods --v=9",
        "get pods -v9",
        "get pods -o json",
        "get pods -ojson",
        "get pods -o=wide -o=yaml",
        "get pods -o jsonpath-file=/home/airlock/.kube/config",
        "get pods --template={{.}}",
        "get -f /home/airlock/.kube/config",
        "get --raw /api/v1/secrets",
        "get secrets",
        "get pods,secrets",
        "get pods/x secrets/door",
        "get secret/door",
        "-n default get secrets",
        "describe secret door",
        "create token default",
        "create configmap x --from-file=/home/airlock/.kube/config",
        "apply -f -",
        "exec web -- env",
        "cp web:/x /tmp/x",
        "proxy",
        "port-forward web 80",
        "plugin list",
        "kustomize .",
        "diff -f x",
        "edit pod web",
        "get pods --profile=cpu --profile-output=/workspace/x",
        "get pods --cache-dir=/workspace",
    ],
}


@pytest.mark.parametrize(
    ("name", "line"), [(name, line) for name in SPELLINGS for line in SPELLINGS[name]]
)
def test_what_shows_the_token_or_runs_something_is_refused(name: str, line: str) -> None:
    """In each spelling that the tool takes."""
    module = parse_module(recipe_text(name), name=name, source=name)
    grant = Grant(ceiling=(name,), modules={name: module})
    assert not evaluate(grant, name, line.split()).allowed


EVERYDAY = {
    "kubectl": [
        "get pods",
        "get pods -A -o wide",
        "get po/web",
        "get deploy web",
        "logs -f web -c app",
        "rollout status deployment/web",
        "logs deploy/web --tail=20 --since 5m",
        "top pods",
        "get events --sort-by=.lastTimestamp -n web",
        "version --client",
        "logs -l app=web",
        "get pods --help",
        "auth can-i list pods",
    ],
}


@pytest.mark.parametrize(
    ("name", "line"), [(name, line) for name in EVERYDAY for line in EVERYDAY[name]]
)
def test_everyday_commands_are_allowed(name: str, line: str) -> None:
    """What an agent does all day with the tool."""
    module = parse_module(recipe_text(name), name=name, source=name)
    grant = Grant(ceiling=(name,), modules={name: module})
    decision = evaluate(grant, name, line.split())
    assert decision.allowed, decision.message
