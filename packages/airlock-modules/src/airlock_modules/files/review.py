"""Warnings about a module: variables that steer its tool, ineffective rules, secrets in a box.

The client may be hostile, so a module should forward only variables that steer nothing;
`find_steering` finds those that do.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from airlock_modules.files.module_file import Module
from airlock_modules.files.sandbox_table import find_secret_places
from airlock_modules.files.toml_reader import Fault
from airlock_modules.rules.rule import PlainRules, Rule
from airlock_wire.text import quote

_SECRET = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|SECRETS|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|ACCESS_KEY|PRIVATE_KEY)"
    r"(?:$|_)"
)

_STEERING = (
    # The loader and the C library, and where they look for their files.
    *("LD_*", "DYLD_*", "GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "HOSTALIASES"),
    *("LOCALDOMAIN", "LOCPATH", "MALLOC_*", "NLSPATH", "RESOLV_*", "RES_OPTIONS", "TZDIR"),
    *("TERMCAP", "TERMINFO*", "TERMPATH"),
    # Shells, and where programs look for files and for each other.
    *("BASHOPTS", "BASH_*", "CDPATH", "ENV", "HOME", "IFS", "LOGNAME", "PATH", "PROMPT_COMMAND"),
    *("PS4", "SHELL", "SHELLOPTS", "TEMP", "TMP", "TMPDIR", "USER", "XDG_*", "ZDOTDIR"),
    # Programs that a tool starts, and their input.
    *("BROWSER", "DBUS_*", "DISPLAY", "EDITOR", "GNUPGHOME", "GPG_*", "LESS*", "LV", "MAN*"),
    *("PAGER", "PINENTRY_*", "SSH_*", "VISUAL", "WAYLAND_*"),
    # Interpreters.
    *("CLASSPATH", "GEM_*", "JAVA_*", "JDK_*", "_JAVA_OPTIONS", "LUA_*", "NODE_*", "NPM_*"),
    *("PERL*", "PHP*", "PYTHON*", "RUBY*"),
    # Peers, proxies and trusted certificates.
    *("ALL_PROXY", "CURL_*", "FTP_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"),
    *("all_proxy", "ftp_proxy", "http_proxy", "https_proxy", "no_proxy"),
    *("OPENSSL_*", "REQUESTS_CA_BUNDLE", "SSLKEYLOGFILE", "SSL_*"),
    # git: programs, settings, and other repositories.
    *("GIT_ALLOW_PROTOCOL", "GIT_ALTERNATE_*", "GIT_ASKPASS", "GIT_ATTR_*", "GIT_COMMON_DIR"),
    *("GIT_CONFIG*", "GIT_DIR", "GIT_EDITOR", "GIT_EXEC_PATH", "GIT_EXTERNAL_DIFF"),
    *("GIT_GRAFT_FILE", "GIT_HTTP_*", "GIT_INDEX_FILE", "GIT_MAN_VIEWER", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_PAGER", "GIT_PROTOCOL*", "GIT_PROXY_*", "GIT_REPLACE_REF_BASE"),
    *("GIT_SEQUENCE_EDITOR", "GIT_SHALLOW_FILE", "GIT_SSH*", "GIT_SSL_*", "GIT_TEMPLATE_DIR"),
    *("GIT_TERMINAL_PROMPT", "GIT_TRACE*", "GIT_CURL_*", "GIT_WORK_TREE"),
    # Other tools: accounts, engines, endpoints, arguments and plugins.
    *("AWS_ACCESS_*", "AWS_CA_BUNDLE", "AWS_CLI_*", "AWS_CONFIG_FILE", "AWS_CONTAINER_*"),
    *("AWS_CREDENTIAL_*", "AWS_DATA_PATH", "AWS_EC2_*", "AWS_ENDPOINT_*", "AWS_LOGIN_*"),
    *("AWS_PAGER", "AWS_PROFILE", "AWS_ROLE_*", "AWS_SECRET_*", "AWS_SECURITY_*", "AWS_SESSION_*"),
    *("AWS_SHARED_*", "AWS_STS_*", "AWS_WEB_*"),
    *("ARM_*", "AZURE_*", "CLOUDSDK_*", "GOOGLE_*", "KUBECONFIG", "VAULT_*"),
    *("BUILDKIT_HOST", "BUILDX_BUILDER", "BUILDX_CONFIG", "CONTAINER_HOST", "DOCKER_AUTH_CONFIG"),
    *("DOCKER_CERT_PATH", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_HOST", "DOCKER_TLS*"),
    *("TF_CLI_*", "TF_DATA_DIR", "TF_LOG*", "TF_PLUGIN_*", "TF_REATTACH_*", "TF_TOKEN_*"),
)
"""Names and prefixes of variables that choose programs, files, accounts or peers."""
_STEERING_ENDS = ("_ASKPASS", "_COMMAND", "_EDITOR", "_PAGER", "_PRELOAD", "_PROXY", "_proxy")


def find_steering(
    entries: Iterable[str], *, overruled: Iterable[str] = ()
) -> Iterator[tuple[str, str]]:
    """Find entries that forward variables which choose programs, files, accounts or peers.

    Yields each such entry with the name, or prefix with `*`, of one that it forwards. `overruled`
    are names that are never forwarded.
    """
    harmless = frozenset(overruled)
    steering = [name for name in _STEERING if name not in harmless]
    for entry in entries:
        found = next((name for name in steering if _overlap(entry, name)), None)
        if found is None and entry.endswith(_STEERING_ENDS):
            found = entry
        if found is not None:
            yield entry, found


def _overlap(one: str, other: str) -> bool:
    """Return whether some name matches both; each is a name, or a prefix with `*`."""
    open_one, open_other = one.endswith("*"), other.endswith("*")
    one, other = one.removesuffix("*"), other.removesuffix("*")
    return (
        one == other
        or (open_one and other.startswith(one))
        or (open_other and one.startswith(other))
    )


def review_module(module: Module) -> Iterator[Fault]:
    """Find rules without effect, steering variables, and credentials that a box exposes.

    Rules without effect can never match, are implied by others, or name flags and subcommands that
    the option table, made for one version of the tool, does not have.
    """
    yield from _review_rules(module)
    is_closed = module.sandbox is not None and module.sandbox.box == "closed"
    # In a closed box variables cannot steer a tool to anything that the client does not have.
    forward = () if is_closed else module.forward
    for entry, name in find_steering(forward, overruled=(*module.strip, *module.set)):
        lets_in = "" if name == entry else f" lets in {name}, which"
        problem = f"{entry}{lets_in} can choose programs, files, accounts or peers for the tool"
        remedy = "remove it; what the tool needs of that kind belongs in the profile's [env] set"
        yield Fault(module.source, "env.forward", problem, remedy)
    for path in find_secret_places(module.sandbox):
        problem = f"{quote(path)} has credentials, and what a box shows the container can read"
        yield Fault(module.source, "sandbox.read", problem, "remove it, or name less of it")
    for name in find_secret_names(module.set):
        problem = f"the name of {name} says that its value is a secret, which the tool is given"
        remedy = "grant its API: [[api]] with a credential, of which the tool has a placeholder"
        yield Fault(module.source, "env.set", problem, remedy)


def find_secret_names(variables: Mapping[str, str]) -> Iterator[str]:
    """Return the names of nonempty variables whose name suggests a secret."""
    return (name for name, value in variables.items() if value and _SECRET.search(name))


def review_narrowing(module: Module, *, source: str, key: str) -> Iterator[Fault]:
    """Find the profile's narrowing rules that have no effect, at `key` of the file `source`."""
    rules = module.rules
    yield from _find_shadowed(source, key, rules.narrowing.rules)
    if not isinstance(rules, PlainRules):
        from airlock_modules.files.grammar_review import find_unmatchable  # noqa: PLC0415

        for rule in rules.narrowing.rules:
            yield from find_unmatchable(source, key, rule, rules)


