# SPDX-License-Identifier: MIT
"""Dom0 on a UEFI machine reaches the firmware's tables, clock and variables through the hypervisor."""
from library import answers, script

TEST = "/sys/firmware/efi/efivars/XylemTest-12345678-1234-1234-1234-123456789abc"


def test_efi_variables(boot):
    machine = boot(loader="grub-uefi", toolstack=False, script=script(f"""
must 'efivarfs' sh -c 'modprobe efivarfs; mount -t efivarfs efivarfs /sys/firmware/efi/efivars'
answer count $(ls /sys/firmware/efi/efivars | wc -l)
answer order $(od -An -tx1 /sys/firmware/efi/efivars/BootOrder-*)
answer acpi $(grep -c ACPI20 /sys/firmware/efi/systab)
answer platform $(cat /sys/firmware/efi/fw_platform_size)
must 'write' sh -c "printf '\\\\007\\\\000\\\\000\\\\000hello' > {TEST}"
answer value $(od -An -tx1 {TEST})
chattr -i {TEST}
must 'delete' rm {TEST}
answer left $(ls {TEST} 2>/dev/null | wc -l)
answer oops $(dmesg | grep -c -e 'BUG:' -e 'Oops' -e 'Call Trace')
""")).succeed()
    facts = answers(machine)
    assert int(facts["count"]) >= 20 and facts["order"].startswith("07 00 00 00")
    assert facts["acpi"] == "1" and facts["platform"] == "64"
    assert facts["value"] == "07 00 00 00 68 65 6c 6c 6f" and facts["left"] == "0"
    assert facts["oops"] == "0"
