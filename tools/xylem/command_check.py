# SPDX-License-Identifier: MIT
"""`./xylem check`: the rules a script can judge."""
import argparse
import concurrent.futures
import fnmatch
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import tomllib

from . import build, packages
from .say import ROOT
from .suite import Suite

sys.path.insert(0, str(ROOT / "tools"))
import check_deps  # noqa: E402

LINE_LIMIT = 600
SCRIPTS = {".py", ".sh"}
FOLDER_README_LINES = 30
KIT_LINES, HELLO_BYTES = 10_000, 65_536
STARTUP_BYTES = 8   # one pointer: liblzma chooses its CRC function so


def tracked():
    """The project's files: those git knows or would add, or all without git."""
    answer = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True) \
        if shutil.which("git") else None
    if answer and answer.returncode == 0:
        names = answer.stdout.splitlines()
    else:
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if not {"build", "__pycache__", ".git"} & set(path.parts)]
    return [name for name in sorted(names) if (ROOT / name).is_file() and not name.startswith("build/")]


def is_source(name):
    return pathlib.Path(name).suffix in check_deps.SOURCES | SCRIPTS or pathlib.Path(name).name == "CMakeLists.txt"


def check_rules():
    return check_deps.check(ROOT)


def check_format():
    packages.need(packages.CHECK)
    names = [name for name in tracked() if name.endswith((".cpp", ".hpp"))]
    problems = []
    for start in range(0, len(names), 50):
        answer = subprocess.run(["clang-format-19", "--dry-run", "-Werror", "--ferror-limit=1", *names[start:start + 50]],
                                cwd=ROOT, capture_output=True, text=True)
        problems += re.findall(r"^(\S+?:\d+):\d+: error", answer.stderr, re.MULTILINE)
    return [f"{place}: not formatted; clang-format-19 -i does it" for place in problems]


def check_licence():
    """Every source says its licence in the first lines."""
    problems = []
    for name in tracked():
        if is_source(name) or name in ("xylem", ".ci/run"):
            head = (ROOT / name).read_text(errors="replace").splitlines()[:3]
            if name != "CMakeLists.txt" and not any("SPDX-License-Identifier: MIT" in line for line in head):
                problems.append(f"{name}:1: no line 'SPDX-License-Identifier: MIT'")
    return problems


def check_size():
    problems = []
    for name in tracked():
        if is_source(name):
            count = len((ROOT / name).read_text(errors="replace").splitlines())
            if count > LINE_LIMIT:
                problems.append(f"{name}: {count} lines; {LINE_LIMIT} are the limit, split it by subject")
    return problems


def check_documents():
    """The documents a newcomer looks for, and links in them that lead somewhere."""
    problems = [f"{name} is missing" for name in ("README.md", "LICENSE", "docs") if not (ROOT / name).exists()]
    for name in tracked():
        if not name.endswith(".md"):
            continue
        text = (ROOT / name).read_text(errors="replace")
        if name.count("/") and name.endswith("/README.md") and len(text.splitlines()) > FOLDER_README_LINES and not name.startswith("docs/"):
            problems.append(f"{name}: {len(text.splitlines())} lines; a folder's README has at most {FOLDER_README_LINES}")
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in target and not ((ROOT / name).parent / target).exists():
                problems.append(f"{name}: the link to {target} leads nowhere")
    return problems


def check_support():
    """The tests that SUPPORT.md names exist: `boot a, b`, `unit C*`, `fuzz d_fuzz`."""
    texts = {name: (ROOT / name).read_text() for name in tracked() if name.startswith("tests/") and name.endswith((".py", ".cpp"))}
    known = {"boot": re.findall(r"^def (test_\w+)", "".join(t for n, t in texts.items() if n.startswith("tests/boot/")), re.MULTILINE),
             "unit": re.findall(r"^TEST(?:_F|_P)?\((\w+),", "".join(t for n, t in texts.items() if n.endswith(".cpp")), re.MULTILINE),
             "fuzz": [pathlib.Path(name).stem for name in texts if name.startswith("tests/fuzz/")]}
    problems = []
    for kind, names in re.findall(r"\b(boot|unit|fuzz) ((?:`[^`]+`(?:, )?)+)", (ROOT / "SUPPORT.md").read_text()):
        for name in re.findall(r"`([^`]+)`", names):
            if not any(fnmatch.fnmatchcase(one, name) for one in known[kind]):
                problems.append(f"SUPPORT.md: no {kind} test is called {name}")
    return problems


def check_scripts():
    """Shell and Python files parse."""
    problems = []
    for name in tracked():
        first = (ROOT / name).read_bytes()[:40].split(b"\n")[0]
        if first.startswith(b"#!") and first.endswith((b"sh", b"busybox sh")):
            answer = subprocess.run(["bash", "-n", name], cwd=ROOT, capture_output=True, text=True)
            problems += answer.stderr.splitlines()
        elif name.endswith(".py"):
            try:
                compile((ROOT / name).read_text(), name, "exec")
            except SyntaxError as error:
                problems.append(f"{name}:{error.lineno}: {error.msg}")
    return problems