def _review_rules(module: Module) -> Iterator[Fault]:
    rules = module.rules
    yield from _find_shadowed(module.source, f"{rules.mode}.args", rules.rules.rules)
    if not isinstance(rules, PlainRules):
        yield from _find_shadowed(module.source, "allow.except", rules.exceptions.rules)
        from airlock_modules.files.grammar_review import find_unknown  # noqa: PLC0415

        yield from find_unknown(module.source, rules)


def _find_shadowed(source: str, key: str, rules: Sequence[Rule[Any]]) -> Iterator[Fault]:
    earlier: dict[frozenset[str], str] = {}
    sets = {frozenset(part.text for part in rule.parts): rule.text for rule in rules}
    for rule in rules:
        parts = frozenset(part.text for part in rule.parts)
        other = earlier.get(parts)
        if other is None:
            wider = (text for found, text in sets.items() if _implies(parts, found))
            other = next(wider, None)
        earlier[parts] = rule.text
        if other is not None:
            problem = f"the rule {quote(rule.text)} changes nothing beside {quote(other)}"
            yield Fault(source, key, problem, "remove it, or the other one")


def _implies(parts: frozenset[str], wider: frozenset[str]) -> bool:
    """Return whether a match of all `parts` implies one of all of `wider`, a different set."""
    if parts == wider:
        return False
    flags = {part.partition("=")[0].removesuffix("!") for part in parts if part.startswith("-")}
    return wider <= parts | flags
