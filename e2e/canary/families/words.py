"""Words that are not git's: options of ssh, other commands, and variables."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family, ask

_APP = "git-upload-pack '<open>/app.git'"
_RUN = ":>'<proof>/words'"

# Before the destination. What runs something is seen to, without the guard.
OPTIONS: tuple[tuple[tuple[str, ...], bool], ...] = (
    (("-oProxyCommand=:><proof>/proxy; false",), True),
    (("-o", "ProxyCommand=:><proof>/proxy; false"), True),
    (("-o", "proxycommand :><proof>/proxy; false"), True),
    (("-o", "SendEnv=GIT_PROTOCOL", "-oProxyCommand=:><proof>/proxy"), True),
    (("-4oProxyCommand=:><proof>/proxy",), True),
    (("-oPermitLocalCommand=yes", "-oLocalCommand=:><proof>/local"), False),
    (("-oKnownHostsCommand=/bin/touch <proof>/known",), True),
    (("-F", "/dev/null", "-oProxyCommand=:><proof>/proxy"), True),
    (("-E", "<proof>/log"), True),
    (("-v", "-E<proof>/log"), True),
    (("-S", "<proof>/master", "-M"), False),
    (("-oControlMaster=yes", "-oControlPath=<proof>/master"), False),
    (("-I", "<proof>/evil.so"), False),
    (("-oPKCS11Provider=<proof>/evil.so",), False),
    (("-oSecurityKeyProvider=<proof>/evil.so",), False),
    (("-oUserKnownHostsFile=<proof>/hosts", "-oStrictHostKeyChecking=no"), False),
    (("-oInclude=<server>/client-key",), False),
    (("-F", "<server>/client-key"), False),
    (("-i", "<account>/notes"), False),
    (("-A",), False),
    (("-oForwardAgent=yes",), False),
    (("-L", "<proof>/socket:127.0.0.1:<port>"), False),
    (("-R", "0:127.0.0.1:<port>"), False),
    (("-D", "0"), False),
    (("-W", "127.0.0.1:<port>"), False),
    (("-N",), False),
    (("-f",), False),
    (("-G",), False),
    (("-Q", "key"), False),
    (("-V",), False),
    (("-J", "forge"), False),
    (("-p",), False),
    (("-o",), False),
    (("-p", "<port> -oProxyCommand=id"), False),
    (("-p", "-oProxyCommand=:><proof>/proxy"), False),
    (("-p<port>",), False),
    (("-46",), False),
    (("--",), False),
    (("-",), False),
    (("-o", "SendEnv=GIT_PROTOCOL LC_ALL"), False),
    (("-o", "SetEnv=GIT_PROTOCOL=evil"), True),
    (("-oSendEnv=GIT_PROTOCOL",), False),
)

# In the place of git's command for the remote.
_COMMANDS: tuple[tuple[str, bool], ...] = (
    (_RUN, True),
    (f"sh -c {_RUN}", True),
    (f"git-upload-pack '<open>/app.git'; {_RUN}", True),
    (f"git-upload-pack '<open>/app.git' || {_RUN}", True),
    (f"{_APP}\n{_RUN}", True),
    (f"{_RUN}\n{_APP}", True),
    ("cat <account>/notes", True),
    ("cat <server>/client-key", True),
    ("git-upload-pack '<open>/app.git' '<root>/secret.git'", False),
    ("git-upload-pack --strict '<root>/secret.git'", True),
    ("git-upload-pack '<root>/secret.git", False),
    ("git-upload-pack <root>/secret.git", True),
    ("git upload-pack '<root>/secret.git'", True),
    ('git-upload-pack "<root>/secret.git"', True),
    ("git-upload-pack  '<root>/secret.git'", True),
    (" git-upload-pack '<root>/secret.git'", True),
    ("GIT-upload-pack '<root>/secret.git'", False),
    ("git-upload-archive '<root>/secret.git'", False),
    ("git-shell -c 'id'", False),
    ("git-lfs-authenticate <open>/app.git upload", False),
    ("git-lfs-transfer <open>/app.git upload", False),
    ("git-cvsserver server", False),
    ("scp -f <account>/notes", False),
    ("sftp-server", False),
    ("", False),
)

DESTINATIONS = (
    *("-oProxyCommand=:><proof>/proxy", "--help", "-G", "", "@", "@forge", "a b", "forge forge"),
    *("<user>@<user>@forge", "%h", "<user>@%h", "$(id)@forge", "`id`", "forge;id", "forge\nid"),
    *("ssh://forge", "forge:22", "forge/x", "*", "for*", "-@forge", "<user>@-oProxyCommand=id"),
    *("forge%eth0", "\uff46orge", "f\u00f6rge", "forge\u200b", "[forge]", "[::1%lo]", "forge'"),
    *("<user>%forge", "\\forge", "!forge", "forge,other", "~", ".forge"),
)

_VARIABLES = ("evil", "version=2:evil", "version=evil", "version=2\nevil", " version=2 evil")

# A variable before the name of an allowed command.
_PREFIXED = (
    *("LC_ALL=evil git-remote", "env LC_ALL=evil git-remote", "LC_ALL=evil\tgit-remote"),
    *("LC_ALL=evil;git-remote", "LC_ALL=evil", "git-remote LC_ALL=evil"),
)


def _attacks() -> Iterator[Attack]:
    for option, works in OPTIONS:
        name = f"option {' '.join(option)}"
        yield ask(name, "words", *option, "forge", _APP, works_without=works)
    for command, works in _COMMANDS:
        yield ask(f"command {command!r}", "words", "forge", command, works_without=works)
    for destination in dict.fromkeys(DESTINATIONS):
        yield ask(f"destination {destination!r}", "words", destination, _APP)
    for extra in ((), ("forge",), ("forge", _APP, "x"), (_APP,)):
        yield ask(f"words {extra}", "words", *extra)
    yield ask("nothing but git", "options", "forge", _APP, works_without=True)
    for value in _VARIABLES:
        words = ("-o", "SendEnv=GIT_PROTOCOL", "forge", _APP)
        env = {"GIT_PROTOCOL": value}
        name = f"GIT_PROTOCOL {value!r}"
        yield ask(
            *(name, "environment", *words), env=env, works_without=True, tries=("CVE-2026-22708",)
        )
    for command in _PREFIXED:
        name = f"command {command!r} by its name"
        yield ask(name, "words", "forge", _APP, command=command, tries=("CVE-2026-22708",))
    for name in ("LC_ALL", "LC_EVIL", "LANG", "LD_PRELOAD", "SSH_ASKPASS", "SSH_AUTH_SOCK", "HOME"):
        works = name == "LC_ALL"
        env = {name: "evil"}
        yield ask(
            *(f"variable {name}", "environment", "forge", _APP),
            env=env,
            works_without=works,
            tries=("CVE-2026-22708", "OpenSandbox#1194"),
        )


FAMILY = Family("words", tuple(_attacks()))
