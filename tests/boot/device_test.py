# SPDX-License-Identifier: MIT
"""Devices that dom0 drives itself: disks, network cards, USB, each with message-signalled and with line interrupts."""
import hashlib
import http.server
import os
import threading

import pytest
from library import answers, script

MIB = 1 << 20
NO_MSI = ["msi", "nomsi"]


def test_device_root_on_ahci(boot):
    """Debian's disk on AHCI; its interrupt counts while data is read."""
    machine = boot(root="ahci", toolstack=False, script=script("""
answer root $(findmnt -no SOURCE / || mount | sed -n 's/ on \\/ .*//p')
before=$(interrupts ahci)
must 'reading the disk' dd if=/dev/sda of=/dev/null bs=1M count=64 iflag=direct status=none
answer count $(($(interrupts ahci) - before))
answer msi $(grep -c 'msi.*ahci' /proc/interrupts)
answer errors $(dmesg | grep -c -e 'ata[0-9].*exception' -e 'I/O error')
""")).succeed()
    facts = answers(machine)
    assert facts["root"] == "/dev/sda" and facts["msi"] == "1" and facts["errors"] == "0"
    assert int(facts["count"]) > 10


@pytest.mark.parametrize("interrupt", NO_MSI)
@pytest.mark.parametrize("disk", ["nvme", "virtio"])
def test_device_disk(boot, tmp_path, disk, interrupt):
    """64 MiB of random data written and read back, checked in dom0 and on the host."""
    image = tmp_path / "disk.img"
    with open(image, "wb") as handle:
        handle.truncate(128 * MIB)
    node, word, device = {"nvme": ("nvme0n1", "nvme", "nvme,serial=test"), "virtio": ("vda", "virtio.*-req", "virtio-blk-pci")}[disk]
    line = "virtio[0-9]" if disk == "virtio" and interrupt == "nomsi" else word
    machine = boot(cpus=2, toolstack=False, append="pci=nomsi" if interrupt == "nomsi" else "",
                   extra=["-drive", f"file={image},format=raw,if=none,id=extra", "-device", f"{device},drive=extra"], script=script(f"""
must 'random data' dd if=/dev/urandom of=/tmp/data bs=1M count=64 status=none
answer made $(sha256sum < /tmp/data)
before=$(interrupts '{line}')
must 'write' dd if=/tmp/data of=/dev/{node} bs=1M oflag=direct conv=fsync status=none
must 'read' dd if=/dev/{node} of=/tmp/back bs=1M count=64 iflag=direct status=none
answer back $(sha256sum < /tmp/back)
answer count $(($(interrupts '{line}') - before))
answer msi $(grep -c 'msi.*{word}' /proc/interrupts)
grep -e nvme -e virtio /proc/interrupts
answer errors $(dmesg | grep -c -e 'I/O error' -e 'timeout')
""")).succeed()
    facts = answers(machine)
    assert facts["made"] == facts["back"] and facts["errors"] == "0"
    with open(image, "rb") as handle:
        assert hashlib.sha256(handle.read(64 * MIB)).hexdigest() == facts["made"].split()[0]
    assert int(facts["count"]) >= 64
    assert (int(facts["msi"]) >= 1) == (interrupt == "msi")


class Exchange(http.server.BaseHTTPRequestHandler):
    """Gives and takes one piece of data."""
    data = b""
    received = None

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()
        self.wfile.write(self.data)

    def do_POST(self):
        type(self).received = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def exchange():
    """A web server on this machine's loopback, which QEMU's user network shows to dom0 as 10.0.2.2."""
    handler = type("Handler", (Exchange,), {"data": os.urandom(8 * MIB)})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, handler
    server.shutdown()


@pytest.mark.parametrize("interrupt", NO_MSI)
@pytest.mark.parametrize("card", ["e1000e", "virtio"])
def test_device_network(boot, exchange, card, interrupt):
    """8 MiB fetched from and sent back to the host."""
    server, handler = exchange
    # without MSI the virtio card's line carries the device's name, not its queues'
    word = {"e1000e": "eth0", "virtio": "virtio.*-input"}[card]
    line = "virtio[0-9]" if card == "virtio" and interrupt == "nomsi" else word
    url = f"http://10.0.2.2:{server.server_port}/data"
    machine = boot(cpus=2, net=card, toolstack=False, append="pci=nomsi" if interrupt == "nomsi" else "", script=script(f"""
ip -4 addr show dev eth0
grep -e eth0 -e virtio /proc/interrupts
before=$(interrupts '{line}')
must 'fetch' wget -q -T 60 -t 1 -O /tmp/data {url}
must 'send' wget -q -T 60 -t 1 -O /dev/null --post-file=/tmp/data {url}
answer sum $(sha256sum < /tmp/data)
answer count $(($(interrupts '{line}') - before))
answer msi $(grep -c 'msi.*{word}' /proc/interrupts)
answer driver $(basename $(readlink /sys/class/net/eth0/device/driver))
answer errors $(dmesg | grep -c -e 'transmit.*timed out' -e 'Detected Hardware Unit Hang')
""")).succeed()
    facts = answers(machine)
    assert facts["sum"].split()[0] == hashlib.sha256(handler.data).hexdigest()
    assert handler.received == handler.data
    assert facts["errors"] == "0" and int(facts["count"]) > 50
    assert (int(facts["msi"]) >= 1) == (interrupt == "msi")


def test_device_usb(boot):
    """A keyboard and a tablet behind an xHCI controller become input devices."""
    machine = boot(cpus=2, toolstack=False, extra=["-device", "qemu-xhci", "-device", "usb-kbd", "-device", "usb-tablet"], script=script("""
for i in 1 2 3 4 5 6 7 8 9 10; do [ $(grep -c 'QEMU USB' /proc/bus/input/devices) -ge 2 ] && break; sleep 1; done
grep Name /proc/bus/input/devices
lsusb
answer keyboard $(grep -c 'QEMU USB Keyboard' /proc/bus/input/devices)
answer tablet $(grep -c 'QEMU USB Tablet' /proc/bus/input/devices)
answer count $(interrupts xhci_hcd)
""")).succeed()
    facts = answers(machine)
    assert facts["keyboard"] == "1" and facts["tablet"] == "1" and int(facts["count"]) > 0
