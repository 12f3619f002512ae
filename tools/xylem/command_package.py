# SPDX-License-Identifier: MIT
"""`./xylem package`: a Debian package that puts the hypervisor where Debian's GRUB scripts find it."""
import argparse
import gzip
import os
import pathlib
import shutil
import subprocess
import tempfile

from . import build, packages
from .say import ROOT, Failure, say, step

NAME = "xylem-hypervisor"
RELEASE = "0.1"
PARTS = pathlib.Path(__file__).parent / "package"
# GRUB's 20_linux_xen takes /boot/xen* and orders by what follows the first dash: behind Debian's 4.17-amd64, so first in the menu.
IMAGE = "boot/xen-4.17-xylem.gz"
SETTINGS = "etc/default/grub.d/xylem.cfg"
# Linked into the image; their licences ask for the notice in what is shipped.
LIBRARIES = ["liblzma-dev", "libzstd-dev", "zlib1g-dev", "liblz4-dev"]

CONTROL = """Package: {name}
Version: {version}
Architecture: amd64
Maintainer: {maintainer}
Installed-Size: {size}
Recommends: xen-utils-4.17
Suggests: grub-pc | grub-efi-amd64
Enhances: xen-utils-4.17
Provides: xen-hypervisor, xen-hypervisor-4.17, xen-hypervisor-amd64
Section: kernel
Priority: optional
Description: hypervisor that speaks Xen's guest interface
 Xylem is a type-1 hypervisor. The boot loader starts it, and it starts
 Debian's own kernel as its first guest (dom0), where Xen's tools manage
 further ones.
 .
 Installing this package adds it to GRUB's menu and makes it the default.
"""


def git(*words):
    answer = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True) if shutil.which("git") else None
    return answer.stdout.strip() if answer and answer.returncode == 0 else ""


def version():
    """Grows with every commit; a plus at the end of changed trees."""
    count = git("rev-list", "--count", "HEAD")
    if not count:
        return RELEASE
    return f"{RELEASE}+r{count}.{git('rev-parse', '--short=8', 'HEAD')}" + ("+" if git("status", "--porcelain") else "")


def changed_at():
    """Seconds of the last commit, so that equal trees give equal packages."""
    return int(git("log", "-1", "--format=%ct") or (ROOT / "LICENSE").stat().st_mtime)


def maintainer():
    """Who builds, as Debian's tools are told; the project has no address."""
    return f"{os.environ.get('DEBFULLNAME', 'The Xylem authors')} <{os.environ.get('DEBEMAIL', 'xylem@localhost.localdomain')}>"


def write(path, data, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(mode)


def library_notice(name):
    path = pathlib.Path("/usr/share/doc") / name / "copyright"
    if not path.exists():
        raise Failure(f"{path} is not there; the package must carry it")
    return path.read_bytes()


def changelog(number):
    date = subprocess.run(["date", "-u", "-R", "-d", f"@{changed_at()}"], capture_output=True, text=True, check=True).stdout.strip()
    return (f"{NAME} ({number}) unstable; urgency=medium\n\n  * Built from the source tree; its history has the changes.\n\n"
            f" -- {maintainer()}  {date}\n")


def fill(tree, number, image):
    """The package's files under `tree`, as they will be installed, and its control files."""
    documents = tree / "usr/share/doc" / NAME
    write(tree / IMAGE, image.read_bytes())
    write(tree / SETTINGS, (PARTS / "xylem.cfg").read_bytes())
    write(documents / "copyright", (PARTS / "copyright").read_bytes())
    write(documents / "changelog.gz", gzip.compress(changelog(number).encode(), 9, mtime=0))
    write(documents / "boot-options.md", (ROOT / "docs/boot-options.md").read_bytes())
    for name in LIBRARIES:
        write(documents / "libraries" / f"{name}.copyright", library_notice(name))
    control = tree / "DEBIAN"
    size = sum((path.stat().st_size + 1023) // 1024 for path in tree.rglob("*") if path.is_file())
    sums = subprocess.run(["md5sum", *sorted(str(path.relative_to(tree)) for path in tree.rglob("*")
                                             if path.is_file() and SETTINGS not in str(path))],
                          cwd=tree, capture_output=True, text=True, check=True).stdout
    write(control / "control", CONTROL.format(name=NAME, version=number, maintainer=maintainer(), size=size))
    write(control / "md5sums", sums)
    write(control / "conffiles", f"/{SETTINGS}\n")
    for script in ("postinst", "postrm"):
        write(control / script, (PARTS / script).read_bytes(), 0o755)
    for path in [tree, *tree.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)


def make(image, folder, number=None):
    """Writes the package for the image (an xylem.gz) into the folder and returns its path."""
    number = number or version()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{NAME}_{number}_amd64.deb"
    with tempfile.TemporaryDirectory(prefix="xylem-package-") as work:
        tree = pathlib.Path(work) / "tree"
        fill(tree, number, image)
        step("Debian package", ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, target],
             env=dict(os.environ, SOURCE_DATE_EPOCH=str(changed_at())))
    return target


def main(words):
    tool = argparse.ArgumentParser(prog="./xylem package", description=f"Build the Debian package {NAME}. Installed with dpkg -i it adds the "
                                   "hypervisor to GRUB's menu (BIOS and UEFI) as the default entry; dpkg -r takes it out again. "
                                   f"/{SETTINGS} on the target says how to change the default and the boot options.")
    tool.add_argument("--output", metavar="FOLDER", type=pathlib.Path, default=ROOT / "build", help="where the .deb goes (build)")
    tool.add_argument("--version", metavar="TEXT", help="its version (from the number of commits)")
    options = tool.parse_args(words)
    packages.need(packages.PACKAGE)
    path = make(build.hypervisor() / "xylem.gz", options.output, options.version)
    say(f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}  {path.stat().st_size} bytes")
    say(f"Install it with: dpkg -i {path.name}    (or apt install ./{path.name}, which adds Xen's tools)")
    return 0
