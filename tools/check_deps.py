#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Dependency rules: who may include whom, what may stand where. The rules are data in tools/deps.toml.
Usage: check_deps.py [ROOT]; prints one line per problem and exits 1 when there are any."""
import pathlib
import re
import sys
import tomllib

SOURCES = {".cpp", ".hpp", ".h", ".S"}
SKIP = {"build", ".git", "docs"}


def sources(root):
    """The tree's source files, as paths relative to its root."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.suffix in SOURCES and path.is_file() and not SKIP.intersection(relative.parts):
            yield relative


def without_comments(text, strings=True):
    """Source text with comments (and strings) blanked, line numbers kept."""
    pattern = r'//[^\n]*|/\*.*?\*/' + (r'|"(?:\\.|[^"\\\n])*"' if strings else "")

    def blank(found):
        return found[0] if found[0].startswith('"') and re.search(r"#\s*include\s*$", text[max(0, found.start() - 40):found.start()]) \
            else re.sub(r"[^\n]", " ", found[0])
    return re.sub(pattern, blank, text, flags=re.DOTALL)


def owner(path, table):
    """The longest folder of the table that holds the path."""
    return max((name for name in table if inside(path, name)), key=len, default=None)


def inside(path, folder):
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def include_problems(root, name, text, rules):
    me = owner(name, rules["may"])
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
        if not found:
            continue
        other = found[1]
        where = f"{name}:{number}: "
        if f"{name} {other}" in rules.get("exceptions", {}):
            continue
        if (root / name).parent.joinpath(other).exists() and "/" not in other:
            yield where + f'"{other}" must be written as a path from the root, so that the line tells the layer (deps.toml)'
            continue
        if other.endswith("/hypercall.hpp"):
            yield where + f"{other} is a leaf: nothing may include it (deps.toml)"
        if me is None:
            yield where + f"{name.split('/')[0]}/ has no line in tools/deps.toml"
            return
        allowed = [me, *rules["may"][me]]
        if me.startswith(("tests", "init")):
            allowed.append(name.split("/")[0])
        if owner(other, rules["may"]) != me and not any(inside(other, folder) for folder in allowed):
            yield where + f"{me}/ may not include {other} (table [may] in tools/deps.toml)"
        for one, two in rules["blind"]["pairs"]:
            for a, b in ((one, two), (two, one)):
                if inside(name, a) and inside(other, b):
                    yield where + f"{a}/ and {b}/ must not know each other: {other} (table [blind] in tools/deps.toml)"


def text_problems(name, text, rules):
    for rule in rules["text"]:
        if any(inside(name, place) for place in rule["places"]) or name.startswith("tests/"):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(rule["pattern"], line):
                yield f"{name}:{number}: {rule['name']} only in {', '.join(rule['places']) or 'no file'}: {rule['why']}"


def cycles(edges):
    """Circles in a graph given as {node: nodes}, each as text."""
    state, stack, found = {}, [], []

    def visit(node):
        state[node] = 1
        stack.append(node)
        for other in sorted(edges.get(node, ())):
            if state.get(other) == 1:
                found.append(" -> ".join(stack[stack.index(other):] + [other]))
            elif other not in state:
                visit(other)
        stack.pop()
        state[node] = 2

    for node in sorted(edges):
        if node not in state:
            visit(node)
    return found


def circle_problems(headers, rules):
    """Circles between headers, and between the folders of core/ through their headers (what a .cpp includes binds nobody else)."""
    folders = {}
    known = {frozenset(pair) for pair in rules["circles"]["known"]}
    for name, others in headers.items():
        mine = "/".join(name.split("/")[:2])
        if not name.startswith("core/") or mine == "core/port":
            continue
        for other in others:
            theirs = "/".join(other.split("/")[:2])
            if other.startswith("core/") and theirs not in (mine, "core/port") and frozenset((mine, theirs)) not in known:
                folders.setdefault(mine, set()).add(theirs)
    for what, graph in (("headers", headers), ("folders", folders)):
        for text in cycles(graph):
            yield f"{what} include each other in a circle: {text}"


def check(root):
    """Every problem of the tree, one line each."""
    rules = tomllib.loads((root / "tools/deps.toml").read_text())
    problems, headers = [], {}
    for relative in sources(root):
        name = str(relative)
        bare = without_comments((root / relative).read_text(errors="replace"))
        problems += include_problems(root, name, bare, rules)
        problems += text_problems(name, bare, rules)
        if name.endswith((".hpp", ".h")):
            headers[name] = set(re.findall(r'^\s*#\s*include\s*"([^"]+)"', bare, re.MULTILINE))
    return problems + list(circle_problems(headers, rules))


if __name__ == "__main__":
    answer = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[1]))
    print("\n".join(answer), end="\n" if answer else "")
    sys.exit(1 if answer else 0)
