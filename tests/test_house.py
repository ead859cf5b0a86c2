"""House rules that a machine can keep: layers, formats, and the lists that must agree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import grimp
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dag import STAGES
from sources import entry_modules, find_modules, with_deps
from spatialsv.commands import COMMANDS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "spatialsv"
CONDA_NAMES = {"torch": "pytorch"}


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("spatialsv", include_external_packages=True, cache_dir=None)


def imported_by(*modules: str) -> set[str]:
    """Return these modules and what they import of ours, by another tool's import graph.

    It counts the modules that packages import at their top, `if TYPE_CHECKING` included, and no
    dynamic imports.
    """
    return set(modules).union(*(imports().find_upstream_modules(module) for module in modules))


@pytest.mark.parametrize(
    "command",
    [
        ("lint-imports",),
        ("ruff", "check"),
        ("ruff", "format", "--check"),
        ("snakefmt", "--check", "Snakefile", "workflow"),
    ],
    ids=" ".join,
)
def test_linters(command):
    tool = Path(sys.executable).parent / command[0]
    done = subprocess.run([tool, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_library_knows_neither_snakemake_nor_dvc():
    external = {module.split(".")[0] for module in imports().modules}
    assert not external & {"snakemake", "dvc", "dvclive"}


def test_only_scenes_knows_zarr():
    for tool in ("zarr", "xarray"):
        if tool in imports().modules:
            users = imports().find_modules_that_directly_import(tool)
            assert all(user.startswith("spatialsv.scenes") for user in users)


def test_only_the_command_line_parses_arguments():
    users = imports().find_modules_that_directly_import("tyro")
    assert users == {"spatialsv.options"}
    assert importers("argparse") == importers("shtab") == {"spatialsv.completion"}


def test_nothing_is_pickled():
    assert "pickle" not in imports().modules


@pytest.mark.parametrize("command", COMMANDS)
def test_the_code_of_a_command_is_what_it_imports(command):
    entries = entry_modules(ROOT, command)
    code = find_modules(ROOT, entries)
    known = {module for module in imported_by(*entries) if module.startswith("spatialsv.")}
    known -= {"spatialsv", "spatialsv.progress"}
    typed_only = {module for module in known - code if "TYPE_CHECKING" in importers_text(module)}
    assert known - code <= typed_only
    dynamic = {module for module in code if module.startswith("spatialsv.benchmarks.")}
    assert code <= known | imported_by(*dynamic)


def importers_text(module: str) -> str:
    """Return the sources of the modules that import `module` directly."""
    files = [SOURCE.parent / Path(*name.split(".")) for name in importers(module)]
    paths = [file / "__init__.py" if file.is_dir() else file.with_suffix(".py") for file in files]
    return "".join(path.read_text() for path in paths)


def importers(module: str) -> set[str]:
    return imports().find_modules_that_directly_import(module)


@pytest.mark.parametrize("stage", STAGES)
def test_a_rule_has_the_digest_of_its_stages_code(stage):
    text = (ROOT / f"workflow/rules/{stage}.smk").read_text()
    assert re.search(rf'code=(lambda wildcards: )?code_version\("{stage}"', text)


def test_every_benchmark_is_part_of_the_code_that_evaluates_on_one():
    code = find_modules(ROOT, ["spatialsv.evaluate"])
    for file in (SOURCE / "benchmarks").glob("*.py"):
        if file.stem != "__init__":
            assert f"spatialsv.benchmarks.{file.stem}" in code


def test_dvc_depends_on_the_same_code():
    """Or DVC says fresh while Snakemake wants to run."""
    text = (ROOT / "dvc.yaml").read_text()
    assert text == with_deps(text), "code moved: python workflow/sources.py"


@pytest.mark.parametrize("stage", STAGES)
def test_one_name_in_all_places(stage):
    assert (SOURCE / stage).is_dir()
    assert f"rule {stage}:" in (ROOT / f"workflow/rules/{stage}.smk").read_text()
    dvc = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    assert dvc["cmd"].endswith(f" {stage}")
    assert dvc["outs"] == [{f"data/{stage}": {"persist": True}}]
    assert stage in yaml.safe_load((ROOT / "workflow/config/default.yaml").read_text())


def test_rules_have_log_benchmark_resources_and_code():
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            name = rule.split(":")[0]
            if "    shell:" not in rule:  # `all`, `base` and the like only name what they want
                continue
            parts = ["log:", "benchmark:", "resources:", "code="]
            parts += (
                ["config="] if name not in ("gather", "paper") else []
            )  # these have no settings
            for part in parts:
                assert part in rule, f"{name} lacks {part}"


def test_the_conda_environment_is_in_step_with_pyproject():
    project = pyproject()["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["workflow"]
    ranges = {}
    for line in map(Requirement, wanted):
        ranges[CONDA_NAMES.get(line.name, line.name)] = str(line.specifier)
    ranges["python"] = project["requires-python"]
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    found = dict(re.fullmatch(r"(\S+) ?(.*)", line).groups() for line in listed)
    assert {found.pop("pytorch3d"), found.pop("pip")} == {""}
    parts = {name: set(spec.split(",")) for name, spec in found.items()}
    assert parts == {name: set(spec.split(",")) for name, spec in ranges.items()}


@pytest.mark.parametrize("name", ["constraints.txt", "workflow/envs/harness.txt"])
def test_constraints_pin_every_direct_dependency_within_its_range(name):
    lines = (ROOT / name).read_text().splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    pins = {canonicalize_name(name): version for name, version in pairs}
    project = pyproject()["project"]
    extras = project["optional-dependencies"]
    harness = extras.pop("harness")  # alone in its environment
    wanted = harness if "harness" in name else [r for extra in extras.values() for r in extra]
    for line in map(Requirement, [*project["dependencies"], *wanted]):
        pin = pins.get(canonicalize_name(line.name))
        assert pin, f"{name} does not pin {line.name}"
        assert line.specifier.contains(pin), line


def test_the_schema_is_in_step_with_the_dataclasses():
    script = ROOT / "workflow/schemas/write_schema.py"
    namespace = {"__name__": "write_schema", "__file__": str(script)}
    exec(compile(script.read_text(), script, "exec"), namespace)
    assert (ROOT / "workflow/schemas/config.schema.yaml").read_text() == namespace["dumps"](), (
        "a config dataclass changed: python workflow/schemas/write_schema.py"
    )


def test_no_file_is_called_utils():
    for path in SOURCE.rglob("*"):
        assert path.stem not in ("utils", "util", "misc", "helpers", "common"), path


def test_no_function_is_longer_than_60_lines():
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                length = node.end_lineno - node.lineno + 1
                assert length <= 60, f"{path}: {node.name} has {length} lines"


def test_private_names_of_torch_and_transformers_are_those_without_a_public_one():
    private = r"\b(?:torch|transformers)(?:\.\w+)*\._(?!_)\w+|\._(?:cdata|attn_implementation)\b"
    found = {
        name for path in SOURCE.rglob("*.py") for name in re.findall(private, path.read_text())
    }
    assert found == {"torch._subclasses", "torch.utils._python_dispatch", "torch.utils._pytree"}
