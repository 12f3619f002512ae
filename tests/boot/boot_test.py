# SPDX-License-Identifier: MIT
"""Dom0 boots to userspace and powers the machine off: over vCPUs, memory, CPU models, machines and boot loaders."""
import pytest
from library import answers, script

LOOK = script("""
answer cpus $(nproc)
answer memory $(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
answer type $(cat /sys/hypervisor/type)
dmesg | grep -A 12 -e 'BUG:' -e 'Oops' -e 'Call Trace'
answer oops $(dmesg | grep -c -e 'BUG:' -e 'Oops' -e 'Call Trace')
must 'a child process runs' sh -c 'exit 0'
""")


def check(machine, cpus, hypervisor=True):
    """Common judgement of a boot: clean power off, right number of CPUs, no kernel trouble."""
    machine.succeed()
    facts = answers(machine)
    assert facts["cpus"] == str(cpus)
    assert facts["oops"] == "0"
    assert not hypervisor or facts["type"] == "xen"
    return facts


@pytest.mark.parametrize("cpus", [pytest.param(1, marks=pytest.mark.fast), 2, 4])
def test_boot_vcpus(boot, cpus):
    check(boot(cpus=cpus, script=LOOK), cpus)


def test_boot_more_vcpus_than_cpus(boot):
    check(boot(cpus=2, vcpus=4, script=LOOK), 4)


@pytest.mark.parametrize("memory", [512, 2048, 8192])
def test_boot_memory(boot, memory):
    facts = check(boot(memory=memory, arguments="" if memory < 2048 else f"dom0_mem={memory - 512}M,max:{memory - 512}M", script=LOOK), 1)
    expected = memory - 512 if memory >= 2048 else memory - 256
    assert int(facts["memory"]) > expected * 0.85


@pytest.mark.parametrize("model", ["qemu64", "EPYC", "Skylake-Server", "max"])
def test_boot_cpu_model(boot, model):
    check(boot(cpu=model, cpus=2, script=LOOK), 2)


@pytest.mark.parametrize("loader", ["qemu", "grub-bios", "grub-uefi"])
def test_boot_loader(boot, loader):
    check(boot(loader=loader, script=LOOK), 1)


def test_boot_machine_pc(boot):
    check(boot(machine="pc", script=LOOK), 1)


def test_boot_without_script_gives_a_shell(boot):
    machine = boot(toolstack=False)
    machine.expect("xylem-dom0: ready")
    machine.expect("You are root")
    machine.send("echo sum=$((6 * 7))\n")
    machine.expect("sum=42")
    machine.send("poweroff\n")
    machine.finish()
    assert machine.powered_off()


def test_boot_restart(boot):
    """`reboot` reaches the machine's reset; QEMU runs with -no-reboot and so ends."""
    machine = boot(toolstack=False, script="reboot")
    machine.finish()
    assert machine.child.returncode == 0 and machine.all("xylem-dom0: power off") and not machine.all("xylem-dom0: exit")
