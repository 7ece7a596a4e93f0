"""The CA of an agent: its files, and what real clients make of them."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import broker_fixtures
import pytest
import trio
from api_server import ApiServer, Certificates
from broker_world import PLACEHOLDER, SECRET, broker, make_api
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from airlock_daemon.boundary.brokers.https.authority import (
    BUNDLE,
    CERTIFICATE,
    TRUSTSTORE,
    TRUSTSTORE_PASSWORD,
    Authority,
    open_key,
)
from airlock_daemon.errors import Failed

certificates = broker_fixtures.certificates
server = broker_fixtures.server
variables = broker_fixtures.variables

HOSTS = ("api.example.com", "*.b.example.org", "127.0.0.1")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The CA of an agent."""
    return Authority("agent", open_key(str(tmp_path / "key")), HOSTS)


@pytest.fixture
def system(certificates: Certificates) -> tuple[bytes, ...]:
    """The certificates that the host trusts."""
    loaded = x509.load_pem_x509_certificate(certificates.file.read_bytes())
    return (loaded.public_bytes(Encoding.DER),)


def read(folder: Path) -> dict[str, bytes]:
    """The published files."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_key_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    """A key that others may have read is refused, and a damaged one."""
    path = tmp_path / "key"
    first = open_key(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_key(str(path)).private_numbers() == first.private_numbers()
    assert os.listdir(tmp_path) == ["key"]
    path.chmod(0o640)
    with pytest.raises(Failed, match="not this user's alone"):
        open_key(str(path))
    path.chmod(0o600)
    path.write_text("junk")
    with pytest.raises(Failed, match="it has no key"):
        open_key(str(path))
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Failed, match="cannot be used"):
        open_key(str(path))


def test_files_are_replaced_only_where_something_changed(
    tmp_path: Path, authority: Authority, system: tuple[bytes, ...]
) -> None:
    """A container that has read them goes on, also after the hosts have changed."""
    folder = tmp_path / "published"
    folder.mkdir()
    authority.publish(str(folder), system)
    first = read(folder)
    assert set(first) == {CERTIFICATE, BUNDLE, TRUSTSTORE}
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o644 for file in folder.iterdir())
    again = Authority("agent", open_key(str(tmp_path / "key")), HOSTS)
    again.publish(str(folder), system)
    assert read(folder) == first
    again.publish(str(folder), ())
    second = read(folder)
    assert second[CERTIFICATE] == first[CERTIFICATE] == second[BUNDLE]
    wider = Authority("agent", open_key(str(tmp_path / "key")), (*HOSTS, "c.example.com"))
    wider.publish(str(folder), system)
    third = read(folder)
    old, new = (x509.load_pem_x509_certificate(each[CERTIFICATE]) for each in (first, third))
    assert old != new
    assert (old.subject, old.public_key()) == (new.subject, new.public_key())
    assert third[BUNDLE].count(b"BEGIN CERTIFICATE") == 2


def test_links_and_pipes_in_the_way_are_not_followed(
    tmp_path: Path, authority: Authority, system: tuple[bytes, ...]
) -> None:
    """A container that can write there would have other files overwritten, or a worker wait."""
    folder = tmp_path / "published"
    folder.mkdir()
    target = tmp_path / "precious"
    target.write_text("precious")
    (folder / CERTIFICATE).symlink_to(target)
    os.mkfifo(folder / BUNDLE)
    (folder / TRUSTSTORE).symlink_to("/dev/zero")
    authority.publish(str(folder), system)
    assert target.read_text() == "precious"
    assert all(stat.S_ISREG(file.lstat().st_mode) for file in folder.iterdir())
    (folder / BUNDLE).unlink()
    (folder / BUNDLE).mkdir()
    with pytest.raises(Failed, match="cannot be written: Is a directory"):
        authority.publish(str(folder), system)
    assert set(os.listdir(folder)) == {CERTIFICATE, BUNDLE, TRUSTSTORE}


def test_its_certificate_permits_the_hosts_alone(
    tmp_path: Path, authority: Authority, system: tuple[bytes, ...]
) -> None:
    """OpenSSL takes a leaf for a host, and none for another name or address."""
    authority.publish(str(tmp_path), system)
    cases = {
        "api.example.com": "ok",
        "x.b.example.org": "ok",
        "127.0.0.1": "ok",
        "evil.example.net": "permitted subtree violation",
        "api.example.com.evil.net": "permitted subtree violation",
        "127.0.0.2": "permitted subtree violation",
        "::1": "permitted subtree violation",
    }
    for host, expected in cases.items():
        said = _verify(tmp_path, authority, host)
        assert ("OK" in said) if expected == "ok" else (expected in said), (host, said)
    without = Authority("agent", ec.generate_private_key(ec.SECP256R1()), ("a.example.com",))
    without.publish(str(tmp_path), ())
    own = x509.load_pem_x509_certificate((tmp_path / CERTIFICATE).read_bytes())
    limits = own.extensions.get_extension_for_class(x509.NameConstraints).value
    assert limits.excluded_subtrees is not None
    assert len(limits.excluded_subtrees) == 2


def test_a_certificate_of_before_is_good_for_the_hosts_of_before(
    tmp_path: Path, authority: Authority
) -> None:
    """A container keeps over its own store what was published when it began."""
    authority.publish(str(tmp_path), ())
    key = open_key(str(tmp_path / "key"))
    later = Authority("agent", key, (*HOSTS, "granted.example.net"))
    assert "OK" in _verify(tmp_path, later, "api.example.com")
    assert "permitted subtree violation" in _verify(tmp_path, later, "granted.example.net")
    later.publish(str(tmp_path), ())
    assert "OK" in _verify(tmp_path, later, "granted.example.net")


def _verify(folder: Path, authority: Authority, host: str) -> str:
    """What openssl says of the leaf for a host, by the certificate that is published."""
    leaf = folder / "leaf.pem"
    leaf.write_bytes(authority.issue_leaf(host).public_bytes(Encoding.PEM))
    words = ["openssl", "verify", "-x509_strict", "-CAfile", str(folder / CERTIFICATE)]
    words += ["-purpose", "sslserver", str(leaf)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


PYTHON = f"""
import sys, urllib.request
headers = {{"Authorization": "Bearer {PLACEHOLDER}"}}
request = urllib.request.Request(sys.argv[1], headers=headers)
print(urllib.request.urlopen(request).read().decode(), end="")
"""

JAVA = f"""
import java.net.*;
public class Get {{
  public static void main(String[] words) throws Exception {{
    var connection = new URL(words[0]).openConnection();
    connection.setRequestProperty("Authorization", "Bearer {PLACEHOLDER}");
    System.out.write(connection.getInputStream().readAllBytes());
    System.out.flush();
  }}
}}
"""

HEADER = f"Authorization: Bearer {PLACEHOLDER}"

# In words and variables CA, BUNDLE and STORE stand for files, PROXY and PORT for the listener.
CLIENTS = {
    "curl": (["curl", "-sS", "-H", HEADER, "URL"], {"SSL_CERT_FILE": "CA"}),
    "curl with the bundle": (["curl", "-sS", "-H", HEADER, "URL"], {"CURL_CA_BUNDLE": "BUNDLE"}),
    "wget": (["wget", "--ca-certificate=CA", "-qO-", "--header", HEADER, "URL"], {}),
    "python": ([sys.executable, "-c", PYTHON, "URL"], {"SSL_CERT_FILE": "BUNDLE"}),
    "java": (
        [
            "java",
            "-Dhttps.proxyHost=127.0.0.1",
            "-Dhttps.proxyPort=PORT",
            "-Dhttp.nonProxyHosts=",
            "-Djavax.net.ssl.trustStore=STORE",
            f"-Djavax.net.ssl.trustStorePassword={TRUSTSTORE_PASSWORD.decode()}",
            "Get.java",
            "URL",
        ],
        {},
    ),
}


@pytest.mark.parametrize("client", CLIENTS)
async def test_real_clients_trust_it(
    tmp_path: Path, server: ApiServer, variables: dict[str, str], client: str
) -> None:
    """By the variables that a container gets."""
    words, settings = CLIENTS[client]
    if shutil.which("javac" if client == "java" else words[0]) is None:
        pytest.skip(f"there is no {words[0]}")
    (tmp_path / "Get.java").write_text(JAVA)
    async with (
        broker(tmp_path, make_api(server.port), variables=variables) as world,
        trio.open_nursery() as nursery,
    ):
        port = await world.listen(nursery)
        stand_ins = {
            "CA": str(world.published / CERTIFICATE),
            "BUNDLE": str(world.published / BUNDLE),
            "STORE": str(world.published / TRUSTSTORE),
            "PROXY": f"http://127.0.0.1:{port}",
            "PORT": str(port),
            "URL": f"https://localhost:{server.port}/x",
        }

        def fill(word: str) -> str:
            before, equals, last = word.rpartition("=")
            return before + equals + stand_ins.get(last, last)

        # Most tools ask no proxy for localhost, unless they are told to.
        environment = {"https_proxy": "PROXY", "no_proxy": "", **settings}
        done = await trio.run_process(
            list(map(fill, words)),
            env={name: fill(value) for name, value in environment.items()}
            | {"PATH": os.defpath, "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == (b"ok", b"")
        assert server.seen[0].headers["authorization"] == f"Bearer {SECRET}"
        nursery.cancel_scope.cancel()


def test_java_finds_all_certificates_in_the_trust_store(
    tmp_path: Path, authority: Authority, system: tuple[bytes, ...]
) -> None:
    """As trusted ones: without the attribute for that it would see none."""
    authority.publish(str(tmp_path), system)
    words = ["openssl", "pkcs12", "-in", str(tmp_path / TRUSTSTORE), "-nokeys"]
    done = subprocess.run(
        [*words, "-passin", f"pass:{TRUSTSTORE_PASSWORD.decode()}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("BEGIN CERTIFICATE") == 2
    assert done.stdout.count("Trusted key usage (Oracle)") == 2
    assert "friendlyName: airlock" in done.stdout
