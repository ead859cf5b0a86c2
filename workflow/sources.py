"""The code that a stage runs, from the import graph: for digests in rules and `deps` in dvc.yaml.

    python workflow/sources.py [--check]

writes the `deps` of dvc.yaml; with `--check` it exits with 1 where they are out of date.

A stage's code is the module of its command and every module of ours that it imports, at the top or
inside a function. `import_module(f"spatialsv.package.{name}")` imports all modules of the package.
Files of a package that are not Python belong to each of its modules. Progress bars do not count: no
artefact depends on them.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from dag import GATHERED
from spatialsv.commands import COMMANDS, VARIANTS

ROOT = Path(__file__).parents[1]
PACKAGE = "spatialsv"
# What the rules call, where that is not simply the command of the stage's name.
RUN_BY = {
    "scenes": (COMMANDS["scenes"], VARIANTS["scenes"]),
    "lift": (VARIANTS["lift"],),
}
# Shipped weights that jobs may load; no import says so.
WEIGHTS = {
    "labels": "weights/teacher",
    "pseudo": "weights/teacher",
    **dict.fromkeys(("train", "lift", "probe", "evaluate"), "weights/mllm"),
}
IGNORED = f"{PACKAGE}.progress"
ON_BASE = ("labels", "pseudo", "train")  # may wait for a base of the user's own
LISTS_JOBS = ("Snakefile", *(f"workflow/{name}.py" for name in ("dag", "settings", "sources")))


def code_digest(root: Path, stage: str, weights: bool = True) -> str:
    """Return a digest of a stage's code and of the shipped weights that it loads.

    Weights that are still to be made count as empty, so that the rule which makes them can be
    read. A git SHA would not do: it changes with every file.

    Args:
        root: the repository.
        stage: a stage, or another name that `code_paths` knows.
        weights: include the shipped weights.

    Returns:
        16 hexadecimal digits.
    """
    source = root / "src" / PACKAGE
    paths = [source / path for path in code_paths(root, stage)]
    if weights and stage in WEIGHTS:
        paths.append(source / WEIGHTS[stage])
    digest = hashlib.sha256()
    for file in sorted(file for path in paths for file in _files(path)):
        digest.update(f"{file.relative_to(source)}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


@cache
def code_paths(root: Path, stage: str) -> tuple[str, ...]:
    """Return the files and folders of a stage's code.

    Args:
        root: the repository.
        stage: a stage or another command of the command line.

    Returns:
        Paths from src/spatialsv; a folder stands for all its files.
    """
    source = root / "src" / PACKAGE
    files: set[Path] = set()
    for module in find_modules(root, entry_modules(root, stage)):
        path = _module_path(root, module)
        files |= {path, *_package_files(path.parent, source)}
    return tuple(str(path.relative_to(source)) for path in sorted(_folders(source, files)))


def entry_modules(root: Path, stage: str) -> set[str]:
    """Return the modules that a stage's commands call: of their functions, and to show results.

    Args:
        root: the repository.
        stage: as for `code_paths`.

    Returns:
        Names of modules.
    """
    found = set()
    tree = ast.parse(_module_path(root, f"{PACKAGE}.presenters").read_text())
    for command in RUN_BY.get(stage) or (COMMANDS[stage],):
        found.add(f"{PACKAGE}.{command.target.partition(':')[0]}")
        shows = getattr(command.show, "__name__", None)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == shows:
                found |= _imported(root, node)
    return found


def find_modules(root: Path, entries: Iterable[str]) -> set[str]:
    """Return the modules of ours that `entries` import, directly or not, and `entries`.

    Args:
        root: the repository.
        entries: names of modules, such as `spatialsv.train`.

    Returns:
        Names of modules.
    """
    todo, found = list(entries), {IGNORED}
    while todo:
        module = todo.pop()
        if module not in found:
            found.add(module)
            todo += _imports(root, module)
    return found - {IGNORED}


def path_digest(path: Path) -> str:
    """Return a digest of a file's content, or of the names and sizes below a folder.

    Args:
        path: a file or folder, which need not exist.

    Returns:
        16 hexadecimal digits, or "" where there is nothing.
    """
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
    return digest.hexdigest()[:16] if path.is_dir() else ""


def with_deps(text: str, root: Path = ROOT) -> str:
    """Return the text of dvc.yaml with the `deps` of each stage; data/ and the rest is kept.

    Args:
        text: of dvc.yaml.
        root: the repository.

    Returns:
        The new text.
    """

    def stage_text(match: re.Match[str]) -> str:
        stage, body = match[1], match[0]
        rule = "${item}" if "foreach:" in body else stage
        return re.sub(
            r"^( +)deps:\n((?: +- .*\n)+)",
            lambda deps: "".join(
                [f"{deps[1]}deps:\n"]
                + [f"{deps[1]}  - {dep}\n" for dep in _deps(root, stage, rule, deps[2])]
            ),
            body,
            flags=re.MULTILINE,
        )

    head, stages = re.split(r"(?<=^stages:\n)", text, maxsplit=1, flags=re.MULTILINE)
    return head + re.sub(r"^  (\w+):\n(?:(?:    .*)?\n)+", stage_text, stages, flags=re.MULTILINE)


def _deps(root: Path, stage: str, rule: str, deps: str) -> list[str]:
    """Return the `deps` of a DVC stage, of which those below data/ are taken from `deps`."""
    rules = ["common", *(["gather"] if stage in GATHERED else []), rule]
    rules += ["base"] if stage in ON_BASE else []
    runs = [stage, *(["gather"] if stage in GATHERED else [])]
    runs += ["select"] if stage == "scenes" else []
    code = {path for run in runs for path in code_paths(root, run)}
    code |= {WEIGHTS[stage]} if stage in WEIGHTS else set()
    code |= {"base"} if stage in ON_BASE else set()
    code = {path for path in code if not code & {str(p) for p in Path(path).parents}}
    return [
        *LISTS_JOBS,
        *(f"workflow/rules/{name}.smk" for name in rules),
        *re.findall(r"- (data/.*)", deps),
        *(f"src/{PACKAGE}/{path}" for path in sorted(code)),
    ]


def _files(path: Path) -> list[Path]:
    """Return a path's files: itself, or those below a folder but for caches."""
    found = [path] if path.is_file() else path.rglob("*")
    return [file for file in found if file.is_file() and "__pycache__" not in file.parts]


