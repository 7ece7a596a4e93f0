"""Variables of the client that reach a tool: `[env] forward`.

An entry is a name, or a beginning followed by `*`. The client that sends the variables may be
hostile, so a module should list only such as steer nothing; `find_steering` tells those that do.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

_LOCALE = re.compile(r"[A-Za-z0-9_.@:+-]*")
_ZONE = re.compile(r"(?![/:])(?!.*\.\.)[A-Za-z0-9_.,:/<>+-]*")

_STEERING = (
    # The loader, the C library, and where they find parts of themselves.
    *("LD_*", "DYLD_*", "GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "HOSTALIASES"),
    *("LOCALDOMAIN", "LOCPATH", "MALLOC_*", "NLSPATH", "RESOLV_*", "RES_OPTIONS", "TZDIR"),
    *("TERMCAP", "TERMINFO*", "TERMPATH"),
    # Shells, and where programs look for files and for each other.
    *("BASHOPTS", "BASH_*", "CDPATH", "ENV", "HOME", "IFS", "LOGNAME", "PATH", "PROMPT_COMMAND"),
    *("PS4", "SHELL", "SHELLOPTS", "TEMP", "TMP", "TMPDIR", "USER", "XDG_*", "ZDOTDIR"),
    # Programs that a tool starts, and what those read.
    *("BROWSER", "DBUS_*", "DISPLAY", "EDITOR", "GNUPGHOME", "GPG_*", "LESS*", "LV", "MAN*"),
    *("PAGER", "PINENTRY_*", "SSH_*", "VISUAL", "WAYLAND_*"),
    # Interpreters.
    *("CLASSPATH", "GEM_*", "JAVA_*", "JDK_*", "_JAVA_OPTIONS", "LUA_*", "NODE_*", "NPM_*"),
    *("PERL*", "PHP*", "PYTHON*", "RUBY*"),
    # Whom a tool talks to, and whom it believes.
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
"""Names, and beginnings of names, of variables that choose programs, files, accounts or peers."""
_STEERING_ENDS = ("_ASKPASS", "_COMMAND", "_EDITOR", "_PAGER", "_PRELOAD", "_PROXY", "_proxy")


def select_forwarded(variables: Mapping[str, str], entries: Iterable[str]) -> dict[str, str]:
    """Return those of a client's variables that the entries of a module's `forward` name.

    The locale and the time zone may be given by the path of a file, which the C library then
    loads. A value of `LANG`, `LANGUAGE`, `LC_*` or `TZ` that can be such a path is left out.
    """
    exact = {entry for entry in entries if not entry.endswith("*")}
    beginnings = tuple(entry[:-1] for entry in entries if entry.endswith("*"))
    return {
        name: value
        for name, value in variables.items()
        if (name in exact or name.startswith(beginnings)) and _is_plain(name, value)
    }


def find_steering(
    entries: Iterable[str], *, overruled: Iterable[str] = ()
) -> Iterator[tuple[str, str]]:
    """Find entries that let in what chooses programs, files, accounts or peers.

    Yields each such entry with a name, or a beginning with `*`, of what it lets in. `overruled` are
    names that do not get in whatever the entries say.
    """
    harmless = frozenset(overruled)
    steering = [name for name in _STEERING if name not in harmless]
    for entry in entries:
        found = next((name for name in steering if _overlap(entry, name)), None)
        if found is None and entry.endswith(_STEERING_ENDS):
            found = entry
        if found is not None:
            yield entry, found


def _is_plain(name: str, value: str) -> bool:
    if name == "TZ":
        return _ZONE.fullmatch(value) is not None
    if name in ("LANG", "LANGUAGE") or name.startswith("LC_"):
        return _LOCALE.fullmatch(value) is not None
    return True


def _overlap(one: str, other: str) -> bool:
    """Tell whether a name can match both, each of which is a name or a beginning with `*`."""
    open_one, open_other = one.endswith("*"), other.endswith("*")
    one, other = one.removesuffix("*"), other.removesuffix("*")
    return (
        one == other
        or (open_one and other.startswith(one))
        or (open_other and one.startswith(other))
    )
