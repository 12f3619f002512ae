# SPDX-License-Identifier: MIT
"""The emulator's control socket."""
import json
import pathlib
import socket

from .say import Failure


class Monitor:
    """Of a machine that is started with its `arguments`; the socket lies in `folder`."""
    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "control"
        self.arguments = ["-qmp", f"unix:{self.path},server=on,wait=off"]
        self.stream = None

    def execute(self, command, **arguments):
        """Waits until it is done."""
        if self.stream is None:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(self.path))
            self.stream = connection.makefile("rw")
            self.stream.readline()  # its greeting
            self.execute("qmp_capabilities")
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while "return" not in (answer := json.loads(self.stream.readline())):
            if "error" in answer:
                raise Failure(f"the emulator's {command}: {answer['error']['desc']}")

    def tell(self, *lines):
        """In the words of the emulator's console for people."""
        for line in lines:
            self.execute("human-monitor-command", **{"command-line": line})
