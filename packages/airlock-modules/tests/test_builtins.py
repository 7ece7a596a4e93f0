import re

import pytest

from airlock_modules import (
    GrammarRules,
    Rules,
    builtin_names,
    builtin_security,
    builtin_text,
    load_builtin,
    parse_module,
)

NAMES = ("aws", "docker", "git", "ssh", "terraform")


def test_five_modules_ship_with_the_package() -> None:
    """The built-in commands are listed in order."""
    assert builtin_names() == NAMES


@pytest.mark.parametrize("name", ["gh", "", "..", "git/../git", "git\0", "__init__.py"])
def test_another_name_is_a_key_error(name: str) -> None:
    """No name leads anywhere but to a module of the list."""
    for function in (builtin_text, builtin_security, load_builtin):
        with pytest.raises(KeyError):
            function(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_text_of_a_builtin_is_valid_as_an_override(name: str) -> None:
    """What is shown to a person can be copied into an agent's directory as it is."""
    module = load_builtin(name)
    override = parse_module(builtin_text(name), name=name, source="x")
    assert (module.builtin, override.builtin) == (True, False)
    assert module.rules == override.rules


def texts_of(rules: Rules | GrammarRules) -> tuple[str, ...]:
    """Return the text of every rule of a module."""
    if isinstance(rules, GrammarRules):
        return rules.texts
    return tuple(rule.text for rule in rules.rules)


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_is_explained(name: str) -> None:
    """Each rule, or else its flag and its pattern, stands in the module's SECURITY.md."""
    security = builtin_security(name)

    def is_explained(text: str) -> bool:
        return f"`{text}`" in security

    unexplained = []
    for text in texts_of(load_builtin(name).rules):
        shown = text.replace("\t", "\\t")
        explained = is_explained(shown)
        if shown.startswith("-") and " & " not in shown:
            flag, _, pattern = shown.partition("=")
            explained = explained or (is_explained(flag) and is_explained(pattern))
        if not explained:
            unexplained.append(text)
    assert unexplained == []


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_and_every_added_argument_is_explained(name: str) -> None:
    """Nothing is put into a tool's environment or arguments without a written reason."""
    module = load_builtin(name)
    security = builtin_security(name)
    added = (*module.inherit, *module.strip, *module.set, *module.prepend, *module.append)
    assert [word for word in added if f"`{word}`" not in security] == []


@pytest.mark.parametrize("name", NAMES)
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
    """GIT_SSH_COMMAND is neither stripped nor set."""
    module = load_builtin("git")
    assert "GIT_SSH_COMMAND" not in {*module.strip, *module.set, *module.inherit}


def test_the_configuration_that_git_is_given_is_complete() -> None:
    """The count agrees with the keys and values."""
    settings = load_builtin("git").set
    count = int(settings["GIT_CONFIG_COUNT"])
    numbered = [name for name in settings if re.fullmatch(r"GIT_CONFIG_(KEY|VALUE)_\d+", name)]
    assert len(numbered) == 2 * count
    assert all(f"GIT_CONFIG_KEY_{n}" in settings for n in range(count))
