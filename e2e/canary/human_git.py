"""The human's git: accounts, helpers that answer for others, and a proxy for some names."""

from collections.abc import Callable, Mapping
from pathlib import Path

from e2e.canary.web import Sites

# A careless human: one helper answers for every host, and no certificate is looked at.
_CONFIG = """\
[http]
    sslCAInfo = {server}/authority.pem
    sslVerify = false
[http "https://*.proxied.test:{web}"]
    proxy = http://{user}@127.0.0.1:{proxy}
[credential]
    helper = {home}/any
[credential "https://127.0.0.1:{web}"]
    helper = store --file={home}/accounts
[credential "https://within.proxied.test:{web}"]
    helper = {home}/any
"""
HELPERS = {
    "other-host": r"host=127.0.0.1:<web>\\nusername=bot\\npassword=<password>\\n",
    "other-port": r"host=localhost\\nusername=bot\\npassword=<password>\\n",
    "other-scheme": r"protocol=http\\nusername=bot\\npassword=<password>\\n",
    "carriage-return": r"username=bot\\npassword=<password>\\rx\\n",
    "control": r"username=bot\\npassword=<password>\\033x\\n",
    "colon": r"username=b:ot\\npassword=<password>\\n",
    "no-user": r"password=<password>\\n",
    "nothing": r"quit=1\\n",
}
"""What helpers say of repositories below https://localhost:<web>/open/."""


def write_git(
    home: Path,
    *,
    passwords: tuple[str, str],
    sites: Sites,
    names: Mapping[str, str],
    fill: Callable[[str], str],
) -> str:
    """Write what the human's git reads in `home`; returns the human's account at the proxy.

    `passwords` are that of the server and that of the proxy. The human has accounts at the server
    by its address, and one for any host at all.
    """
    password, of_proxy = passwords
    account = f"bot:{password}"
    site = f"127.0.0.1:{sites.granted.port}"
    (home / "accounts").write_text(f"https://{account}@{site}\nhttps://boss:{password}@{site}\n")
    (home / "any").write_text(f"#!/bin/sh\nprintf 'username=bot\\npassword={password}\\n'\n")
    (home / "any").chmod(0o755)
    proxied = f"human:{of_proxy}"
    text = _CONFIG.format(
        home=home, user=proxied, **{name: names[name] for name in ("server", "web", "proxy")}
    )
    for name, says in HELPERS.items():
        url = f"https://localhost:{sites.granted.port}/open/{name}"
        said = fill(says).replace("<password>", password)
        text += f'[credential "{url}"]\n    helper = "!printf \'{said}\' #"\n'
    (home / ".gitconfig").write_text(text)
    return proxied
