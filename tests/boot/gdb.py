# SPDX-License-Identifier: MIT
"""QEMU's debugger port, as much as tests need: stop, look at and change memory, let go on all CPUs or only the first."""
import socket
import time


class Debugger:
    """Speaks the GDB remote protocol [GDB manual, appendix E] to a machine started with arguments(port)."""

    def __init__(self, port, patience=30):
        end = time.monotonic() + patience
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=patience)
                break
            except ConnectionRefusedError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        self.buffer = b""
        self.ask("qSupported")
        self.ask("?")

    @staticmethod
    def arguments(port, wait=True):
        return ["-gdb", f"tcp:127.0.0.1:{port}"] + (["-S"] if wait else [])

    @staticmethod
    def free_port():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def send(self, text):
        self.socket.sendall(b"$%s#%02x" % (text.encode(), sum(text.encode()) & 0xff))

    def receive(self):
        while True:
            start, end = self.buffer.find(b"$"), self.buffer.find(b"#")
            if 0 <= start < end and len(self.buffer) >= end + 3:
                answer, self.buffer = self.buffer[start + 1:end], self.buffer[end + 3:]
                self.socket.sendall(b"+")
                return answer.decode()
            piece = self.socket.recv(4096)
            if not piece:
                raise ConnectionError("QEMU closed its debugger port")
            self.buffer += piece

    def ask(self, text):
        self.send(text)
        return self.receive()

    def run_to(self, address):
        """Until the first CPU executes `address` (as the CPU sees it), once."""
        assert self.ask(f"Z1,{address:x},1") == "OK"
        self.ask("vCont;c")
        assert self.ask(f"z1,{address:x},1") == "OK"

    def read(self, address, size):
        result = b""
        while len(result) < size:
            answer = self.ask(f"m{address + len(result):x},{min(size - len(result), 1024):x}")
            assert not answer.startswith("E"), f"memory at {address:#x} cannot be read"
            result += bytes.fromhex(answer)
        return result

    def write(self, address, data):
        assert self.ask(f"M{address:x},{len(data):x}:{data.hex()}") == "OK"

    def go_on(self, only_first_cpu=False):
        self.send("vCont;c:1" if only_first_cpu else "vCont;c")

    def stop(self):
        self.socket.sendall(b"\x03")
        return self.receive()

    def close(self):
        self.socket.close()
