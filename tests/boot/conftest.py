# SPDX-License-Identifier: MIT
"""Options of the boot tests, the `boot` fixture, and how several pytest processes share one list of tests."""
import os
import pathlib
import re
import sys

import pytest
from _pytest.runner import runtestprotocol

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from library import log_file, probe  # noqa: E402
from xylem.boot import Boot  # noqa: E402
from xylem.machine import Machine  # noqa: E402


def pytest_addoption(parser):
    group = parser.getgroup("xylem")
    group.addoption("--xen", action="store_true", help="run against Debian's real Xen, the oracle")
    group.addoption("--image", help="another hypervisor image")
    group.addoption("--long", action="store_true", help="also the tests that take many minutes")
    group.addoption("--icount", action="store_true", help="the machine's time counts its instructions: for a busy computer")
    group.addoption("--claims", help="folder in which several pytest processes mark the tests they take")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes many minutes; only with --long")
    config.addinivalue_line("markers", "fast: one of the few boots of ./xylem test --fast")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    """With --claims a test belongs to the process that creates its file first."""
    claims = item.config.getoption("--claims")
    if not claims:
        return None
    try:
        os.close(os.open(os.path.join(claims, re.sub(r"\W", "_", item.nodeid)), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return True
    # without a next item everything is torn down: the one pytest would name may be taken by another process
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    runtestprotocol(item, nextitem=None)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """One line per test for ./xylem test, which reads lines that start with '@@'."""
    outcome = yield
    report = outcome.get_result()
    if not item.config.getoption("--claims"):
        return
    if report.when == "call" or report.outcome != "passed" and report.when == "setup":
        name = item.nodeid.rpartition("::")[2]
        sys.__stdout__.write(f"\n@@ {report.outcome} {report.duration:.1f} {name}\n")
        if report.failed:
            for line in str(report.longrepr).splitlines()[-60:]:
                sys.__stdout__.write(f"@| {line}\n")
        sys.__stdout__.flush()


@pytest.fixture
def boot(request):
    """boot(**Machine fields) starts a machine that is ended with the test; its console is kept in build/boot-logs. kind: another class with batch()."""
    running = []
    config = request.config

    def start(kind=Machine, quiet_limit=240, total_limit=1200, **options):
        if "hypervisor" not in options:
            if config.getoption("--xen"):
                options["hypervisor"] = "xen"
            else:
                options["kernel"] = config.getoption("--image")
        options.setdefault("cpus", 1)
        if config.getoption("--icount"):
            options.setdefault("icount", True)
        if options.get("guest"):
            options.setdefault("files", {"probe": probe()})
            options["cpus"] = max(options["cpus"], 2)
            if options.get("hypervisor") == "xen":  # its lazy FPU switching and QEMU 7.2 do not agree: registers get lost
                options["arguments"] = (options.get("arguments", "") + " spec-ctrl=eager-fpu").strip()
        number = f"-{len(running)}" if running else ""
        side = "xen" if options.get("hypervisor") == "xen" else options.get("hypervisor", "xylem")
        machine = Boot(kind(**options), quiet_limit=quiet_limit, total_limit=total_limit, log=log_file(request.node.name, f"{number}.{side}"))
        running.append(machine)
        return machine.start()

    yield start
    for machine in running:
        machine.close()


@pytest.fixture
def oracle(request):
    """Whether this run is against real Xen."""
    return request.config.getoption("--xen")


@pytest.fixture
def probe_program():
    """The probe's bytes, for tests that give dom0 files of their own too."""
    return probe()
