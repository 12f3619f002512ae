# SPDX-License-Identifier: MIT
"""The Debian package: what is in it, and a Debian disk whose GRUB starts the hypervisor with it and Linux again without it."""
import gzip
import pathlib
import subprocess

import pytest
from library import answers, log_file, script
from xylem import build, command_package, debian, installed, packages
from xylem.boot import Boot

LOOK = """
answer type $(cat /sys/hypervisor/type 2>/dev/null)
answer efi $(test -d /sys/firmware/efi && echo yes)
answer xen_entries $(grep -c "^menuentry .*with Xen hypervisor'" /boot/grub/grub.cfg)
answer configuration $(md5sum </boot/grub/grub.cfg)
answer left $(ls -d /boot/xen* /etc/default/grub.d/x* /usr/share/doc/xylem* 2>/dev/null)
"""
# What GRUB's scripts write depends on the machine (UEFI has an entry for its settings), so they run here first.
INSTALL = "must 'configuration' update-grub" + LOOK + """
must 'installation' dpkg -i ./xylem.deb
answer entries_then $(grep -c 'with Xen hypervisor' /boot/grub/grub.cfg)
"""
REMOVE = """
answer major $(xl info | awk '$1 == "xen_major" { print $3 }')
answer minor $(xl info | awk '$1 == "xen_minor" { print $3 }')
answer domain $(xl list | awk '$2 == 0 { print $1 }')
answer commandline $(xl info | sed -n 's/^xen_commandline *: //p')
answer oops $(dmesg | grep -c -e 'BUG:' -e 'Oops' -e 'Call Trace')
must 'removal' dpkg -r xylem-hypervisor
""" + LOOK
PURGE = LOOK + "must 'purge' dpkg -P xylem-hypervisor\nanswer after $(ls -d /boot/xen* /etc/default/grub.d/x* /usr/share/doc/xylem* 2>/dev/null)" \
               "\nanswer configuration_after $(md5sum </boot/grub/grub.cfg)"


@pytest.fixture
def package(request, oracle, tmp_path):
    """The package; for the oracle the same around Debian's real Xen."""
    packages.need(packages.PACKAGE)
    image = request.config.getoption("--image")
    if oracle or image:
        source = pathlib.Path(image) if image else debian.prepare().xen
        (tmp_path / "other.gz").write_bytes(gzip.compress(source.read_bytes(), 1))
        return command_package.make(tmp_path / "other.gz", tmp_path)
    return command_package.make(build.hypervisor() / "xylem.gz", tmp_path)


def field(package, name):
    return subprocess.run(["dpkg-deb", "-f", package, name], capture_output=True, text=True, check=True).stdout.strip()


def test_package_contents(package, tmp_path):
    """Files, owners, control fields and scripts; the same tree twice gives the same bytes."""
    listing = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True).stdout.splitlines()
    files = {line.split()[5]: line.split()[:2] for line in listing}
    assert files["./boot/xen-4.17-xylem.gz"] == ["-rw-r--r--", "root/root"]
    assert {name for name in files if not name.endswith("/") and not name.startswith("./usr/share/doc/xylem-hypervisor/")} == \
        {"./boot/xen-4.17-xylem.gz", "./etc/default/grub.d/xylem.cfg"}
    assert field(package, "Package") == "xylem-hypervisor" and "xen-hypervisor-4.17" in field(package, "Provides")
    subprocess.run(["dpkg", "--compare-versions", field(package, "Version"), "ge", command_package.RELEASE], check=True)
    subprocess.run(["dpkg-deb", "-R", package, tmp_path / "tree"], check=True)
    assert subprocess.run(["grub-file", "--is-x86-multiboot2", tmp_path / "tree/boot/xen-4.17-xylem.gz"]).returncode == 0
    subprocess.run(["md5sum", "--check", "--quiet", "DEBIAN/md5sums"], cwd=tmp_path / "tree", check=True)
    again = command_package.make(tmp_path / "tree/boot/xen-4.17-xylem.gz", tmp_path / "again", field(package, "Version"))
    assert again.read_bytes() == package.read_bytes()


@pytest.mark.long
def test_package_lintian(package):
    """Debian's own critic finds nothing but the maintainer's address, which is the builder's affair."""
    packages.need(packages.LINTIAN)
    answer = subprocess.run(["lintian", "--fail-on", "error,warning", "--allow-root", "--suppress-tags",
                             "bogus-mail-host,bogus-mail-host-in-debian-changelog", package], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout


def grub_default(folder, with_image, override=""):
    """What update-grub makes of xylem.cfg in a system that has the image or not."""
    settings = (command_package.PARTS / "xylem.cfg").read_text().replace("/boot/", f"{folder}/")
    (folder / "xen-4.17-xylem.gz").unlink(missing_ok=True)
    if with_image:
        (folder / "xen-4.17-xylem.gz").touch()
    text = f"GRUB_DEFAULT=0 GRUB_DISTRIBUTOR=Debian\n{override}\n{settings}\necho \"$GRUB_DEFAULT\""
    return subprocess.run(["sh", "-ec", text], capture_output=True, text=True, check=True).stdout.strip()


def test_package_menu_default(tmp_path):
    assert grub_default(tmp_path, True) == "Debian GNU/Linux, with Xen hypervisor"
    assert grub_default(tmp_path, False) == "0"
    assert grub_default(tmp_path, True, "XEN_OVERRIDE_GRUB_DEFAULT=0") == "0"


def run(request, disk, firmware, text, number, files=None):
    """One start of the installed Debian; returns the console and the answers."""
    side = "xen" if request.config.getoption("--xen") else "xylem"
    machine = installed.Installed(disk, script(text), files or {}, firmware)
    with Boot(machine, quiet_limit=600, total_limit=1500, log=log_file(f"package_{firmware}", f"-{number}.{side}")) as boot:
        boot.succeed()
    return boot, answers(boot)


@pytest.mark.long
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_package_installed(request, package, oracle, tmp_path, firmware):
    """Install, start the hypervisor from the menu, remove, start Linux again, purge."""
    disk = installed.overlay(tmp_path)
    _, before = run(request, disk, firmware, INSTALL, 1, {"xylem.deb": package.read_bytes()})
    assert before["type"] == "" and before["xen_entries"] == "0" and before["left"] == ""
    assert before["efi"] == ("yes" if firmware == "uefi" else "") and int(before["entries_then"]) > 0

    boot, on = run(request, disk, firmware, REMOVE, 2)
    assert boot.all(r"Loading Xen 4\.17-xylem") and boot.all(r"\(XEN\)")
    assert boot.all("Xylem") or oracle
    assert (on["type"], on["major"], on["minor"], on["domain"]) == ("xen", "4", "17", "Domain-0")
    assert "console=com1" in on["commandline"] and on["oops"] == "0"
    assert on["efi"] == before["efi"]
    assert on["configuration"] == before["configuration"] and on["left"] == "/etc/default/grub.d/xylem.cfg"

    _, after = run(request, disk, firmware, PURGE, 3)
    assert after["type"] == "" and after["configuration_after"] == before["configuration"] and after["after"] == ""