def check_image():
    """The built image: no start-up code behind init's back, no unlisted mutable globals."""
    image = build.tree("x86_64") / "xylem.sym"
    if not image.exists():
        return None
    packages.need(packages.BUILD)
    symbols = subprocess.run(["llvm-nm-19", "-C", image], capture_output=True, text=True).stdout
    rules = tomllib.loads((ROOT / "tools/deps.toml").read_text())["globals"]["allowed"]
    problems = []
    for line in symbols.splitlines():
        found = re.match(r"[0-9a-f ]{16} (\w) (.+)", line)
        if not found:
            continue
        kind, name = found.groups()
        if re.match(r"__cxa_(guard|atexit|throw|pure)", name) and "pure" not in name:
            problems.append(f"{name} is in the image: no exceptions, no lazily made statics")
        if kind in "dDbB" and not any(re.fullmatch(pattern, name) for pattern in rules):
            problems.append(f"mutable global '{name}' is not listed in tools/deps.toml [globals]")
    sections = subprocess.run(["llvm-readelf-19", "-SW", image], capture_output=True, text=True).stdout
    for section in (".init_array", ".ctors", ".preinit_array"):
        found = re.search(rf"\] {re.escape(section)}\s+\S+\s+\S+\s+\S+\s+([0-9a-f]+)", sections)
        if found and int(found[1], 16) > STARTUP_BYTES:
            problems.append(f"section {section} has {int(found[1], 16)} bytes: a static constructor")
    return problems


def check_options():
    """What the command line sets is also read: no option only looks as if it worked."""
    struct = re.search(r"^struct Options \{\n(.*?)^\};", (ROOT / "init/options.hpp").read_text(), re.MULTILINE | re.DOTALL)[1]
    fields = re.findall(r"^    [\w:]+ (\w+)(?: = .*?|\{.*?\})?;", struct, re.MULTILINE)
    readers = "".join((ROOT / name).read_text() for name in tracked() if name.startswith(("init/", "arch/x86/entry/")) and not name.startswith("init/options_values"))
    return [f"init/options.hpp: nothing reads '{field}'" for field in fields if not re.search(rf"\boptions(\(\))?\.{field}\b(?! = )", readers)]


def check_kit():
    """The guest kit stays small: its lines, and a guest that says hello."""
    lines = sum(len((ROOT / name).read_text().splitlines()) for name in tracked() if name.startswith("guest/") and is_source(name))
    problems = [f"guest/ has {lines} lines; {KIT_LINES} are the limit"] if lines >= KIT_LINES else []
    hello = build.tree("guest") / "hello.elf"
    if hello.exists() and hello.stat().st_size >= HELLO_BYTES:
        problems.append(f"{hello} has {hello.stat().st_size} bytes; {HELLO_BYTES} are the limit")
    return problems


CHECKS = {"rules": check_rules, "format": check_format, "licence": check_licence, "size": check_size, "documents": check_documents,
          "support": check_support, "options": check_options, "scripts": check_scripts, "image": check_image, "kit": check_kit}
NAMES = list(CHECKS)


def results():
    """(name, list of problems) of every check that can run."""
    for name, function in CHECKS.items():
        problems = function()
        if problems is not None:
            yield name, problems


def tidy(suite):
    """clang-tidy over what the host build compiles."""
    packages.need(packages.BUILD, packages.HOST, packages.TIDY)
    folder = build.configure("host")
    names = sorted({entry["file"] for entry in json.loads((folder / "compile_commands.json").read_text())})
    names = [name for name in names if "/tests/" not in name]

    def one(name):
        started = time.monotonic()
        answer = subprocess.run(["clang-tidy-19", "--quiet", "-p", folder, name], capture_output=True, text=True, cwd=ROOT)
        lines = [line for line in answer.stdout.splitlines() if re.search(r": (warning|error):", line)]
        suite.result("failed" if lines else "passed", f"tidy {pathlib.Path(name).relative_to(ROOT)}", time.monotonic() - started, lines[:20])

    with concurrent.futures.ThreadPoolExecutor(int(build.jobs())) as pool:
        list(pool.map(one, names))


def main(words):
    tool = argparse.ArgumentParser(prog="./xylem check", description="Dependency rules (tools/deps.toml), format, licence lines, file sizes, "
                                   "documents, scripts and the built image.")
    tool.add_argument("--tidy", action="store_true", help="also clang-tidy (minutes)")
    tool.add_argument("--fix", action="store_true", help="format the sources first")
    options = tool.parse_args(words)
    if options.fix:
        packages.need(packages.CHECK)
        subprocess.run(["clang-format-19", "-i", *[name for name in tracked() if name.endswith((".cpp", ".hpp"))]], cwd=ROOT, check=True)
    suite = Suite()
    for name, problems in results():
        suite.result("failed" if problems else "passed", f"check {name}", None, problems)
    if options.tidy:
        tidy(suite)
    return suite.end()
