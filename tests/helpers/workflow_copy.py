"""A copy of the repository to run the workflow in, so that a test never touches `data/` here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = (
    *("Snakefile", "Makefile", "dvc.yaml", ".dvc", ".dvcignore", ".gitignore", "workflow", "src"),
    *("environment.yml", "pyproject.toml", "constraints.txt"),
)
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Copy:
    """A working copy and the tools, run in it."""

    root: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """`command` in the copy, on the copy's sources; both streams in `stdout`."""
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """`command` in the background, with its children in a process group of their own."""
        return subprocess.Popen(
            command, cwd=self.root, env=self.environment(), start_new_session=True
        )

    def environment(self) -> dict[str, str]:
        """The tools of this test, on the copy's sources."""
        environment = os.environ | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),
            "SNAKEMAKE_PROFILE": "workflow/profiles/local",
            "XDG_CACHE_HOME": str(self.root / ".snakemake" / "cache"),
        }
        environment.pop("OMP_NUM_THREADS", None)
        return environment

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("snakemake", "--profile", "workflow/profiles/local", *arguments)

    def planned(self, *arguments: str) -> dict[str, int]:
        """The jobs that a dry run would start: rule -> number, without `all`."""
        found = self.snakemake("-n", "--quiet", "reason", "host", "--", *arguments)
        assert found.returncode == 0, found.stdout
        if "Nothing to be done" in found.stdout:
            return {}
        lines = iter(found.stdout.splitlines())
        for line in lines:
            if line.split() == ["job", "count"]:
                break
        next(lines)
        jobs = {}
        for line in lines:
            rule, count = line.split()
            if rule == "total":
                return {name: n for name, n in jobs.items() if name != "all"}
            jobs[rule] = int(count)
        raise AssertionError(found.stdout)

    def adopt(self) -> None:
        """Have Snakemake take everything as made; what is not there is made empty."""
        found = self.snakemake("--summary")
        assert found.returncode == 0, found.stdout
        for line in found.stdout.splitlines():
            path = self.root / line.split("\t")[0]
            if line.startswith("data/") and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("{}\n")
        touched = self.run(
            "snakemake", "--cores", "1", "--touch", "--forceall", "all", "--config", "adopt=true"
        )
        assert touched.returncode == 0, touched.stdout

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace `old`, which must be there, by `new` in a file."""
        path = self.root / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new, 1))


def make_copy(folder: Path) -> Copy:
    """A copy without data, in an empty folder."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "tmp", "cache")
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignore)
        else:
            shutil.copy2(source, target)
    return Copy(folder)