def _package_files(folder: Path, source: Path) -> set[Path]:
    """Return what belongs to each module of a folder: other files, and folders without modules."""
    if folder == source:
        return set()
    found = _package_files(folder.parent, source)
    for path in folder.iterdir():
        if path.is_file() and path.suffix != ".py":
            found.add(path)
        elif path.is_dir() and not (path / "__init__.py").exists():
            found.update(_files(path))
    return found


def _folders(source: Path, files: set[Path]) -> Iterator[Path]:
    """Yield `files`, with a folder in place of all its files."""
    for path in source.iterdir():
        if path.name == "__pycache__":
            continue
        inside = set(_files(path))
        modules = {file for file in inside if file.name != "__init__.py"}
        if path in files or (path.is_dir() and modules and modules <= files):
            yield path
        elif path.is_dir() and inside & files:
            yield from _folders(path, files)


def _module_path(root: Path, module: str) -> Path:
    """Return the file of a module of ours."""
    path = root / "src" / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _imports(root: Path, module: str) -> frozenset[str]:
    """Return the modules of ours that a module imports, except `if TYPE_CHECKING`."""
    return frozenset(_imported(root, ast.parse(_module_path(root, module).read_text())))


def _imported(root: Path, tree: ast.AST) -> set[str]:
    """Return the modules of ours that the statements of a tree import."""
    found: set[str] = set()
    for node in _nodes(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{name.name}" for name in node.names}
            ours = {name for name in names if _module_path(root, name).is_file()}
            found |= ours | ({node.module} if names - ours else set())
        elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            prefix = str(node.values[0].value)
            if re.fullmatch(rf"{PACKAGE}(\.\w+)+\.", prefix):
                files = _module_path(root, prefix[:-1]).parent.glob("*.py")
                found |= {prefix + file.stem for file in files if file.stem != "__init__"}
    return {name for name in found if name.split(".")[0] == PACKAGE}


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes of a tree, without blocks `if TYPE_CHECKING`."""
    yield tree
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
            yield from _nodes(node)


def main(arguments: Sequence[str]) -> int:
    """Write dvc.yaml, or check it.

    Args:
        arguments: ["--check"], or none.

    Returns:
        The exit code: 1 where `--check` finds the file out of date.
    """
    path = ROOT / "dvc.yaml"
    text = path.read_text()
    new = with_deps(text)
    if "--check" not in arguments:
        path.write_text(new)
    elif new != text:
        print("dvc.yaml: deps are out of date. Run `python workflow/sources.py`.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
