# SPDX-License-Identifier: MIT
"""Dom0's kernel says nothing on Xylem that it does not say on real Xen."""
import pathlib

import pytest
from library import kernel_messages, script

from xylem import debian
from xylem.say import cache_dir

DUMP = script("dmesg --color=never --level=emerg,alert,crit,err,warn | sed 's/^/DMESG /'")


def messages(machine):
    machine.succeed()
    return kernel_messages(line[6:] for line in machine.lines if line.startswith("DMESG "))


def reference(boot, cpus):
    """Real Xen's messages for the same machine and the same Debian, kept in the cache."""
    kept = pathlib.Path(cache_dir()) / debian.recipe_name() / f"messages-{cpus}"
    if not kept.exists():
        debian.prepare()
        kept.write_text("\n".join(messages(boot(hypervisor="xen", cpus=cpus, script=DUMP))))
    return kept.read_text().splitlines()


@pytest.mark.parametrize("cpus", [1, 2])
def test_messages_same_as_on_xen(boot, cpus):
    known = set(reference(boot, cpus))
    new = [line for line in messages(boot(cpus=cpus, script=DUMP)) if line not in known]
    assert not new, "kernel messages that real Xen does not cause:\n" + "\n".join(new)
