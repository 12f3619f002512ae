# SPDX-License-Identifier: MIT
"""What the user sees: lines, long steps with elapsed time, and errors that name the log."""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Failure(Exception):
    """An error whose text is all the user needs; no traceback is shown."""


def say(text=""):
    print(text, flush=True)


def duration(seconds):
    """Human form of a time in seconds."""
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def cache_dir():
    """Where things that are slow to make are kept between runs."""
    path = pathlib.Path(os.environ.get("XYLEM_CACHE") or pathlib.Path.home() / ".cache" / "xylem")
    path.mkdir(parents=True, exist_ok=True)
    return path


def as_root():
    """Command prefix that gives root rights, or None when there is none."""
    if os.geteuid() == 0:
        return []
    for folder in os.environ.get("PATH", "").split(":"):
        if os.access(os.path.join(folder, "sudo"), os.X_OK):
            return ["sudo"]
    return None


def need_root(why):
    """as_root(), or a Failure that says why it is needed and what to do."""
    root = as_root()
    if root is None:
        raise Failure(f"{why}: run this command as root or install sudo")
    return root


def step(title, command, about="", cwd=None, env=None, tail=25):
    """Runs a command quietly, shows its title and elapsed time; on failure shows the end of its output and raises Failure."""
    live = sys.stdout.isatty()
    label = f"  {title}" + (f" (about {about})" if about else "")
    started = shown = time.monotonic()
    print(label + " ...", end="" if live else "\n", flush=True)
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                 cwd=cwd, env=env)
        try:
            while child.poll() is None:
                time.sleep(0.05 if time.monotonic() - started < 2 else 0.3)
                now = time.monotonic()
                if now - shown > (1 if live else 20):
                    shown = now
                    print(f"\r{label} ... {now - started:.0f} s" if live else f"    ... {now - started:.0f} s",
                          end="" if live else "\n", flush=True)
        except BaseException:
            child.terminate()
            child.wait()
            raise
        took = duration(time.monotonic() - started)
        if child.returncode == 0:
            print(f"\r{label} ... done, {took}" if live else f"    done, {took}", flush=True)
            log.seek(0)
            return log.read().decode(errors="replace")
        if live:
            print()
        log.seek(0)
        lines = log.read().decode(errors="replace").splitlines()
    shown_command = " ".join(str(word) for word in command)
    raise Failure("\n".join([f"{title} failed (exit {child.returncode}): {shown_command}"] + [f"  | {line}" for line in lines[-tail:]]))
