"""APIs in containers of `run` that have no network and no credential, by the tools of every day."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from e2e.world.api_services import (
    ANSWER,
    ANTHROPIC,
    GITHUB,
    NPM,
    OPENAI,
    STORAGE,
    WRITTEN,
)
from e2e.world.running import Running

from .place import Place

STREAM = """\
import sys
import anthropic
client = anthropic.Anthropic()
with client.messages.stream(
    model="claude", max_tokens=9, messages=[{"role": "user", "content": "one two three"}]
) as stream:
    for text in stream.text_stream:
        print(text, flush=True)
        client.models.list()
"""
CHAT = """\
import openai
client = openai.OpenAI()
for piece in client.chat.completions.create(
    model="gpt", stream=True, messages=[{"role": "user", "content": "four five six"}]
):
    print(piece.choices[0].delta.content, flush=True)
    client.models.list()
"""
GOOGLE = f"""\
import os
from google.api_core.exceptions import Forbidden
from google.cloud import storage
from google.oauth2.credentials import Credentials
credentials = Credentials(os.environ["GOOGLE_OAUTH_ACCESS_TOKEN"])
client = storage.Client(project="acme-dev", credentials=credentials)
blob = client.bucket("{WRITTEN}").blob("some folder/ä")
blob.upload_from_string("hello from Google's SDK")
print(blob.download_as_text(), flush=True)
try:
    client.bucket("other").blob("ä").download_as_text()
except Forbidden as error:
    print(error, flush=True)
"""
LOOK = """\
import os, re
mark = bytes(reversed(b"yromem sti fo krow"))
for process in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline"):
        try:
            sys.stdout.buffer.write(open(f"/proc/{process}/{name}", "rb").read())
        except OSError:
            pass
memory = open("/proc/self/mem", "rb")
for line in open("/proc/self/maps"):
    place, mode = line.split()[:2]
    first, last = (int(each, 16) for each in place.split("-"))
    if mode.startswith("rw"):
        memory.seek(first)
        # A credential can be printed.
        for text in re.findall(rb"[ -~]{8,}", memory.read(last - first)):
            sys.stdout.buffer.write(text + b"\\n")
for above, _, names in (each for top in ("/etc", "/run", "/home", "/tmp") for each in os.walk(top)):
    # Packages and their copies are public, and large.
    for name in [] if "/site-packages" in above or "/.cache" in above else names:
        try:
            sys.stdout.buffer.write(open(os.path.join(above, name), "rb").read(1 << 20))
        except OSError:
            pass
"""
DISTROLESS = """\
FROM {tools} AS tools
RUN mkdir /image && dpkg --listfiles base-files gh libc6 libgcc-s1 libssl3t64 zlib1g | sort -u | \\
    while read -r name; do \\
        [ -L "$name" ] || [ -f "$name" ] || continue; \\
        cp --parents --no-dereference "$name" /image; \\
    done && \\
    cp --parents /etc/ssl/certs/ca-certificates.crt /image && \\
    echo nonroot:x:65532:65532::/home/nonroot:/sbin/nologin >/image/etc/passwd
FROM scratch
COPY --from=tools /image /
USER nonroot
"""
"""The packages of gcr.io/distroless/cc, and gh."""


def test_curl_reaches_what_is_granted_and_nothing_else(place: Place) -> None:
    """The service sees the person's token; another operation, host or token is refused."""
    ask = 'curl -sS -H "Authorization: token $GH_TOKEN" https://api.github.com'
    assert json.loads(place.run(f"{ask}/user")) == {"login": "ada"}
    asked = place.asked(GITHUB)
    accounts = {each.path: each.account for each in asked}
    # The broker has asked first what the token may do.
    assert accounts["/rate_limit"] == f"Bearer {place.secrets[GITHUB]}"
    assert accounts["/user"] == f"token {place.secrets[GITHUB]}"
    refused = place.run(f"{ask}/repos/acme/app/actions/secrets; echo; {ask}/repos/other/app/pulls")
    assert refused.count("airlock: ") >= 2
    assert "Could not resolve host" not in refused
    other = 'curl -sS -H "Authorization: token mine" https://api.github.com/user'
    assert "airlock: " in place.run(other)
    unknown = place.run("curl -svS https://example.com/ 2>&1 || :")
    assert re.search("HTTP/1.1 403 .*airlock", unknown)
    assert place.asked(GITHUB) == asked


def test_gh_reads_and_proposes_and_does_not_merge(place: Place) -> None:
    """By REST and GraphQL, with its own filters, as the image's own program."""
    run = place.run
    assert run("gh api user --jq .login") == "ada"
    assert run("gh pr view 7 -R acme/app --json title --jq .title") == "Mend the door"
    words = "--title T --body B --head agent/x --base main -R acme/app"
    assert run(f"gh pr create {words}").endswith("/acme/app/pull/8")
    before = len(place.asked(GITHUB))
    said = run("gh pr merge 7 -R acme/app --merge 2>&1 || echo failed $?")
    assert "airlock: " in said
    assert said.endswith("failed 1")
    said = run("gh run watch 5 -R acme/app --interval 1 --exit-status; echo ended $?")
    assert said.endswith("ended 0")
    merged = [each for each in place.asked(GITHUB)[before:] if b"mergePullRequest" in each.body]
    assert merged == []


