# SPDX-License-Identifier: MIT
"""The Debian packages each sub-command needs, and their installation."""
import glob
import os
import shutil
import subprocess

from .say import Failure, as_root, say, step

BUILD = ["clang-19", "lld-19", "llvm-19", "cmake", "ninja-build", "libxen-dev",
         "liblzma-dev", "libzstd-dev", "zlib1g-dev", "liblz4-dev"]
HOST = ["libclang-rt-19-dev", "libgtest-dev", "libbenchmark-dev"]
DEBIAN = ["mmdebstrap", "e2fsprogs", "debian-archive-keyring"]
QEMU = ["qemu-system-x86", "seabios"]
GRUB = ["ovmf", "grub-common", "grub-pc-bin", "grub-efi-amd64-bin", "xorriso", "mtools"]
CHECK = ["clang-format-19"]
TIDY = ["clang-tidy-19"]
TEST = ["python3-pytest", "zstd", "lz4"]  # the two that pack kernels in tests
BOCHS = ["bochs", "bochs-term", "bochsbios", "vgabios"]
PACKAGE = ["dpkg"]
LINTIAN = ["lintian"]
DISK = ["fdisk", "dosfstools", "qemu-utils"]


def missing(names):
    """Those of the packages that are not installed."""
    answer = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names], capture_output=True, text=True)
    installed = {line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in dict.fromkeys(names) if name not in installed]


def has_candidates(names):
    """Whether apt's present lists know every package, so that no update is needed."""
    if not glob.glob("/var/lib/apt/lists/*Packages*"):
        return False
    answer = subprocess.run(["apt-cache", "policy", *names], capture_output=True, text=True)
    return answer.stdout.count("Candidate:") == len(names) and "Candidate: (none)" not in answer.stdout


def need(*groups):
    """Installs what is missing of the given groups with one apt call, or says what to install."""
    if not shutil.which("dpkg-query"):
        return  # not Debian: the tools' own errors will have to do
    absent = missing([name for group in groups for name in group])
    if not absent:
        return
    root = as_root()
    if root is None or os.environ.get("XYLEM_NO_INSTALL"):
        raise Failure("these Debian packages are missing and this user may not install them:\n  apt-get install " + " ".join(absent))
    say(f"Installing {len(absent)} Debian packages: {' '.join(absent)}")
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    install = root + environment + ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *absent]
    update = root + environment + ["apt-get", "-qq", "update"]
    fresh = not has_candidates(absent)
    if fresh:
        step("package lists", update, "10 s")
    try:
        step("packages", install, "1 min")
    except Failure:
        if fresh:
            raise
        step("package lists (the old ones did not work)", update, "10 s")
        step("packages", install, "1 min")
