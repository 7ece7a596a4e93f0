import re

import pytest

from airlock_modules import (
    builtin_names,
    builtin_security,
    builtin_text,
    load_builtin,
    parse_module,
    select_forwarded,
)
from airlock_modules.rules.grammar_rules import GrammarRules

RULED = ("git",)
NAMES = (
    *("aws", "docker", "gh", "git", "git-remote", "git-sign", "kubectl", "npm", "ssh", "terraform"),
)
APIS = ("anthropic", "google", "openai", "pypi")


def test_these_modules_ship_with_the_package() -> None:
    """Those of commands and those of APIs, listed in order."""
    assert builtin_names() == tuple(sorted((*NAMES, *APIS)))
    assert tuple(name for name in builtin_names() if load_builtin(name).has_command) == NAMES


@pytest.mark.parametrize("name", ["helm", "", "..", "git/../git", "git\0", "__init__.py"])
def test_another_name_is_a_key_error(name: str) -> None:
    """No name leads anywhere but to a module of the list."""
    for function in (builtin_text, builtin_security, load_builtin):
        with pytest.raises(KeyError):
            function(name)


@pytest.mark.parametrize("name", [*NAMES, *APIS])
def test_the_text_of_a_builtin_is_valid_as_an_override(name: str) -> None:
    """What is shown to a person can be copied into an agent's directory as it is."""
    module = load_builtin(name)
    override = parse_module(builtin_text(name), name=name, source="x")
    assert (module.builtin, override.builtin) == (True, False)
    assert (module.rules, module.apis) == (override.rules, override.apis)


@pytest.mark.parametrize("name", RULED)
def test_every_rule_is_explained(name: str) -> None:
    """Each rule, or else its flag and its pattern, stands in the module's SECURITY.md."""
    security = builtin_security(name)

    def is_explained(text: str) -> bool:
        return f"`{text}`" in security

    unexplained = []
    rules = load_builtin(name).rules
    assert isinstance(rules, GrammarRules)
    for text in (rule.text for rule in (*rules.rules.rules, *rules.exceptions.rules)):
        shown = text.replace("\t", "\\t")
        explained = is_explained(shown)
        if shown.startswith("-") and " & " not in shown:
            flag, _, pattern = shown.partition("=")
            explained = explained or (is_explained(flag) and is_explained(pattern))
        if not explained:
            unexplained.append(text)
    assert unexplained == []


@pytest.mark.parametrize("name", RULED)
def test_reasons_are_one_short_plain_sentence(name: str) -> None:
    """They end a message, and longer ones stand in SECURITY.md."""
    rules = load_builtin(name).rules
    assert isinstance(rules, GrammarRules)
    reasons = {rule.reason for rule in (*rules.rules.rules, *rules.exceptions.rules)}
    reasons |= {each.reason for each in rules.exclusions}
    if rules.mode == "allow":
        reasons.add(rules.reason)
    for reason in reasons:
        assert reason is not None
        assert reason[0].islower()
        assert not reason.endswith(".")
        assert len(reason) <= 100
        assert not set("`*_[]|") & set(reason)


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_and_every_added_argument_is_explained(name: str) -> None:
    """Nothing is put into a tool's environment or arguments without a written reason."""
    module = load_builtin(name)
    security = builtin_security(name)
    added = (*module.inherit, *module.forward, *module.strip, *module.set)
    added += (*module.prepend, *module.append)
    assert [word for word in added if f"`{word}`" not in security] == []


@pytest.mark.parametrize("name", [*NAMES, *APIS])
def test_each_security_page_has_the_same_parts(name: str) -> None:
    """Whoever knows one page finds the way in all of them."""
    headings = re.findall(r"^## (.*)$", builtin_security(name), re.MULTILINE)
    assert headings[:3] == ["Threat", "Rules", "Variables"]
    assert headings[3].startswith("Known vulnerabilities")
    assert headings[4] == "Not covered"


def test_git_and_terraform_need_a_workspace() -> None:
    """The others run in an empty directory where none is mapped."""
    needing = [name for name in NAMES if load_builtin(name).workspace == "required"]
    assert needing == ["git", "terraform"]


def test_git_leaves_the_choice_of_a_key_to_the_profile() -> None:
    """GIT_SSH_COMMAND is neither stripped nor set, and no box has it."""
    module = load_builtin("git")
    assert "GIT_SSH_COMMAND" not in {*module.strip, *module.set, *module.inherit}
    assert module.sandbox is not None


@pytest.mark.parametrize("name", ["git-remote", "git-sign", "ssh"])
def test_a_client_chooses_no_credential_program_or_peer(name: str) -> None:
    """Of the variables that would, a client that sends all of them gets none through.

    The other tools run in boxes that hold nothing, where an agent could choose as well by a file.
    """
    steering = """
        PATH HOME SHELL IFS BASH_ENV LD_PRELOAD PYTHONPATH NODE_OPTIONS PAGER EDITOR LANGUAGE
        GIT_SSH GIT_SSH_COMMAND GIT_CONFIG_COUNT GIT_CONFIG_GLOBAL GIT_DIR GIT_EDITOR GIT_PAGER
        GIT_EXEC_PATH GIT_TERMINAL_PROMPT GIT_ALLOW_PROTOCOL SSH_AUTH_SOCK SSH_ASKPASS
        AWS_PROFILE AWS_CONFIG_FILE AWS_ACCESS_KEY_ID AWS_ENDPOINT_URL AWS_CA_BUNDLE
        TF_CLI_ARGS TF_CLI_CONFIG_FILE TF_DATA_DIR TF_LOG TF_TOKEN_example_com
        DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG https_proxy HTTPS_PROXY SSL_CERT_FILE TERM
    """
    client = dict.fromkeys(steering.split(), "x")
    assert select_forwarded(client, load_builtin(name).forward) == {}


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("git", {"GIT_AUTHOR_NAME": "A", "GIT_COMMITTER_DATE": "0 +0000", "LC_ALL": "C"}),
        ("ssh", {"LANG": "C.UTF-8", "LC_TIME": "de_DE.UTF-8"}),
        ("terraform", {"TF_VAR_a-b": "1", "TF_INPUT": "0", "TF_WORKSPACE": "dev"}),
        ("aws", {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_OUTPUT": "text"}),
        ("docker", {"DOCKER_DEFAULT_PLATFORM": "linux/amd64", "COMPOSE_PROFILES": "web"}),
    ],
)
def test_a_client_gives_what_is_its_own(name: str, variables: dict[str, str]) -> None:
    """What scripts set for one command arrives."""
    assert select_forwarded(variables, load_builtin(name).forward) == variables
