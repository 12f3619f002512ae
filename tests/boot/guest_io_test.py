# SPDX-License-Identifier: MIT
"""Disks and network of guests by Debian's backends in dom0: blkback, QEMU (raw and qcow2) and netback on a bridge."""
import struct

import pytest
from library import guest_script, judge_checks

MIB = 1 << 20


def empty_qcow2(size):
    """An empty qcow2 image, version 2, 64 KiB clusters: header, table of reference counts, its block, first-level table."""
    bits, cluster = 16, 1 << 16
    entries = -(-size // (cluster * (cluster // 8)))
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, bits, size, 0, entries, 3 * cluster, cluster, 1, 0, 0)
    image = bytearray(4 * cluster)
    image[:len(header)] = header
    struct.pack_into(">Q", image, cluster, 2 * cluster)
    for used in range(4):
        struct.pack_into(">H", image, 2 * cluster + 2 * used, 1)
    return bytes(image)


# Words that stand in capitals are replaced below.
SETUP = """
brctl addbr xenbr0; ip addr add 10.9.0.1/24 dev xenbr0; ip link set xenbr0 up
for disk in a b; do truncate -s SPACEM /var/tmp/$disk.img; must 'mke2fs' mke2fs -q -t ext4 -O ^has_journal /var/tmp/$disk.img; done
cp /xylem/empty.qcow2 /var/tmp/c.qcow2
guest_script io <<'S'
ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up
load ext4
mkdir -p /a /b
serve
S
guest_config io 'vcpus = 2' 'disk = ["format=raw,vdev=xvda,access=rw,target=/var/tmp/a.img",
    "format=raw,vdev=xvdb,access=rw,backendtype=qdisk,target=/var/tmp/b.img", "format=qcow2,vdev=xvdc,access=rw,target=/var/tmp/c.qcow2"]' \\
    'vif = ["mac=00:16:3e:00:00:01,bridge=xenbr0"]'
need create guest_create io
need serving wait_log io 'xylem-domu: serving' 120
"""
IO = SETUP + r"""
limit=600
check three_disks guest_do io 'cd /sys/block && [ -e xvda ] && [ -e xvdb ] && [ -e xvdc ]'
check two_cpus equal "$(guest_do io nproc)" 2
check mount guest_do io 'mount -t ext4 /dev/xvda /a && mount -t ext4 /dev/xvdb /b'
# made in the guest, copied from disk to disk, and summed by dom0 in the end
check write guest_do io 'dd if=/dev/urandom of=/a/data bs=1M count=SIZE && sync && md5sum </a/data >/a/sum'
check copy guest_do io 'cp /a/data /a/sum /b/ && dd if=/a/data of=/dev/xvdc bs=1M && sync'
check remount guest_do io 'umount /a /b && echo 3 >/proc/sys/vm/drop_caches && mount -t ext4 /dev/xvda /a && mount -t ext4 /dev/xvdb /b'
check sum_blkback guest_do io '[ "$(md5sum </a/data)" = "$(cat /a/sum)" ]'
check sum_qemu_raw guest_do io '[ "$(md5sum </b/data)" = "$(cat /a/sum)" ]'
check sum_qemu_qcow2 guest_do io '[ "$(dd if=/dev/xvdc bs=1M count=SIZE | md5sum)" = "$(cat /a/sum)" ]'
check attached_as_asked equal "$(xl block-list io | awk 'NR > 1' | wc -l)" 3

check ping_from_dom0 equal "$(ping -q -c PINGS -i 0.2 10.9.0.2 | grep -o '[0-9.]*% packet loss')" '0% packet loss'
check ping_to_dom0 equal "$(guest_do io 'ping -q -c PINGS 10.9.0.1' | grep -o '[0-9.]*% packet loss')" '0% packet loss'
head -c $((TRANSFER << 20)) /dev/urandom >/tmp/sent
to_guest() {
    guest_do io 'nc -l -p 5000 >/tmp/data & echo $! >/tmp/nc' && sleep 1 && timeout 500 nc -N 10.9.0.2 5000 </tmp/sent &&
        equal "$(guest_do io 'while kill -0 $(cat /tmp/nc) 2>/dev/null; do sleep 1; done; md5sum </tmp/data')" "$(md5sum </tmp/sent)"
}
from_guest() {
    timeout 500 nc -l -p 5001 >/tmp/received </dev/null & local listener=$!
    sleep 1; guest_do io 'nc 10.9.0.1 5001 </tmp/data' && wait $listener && cmp /tmp/sent /tmp/received
}
check tcp_to_guest to_guest
check tcp_from_guest from_guest

truncate -s 8M /var/tmp/d.img; echo MAGIC | dd of=/var/tmp/d.img conv=notrunc status=none
check block_attach xl block-attach io 'format=raw,vdev=xvdd,access=ro,target=/var/tmp/d.img'
check block_seen equal "$(guest_do io 'wait_for 30 [ -b /dev/xvdd ]; head -c 5 /dev/xvdd')" MAGIC
check block_read_only fails guest_do io 'dd if=/dev/zero of=/dev/xvdd bs=512 count=1 conv=fsync'
check block_detach xl block-detach io xvdd
check block_gone guest_do io 'wait_for 30 [ ! -e /sys/block/xvdd ]'
check network_attach xl network-attach io bridge=xenbr0 mac=00:16:3e:00:00:09
check network_seen guest_do io 'wait_for 30 [ -e /sys/class/net/eth1 ] && grep -q 00:16:3e:00:00:09 /sys/class/net/eth1/address'
check network_detach xl network-detach io 1
check network_gone guest_do io 'wait_for 30 [ ! -e /sys/class/net/eth1 ]'
check still_reached ping -q -c 3 10.9.0.2

check unmount guest_do io 'cp /a/sum /tmp/sum; umount /a /b'
sum=$(guest_do io 'cat /tmp/sum')
check shutdown xl shutdown -w io
check loops_free within 30 no_loops
dom0_sees() { mount -o loop,ro /var/tmp/$1.img /mnt && equal "$(md5sum </mnt/data)" "$sum" && umount /mnt; }
check dom0_sees_a dom0_sees a
check dom0_sees_b dom0_sees b
check blkback_quiet fails sh -c 'dmesg | grep -e "blkback.*error" -e "I/O error" -e "fatal error; disabling"'
"""
IO_NAMES = """create serving three_disks two_cpus mount write copy remount sum_blkback sum_qemu_raw sum_qemu_qcow2 attached_as_asked
    ping_from_dom0 ping_to_dom0 tcp_to_guest tcp_from_guest block_attach block_seen block_read_only block_detach block_gone network_attach
    network_seen network_detach network_gone still_reached unmount shutdown loops_free dom0_sees_a dom0_sees_b blkback_quiet"""


