# SPDX-License-Identifier: MIT
"""Both commands of README.md on a Debian 12 with nothing installed: they bring what they need, and work."""
import dataclasses
import re

import pytest
from library import log_file
from xylem.boot import Boot
from xylem.fresh import Fresh


@dataclasses.dataclass
class Command:
    """A shell command in the fresh Debian, watched as if it were a machine."""
    fresh: Fresh
    command: str

    def batch(self, _):
        return self.fresh.words(self.command)


@pytest.fixture
def fresh(tmp_path):
    fresh = Fresh(tmp_path)
    yield fresh.make()
    fresh.remove()


@pytest.mark.long
def test_fresh_machine(fresh, oracle):
    """Twenty-five minutes with the computer for itself: the whole suite is in it."""
    if oracle:
        pytest.skip("no hypervisor but ours is in a clone")
    with Boot(Command(fresh, "./xylem run"), quiet_limit=900, total_limit=3600, log=log_file("test_fresh_machine", "-run")) as run:
        run.expect("Installing .* Debian packages")
        run.expect("Debian 12.* as dom0 on xen")
        run.expect("`poweroff` .* ends the machine")
        run.send("poweroff\n")
        run.finish()
        assert run.all("^The machine is off") and run.child.returncode == 0, run.error("./xylem run failed")
    with Boot(Command(fresh, "./xylem test"), quiet_limit=1800, total_limit=5400, log=log_file("test_fresh_machine", "-test")) as suite:
        suite.finish()
        assert re.fullmatch(r"\d{3,} passed, 0 failed", suite.lines[-1]) and suite.child.returncode == 0, suite.error("./xylem test failed")
