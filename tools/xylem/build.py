# SPDX-License-Identifier: MIT
"""Configures and builds the two trees: build/x86_64 (the hypervisor) and build/host (tests and fuzzers)."""
import os
import subprocess

from . import packages
from .say import ROOT, Failure, step

COMPILERS = ["-DCMAKE_CXX_COMPILER=clang++-19", "-DCMAKE_C_COMPILER=clang-19", "-DCMAKE_ASM_COMPILER=clang-19"]


def jobs():
    return str(len(os.sched_getaffinity(0)))


def tree(target):
    return ROOT / "build" / target


def configure(target):
    folder = tree(target)
    if not (folder / "build.ninja").exists():
        step(f"configuring {target}", ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", f"-DXYLEM_TARGET={target}", *COMPILERS])
    return folder


def up_to_date(folder, targets):
    answer = subprocess.run(["ninja", "-C", folder, "-n", *targets], capture_output=True, text=True)
    return answer.returncode == 0 and "no work to do" in answer.stdout


def ninja(folder, targets, title, about):
    if not up_to_date(folder, targets):
        step(title, ["ninja", "-C", folder, "-j", jobs(), *targets], about, tail=60)


def hypervisor():
    """build/x86_64/xylem and what goes with it; returns the folder."""
    packages.need(packages.BUILD)
    if not (ROOT / "cmake/x86_64.cmake").exists():
        raise Failure("this tree cannot build the hypervisor: cmake/x86_64.cmake is not there (./xylem run --xen works without it)")
    folder = configure("x86_64")
    ninja(folder, ["all"], "building the hypervisor", "1 min")
    return folder


def host(targets=()):
    """The test programs under AddressSanitizer and UBSan; returns the folder."""
    packages.need(packages.BUILD, packages.HOST)
    folder = configure("host")
    ninja(folder, list(targets), "building the tests", "2 min")
    return folder