def test_sdks_stream_and_store(place: Place, wheels: Path) -> None:
    """Installed from PyPI there; each word arrives before the service sends the next one."""
    hosts = (ANTHROPIC, OPENAI, STORAGE)
    before = {host: len(place.asked(host)) for host in hosts}
    place.run(
        "pip install -q --no-compile --break-system-packages anthropic openai google-cloud-storage"
    )
    said = place.run(f"python3 - <<'EOF'\n{STREAM}{CHAT}{GOOGLE}{LOOK}EOF").split("\n", 8)
    assert [each.strip() for each in said[:6]] == ["one", "two", "three", "four", "five", "six"]
    assert said[6] == "hello from Google's SDK"
    assert "airlock: " in said[7]
    assert "work of its memory" in said[8]
    asked = {host: place.asked(host)[before[host] :] for host in hosts}
    assert [len(asked[host]) for host in (ANTHROPIC, OPENAI)] == [4, 4]
    calls = {f"{each.method} {each.path.partition('/b/')[0]}" for each in asked[STORAGE]}
    assert calls >= {"POST /upload/storage/v1", "GET /download/storage/v1"}
    assert all(f"/b/{WRITTEN}" in each.path for each in asked[STORAGE])
    for host in (OPENAI, STORAGE):
        assert {each.account for each in asked[host]} == {f"Bearer {place.secrets[host]}"}


def test_claude_code_answers(place: Place, claude: Path) -> None:
    """As released, with the placeholder for its key; nothing of the start is refused."""
    before = len(place.asked(ANTHROPIC))
    assert place.run(f"{claude} --print 'Who are you?'") == ANSWER
    asked = place.asked(ANTHROPIC)[before:]
    assert "/v1/messages" in [each.path for each in asked]
    assert {each.headers["x-api-key"] for each in asked} == {place.secrets[ANTHROPIC]}


def test_npm_installs_and_publishes_what_is_granted(place: Place) -> None:
    """A package of the registry, and the one package that the profile lets it publish."""
    registry = place.services.registry
    for name in ("app", "other"):
        package = json.dumps({"name": name, "version": "1.0.0"})
        line = f"mkdir /tmp/{name} && cd /tmp/{name} && echo {shlex.quote(package)} >package.json"
        place.run(f"{line} && npm publish 2>&1 || echo failed")
    assert set(registry.documents) == {"app"}
    place.run("cd /tmp && npm install --no-audit --no-fund app && ls node_modules/app")
    assert {each.account for each in place.asked(NPM)} <= {"", f"Bearer {place.secrets[NPM]}"}


def test_an_image_without_a_distribution(place: Place, make_image: Callable[[str], str]) -> None:
    """What distroless images have of Debian, and gh: no shell, and a user who is nobody here."""
    image = make_image(DISTROLESS.format(tools=place.image))
    line = shlex.join((*place.words("", "--image-user", image=image), "/usr/bin/gh", "api", "user"))
    assert json.loads(place.person.run(line, cwd=place.project.path)) == {"login": "ada"}


def test_an_image_of_another_user(place: Place, make_image: Callable[[str], str]) -> None:
    """Whose user is nobody on the host, and who has an entrypoint of its own."""
    image = make_image(
        f'FROM {place.image}\nUSER 4321:4321\nENTRYPOINT ["/usr/bin/env", "OWN=yes"]\n'
    )
    line = "id -u; echo $OWN; gh api user --jq .login"
    assert place.run(line, "--image-user", image=image).split() == ["4321", "yes", "ada"]


def test_a_container_outlives_a_restart_of_the_daemon(place: Place) -> None:
    """While it is away its tools are told so; when it is back they work again."""
    curl = 'curl -sS --max-time 20 -o /dev/null -w "said %{http_connect}\\n"'
    ask = f"{curl} https://api.github.com/zen 2>/dev/null || :"
    line = shlex.join(place.words(f"while :; do {ask}; sleep 0.2; done"))
    options = "--docker-arg=--init --docker-arg=--label=airlock.e2e"
    line = line.replace("run my", f"run my {options}", 1)
    variables = [f"{name}={value}" for name, value in place.person.environment.items()]
    words = ("env", "-i", *variables, *place.person.shell(f"cd {place.project.path}; exec {line}"))
    with Running(words) as running:
        running.wait_for("said 200")
        place.daemon.stop()
        running.wait_for("said 502")
        place.daemon.start()
        running.wait_for("said 200", times=running.heard.count("said 200") + 1)


def test_nothing_of_a_credential_is_in_what_is_kept(place: Place) -> None:
    """In the records of the daemon, and in the directory that containers have mounted."""
    files = place.person.files / "sockets/my"
    published = b"".join(each.read_bytes() for each in files.iterdir() if each.is_file())
    assert b"ghp_" in published
    assert place.find_leaks(published) == []
    place.run("gh api user")
    records = place.person.run("airlock-daemon log tail --json -n 1000", cwd=place.project.path)
    assert "gh GET /user" in records
    assert place.find_leaks(records.encode()) == []