def sized(text, size, transfer, pings):
    for word, value in (("SIZE", size), ("SPACE", size + 32), ("TRANSFER", transfer), ("PINGS", pings)):
        text = text.replace(word, str(value))
    return text


@pytest.mark.parametrize("size, transfer, pings", [(24, 4, 10), (256, 64, 100)], ids=["short", "256MiB"])
@pytest.mark.long  # minutes; both passed here, the short one on real Xen too
def test_guest_io(boot, request, size, transfer, pings):
    """Data through blkback and through QEMU's raw and qcow2 disks, TCP both ways, no ping lost, hot plug of both."""
    files = {"probe": request.getfixturevalue("probe_program"), "empty.qcow2": empty_qcow2((size + 32) * MIB)}
    judge_checks(boot(guest=True, files=files, total_limit=3600, quiet_limit=1200, script=guest_script(sized(IO, size, transfer, pings))), IO_NAMES)


STRESS = """
for name in s1 s2 s3; do
    guest_script $name <<'S'
mount -t tmpfs tmpfs /dev/shm
stress-ng --timeout SECONDSs --temp-path /tmp --verify --cpu 1 --cpu-method crc16 --vm 1 --vm-bytes 48M --pipe 1 --switch 1 --fork 1 --matrix 1 --brk 1
say "stress $?"
serve
S
    mkdir -p $guests/$name/dev/shm
    guest_add $name stress-ng
    guest_config $name 'vcpus = 2' 'memory = 256'
    need create_$name guest_create $name
done
for name in s1 s2 s3; do
    check done_$name wait_log $name 'xylem-domu: stress' $((SECONDS * 4 + 300))
    check right_$name grep -q 'xylem-domu: stress 0' $(guest_log $name)
    check alive_$name equal "$(guest_do $name 'dmesg | grep -c -e BUG: -e Oops -e lockup')" 0
done
"""


@pytest.mark.parametrize("seconds", [20, pytest.param(600, marks=pytest.mark.long)])
def test_guest_stress(boot, seconds):
    """stress-ng, which verifies its own work, in three guests of two vCPUs at once on two CPUs."""
    names = " ".join(f"{what}_{guest}" for guest in ("s1", "s2", "s3") for what in ("create", "done", "right", "alive"))
    judge_checks(boot(guest=True, memory=3072, dom0_memory=1024, total_limit=600 + seconds * 5, quiet_limit=600 + seconds * 5,
                      script=guest_script(STRESS.replace("SECONDS", str(seconds)))), names)
