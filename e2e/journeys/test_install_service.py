"""`install.sh` where a systemd runs: from nothing to a service that serves an agent, and back."""

from pathlib import Path

from e2e.world.fresh_host import INSTALL, WHEELS, FreshHosts
from e2e.world.product import Product
from e2e.world.systemd_host import booted, build_systemd_image

PROGRAM = "/home/dev/.local/bin/airlock-daemon"
UNIT = ".config/systemd/user/airlock.service"


def test_the_service_is_there_after_the_installation_and_gone_after_its_removal(
    product: Product, fresh_hosts: FreshHosts, tmp_path: Path
) -> None:
    """`agent add` starts it, and it runs what was installed; configuration and log stay."""
    image = build_systemd_image(daemon=product.daemon)
    with booted(image, tmp_path, *fresh_hosts.mounts) as host:
        host.log_in()
        installed = host.run("sh", INSTALL, "--from", WHEELS).succeeded().stdout
        assert f"made /home/dev/{UNIT}" in installed
        hint = "hint: register an agent, which enables its commands: airlock agent add NAME"
        assert hint in installed.splitlines()[-1]
        host.run("mkdir", "app").succeeded()
        add = ("agent", "add", "my", "--workspace", "app", "--command", "ssh", "--yes")
        added = host.run(PROGRAM, *add).succeeded().stdout
        assert "The service was started, and serves it." in added
        assert host.show("ActiveState") == "active"
        assert PROGRAM in host.show("ExecStart")
        again = host.run("sh", INSTALL, "--from", WHEELS).succeeded().stdout
        assert "the service runs already" in again
        removed = host.run("sh", INSTALL, "--uninstall").succeeded().stdout
        assert "the service was stopped" in removed
        assert host.show("ActiveState") == "inactive"
        left = host.run("ls", UNIT, PROGRAM, ".config/airlock/agents.toml")
        assert left.stdout == ".config/airlock/agents.toml"
