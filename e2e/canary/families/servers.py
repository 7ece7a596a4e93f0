"""Servers that lead elsewhere, say what has two senses, or want an account that is not theirs."""

import json
from collections.abc import Iterator
from functools import partial

from e2e.canary.answers import AMBIGUOUS, REDIRECTS, STATUSES, TEXTS, find
from e2e.canary.attack import Attack, Family
from e2e.canary.families.urls import FETCH, SITE, at_url
from e2e.canary.human_git import HELPERS
from e2e.canary.look import has_raw
from e2e.canary.scene import Scene, read_output


def _show(scene: Scene, *, url: str) -> bytes:
    """Let a server say something; what comes on stderr must be fit for a terminal."""
    with scene.connect("web-odd") as client:
        words = ("https", "origin", url)
        client.send(scene.request(words, "base64", "stdin"))
        seen = [client.await_start("stdin")]
        scene.send_input(client, FETCH)
        while (message := client.next_message()) is not None:
            seen.append(message)
    said = b"".join(
        read_output(each) for each in seen if each.get("params", {}).get("stream") == "stderr"
    ).decode()
    if has_raw(said):
        (scene.world.proof / "raw-text").touch()
    return b"\n".join(json.dumps(each, ensure_ascii=False).encode() for each in seen)


def _attacks() -> Iterator[Attack]:
    odd = partial(at_url, agent="web-odd")
    for name in REDIRECTS:
        works = name in [*REDIRECTS][:4]
        for status in STATUSES if works else STATUSES[:1]:
            url = f"{SITE}{find('redirect', name, status=status)}"
            yield odd(f"{status} to {name}", "redirects", url, works=works)
        url = f"{SITE}/open{find('redirect', name, status=307)}"
        yield odd(f"307 to {name} for a request", "redirects", url)
    for name, (_, works) in AMBIGUOUS.items():
        yield odd(f"answer: {name}", "answers", f"{SITE}{find('ambiguous', name)}", works=works)
    for name, (_, works) in TEXTS.items():
        run = partial(_show, url=f"{SITE}{find('text', name)}")
        yield Attack(name, "texts", run, works)
    for helper in HELPERS:
        url = f"https://localhost:<web>/open/{helper}"
        yield odd(f"helper that says {helper}", "accounts", url, works=True)
    url = "https://localhost:<web>/open/app.git"
    yield odd("a host that only a general helper has", "accounts", url, works=True)
    url = "http://127.0.0.1:<plain>/ask/app.git"
    yield odd("the same host without TLS", "accounts", url, works=True)
    url = "https://127.0.0.1:<impostor>/open/app.git"
    yield odd("a false certificate", "certificates", url, works=True)


FAMILY = Family("servers", tuple(_attacks()))
