"""House rules that a machine can keep: layers, formats, and the lists that must agree."""

from __future__ import annotations

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

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "spatialsv"
STAGES = ("scenes", "labels", "pseudo", "train", "lift", "probe", "evaluate")
STAGES += ("analysis", "report")
CONDA_NAMES = {"torch": "pytorch"}


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("spatialsv", include_external_packages=True, cache_dir=None)


def imported_by(stage: str) -> set[str]:
    """Our modules that a stage needs, itself included, as paths: `geometry/rays`.

    A stage is what its package offers; what only another command imports of it is not the stage.
    """
    own = imports().find_upstream_modules(f"spatialsv.{stage}") - {f"spatialsv.{stage}"}
    return needed_by(
        {m for m in own or imports().modules if m.split(".")[:2] == ["spatialsv", stage]}
    )


def needed_by(modules: set[str]) -> set[str]:
    """These modules and what they import of ours, as paths."""
    found = modules.union(*(imports().find_upstream_modules(module) for module in modules))
    paths = {m.removeprefix("spatialsv.").replace(".", "/") for m in found if "spatialsv." in m}
    return {path for path in paths if not (SOURCE / path / "__init__.py").is_file()}


def listed_in_rules(stage: str) -> list[set[str]]:
    """What the code digest of each rule of a stage covers, as paths; its own rule comes first."""
    text, found = (ROOT / f"workflow/rules/{stage}.smk").read_text(), []
    for code in re.finditer(r"code=\w+\(([^)]*)\)", text):
        names = set(re.findall(r'"([^"]+)"', code.group(1))) | {"config", "io"}
        found.append(names | ({"weights/mllm"} if "code=model_code(" in code.group() else set()))
    return found


def listed_in_rule(stage: str) -> set[str]:
    """What the code digest of a stage's own rule covers."""
    return listed_in_rules(stage)[0]


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
    users = imports().find_modules_that_directly_import("argparse")
    assert users == {"spatialsv.cli"}


def test_nothing_is_pickled():
    assert "pickle" not in imports().modules


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_digest_of_a_rule_covers_what_its_stage_imports(stage):
    listed = listed_in_rule(stage)
    shown = {"progress"}  # shows, and changes nothing
    missing = {
        module
        for module in imported_by(stage) - shown
        if not any(module == name or module.startswith(f"{name}/") for name in listed)
    }
    assert not missing, f"{stage}.smk: code_version lacks {sorted(missing)}"


def test_the_code_digest_of_a_benchmark_covers_what_asks_it():
    """Which benchmark is imported when it is asked; all of them are covered."""
    (listed,) = listed_in_rules("evaluate")[1:]
    files = needed_by({"spatialsv.evaluate.benchmark"}) - {"progress"}
    assert {"benchmarks", "evaluate"} <= listed
    missing = {f for f in files if not any(f == n or f.startswith(f"{n}/") for n in listed)}
    assert not missing, f"evaluate.smk: code_version lacks {sorted(missing)}"
    names = {name for name in listed if not name.startswith("weights/")}
    assert all(any(f == n or f.startswith(f"{n}/") for f in files) for n in names)


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_digest_of_a_rule_covers_nothing_else(stage):
    """Or an edit elsewhere would redo the stage."""
    modules = imported_by(stage)
    needless = {
        name
        for name in listed_in_rule(stage)
        if not name.startswith("weights/")
        and name != "config"  # the command line reads every stage's settings by it
        and not any(module == name or module.startswith(f"{name}/") for module in modules)
    }
    assert not needless, f"{stage}.smk: nothing of {sorted(needless)} is imported"


@pytest.mark.parametrize("stage", [*STAGES, "ablations"])
def test_dvc_and_the_rule_depend_on_the_same_code(stage):
    """Or DVC says fresh while Snakemake wants to run."""
    listed = set().union(*listed_in_rules(stage))
    rules = {"Snakefile", f"workflow/rules/{stage}.smk", "workflow/rules/common.smk"}
    if stage not in ("analysis", "report", "ablations"):
        listed.add("gather")
        rules.add("workflow/rules/gather.smk")
    if stage in ("labels", "pseudo", "train"):  # these may wait for a base of one's own
        listed.add("base")
        rules.add("workflow/rules/base.smk")
    described = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    deps = [dep.replace("${item}", stage) for dep in described.get("do", described)["deps"]]
    sources = {d.removeprefix("src/spatialsv/").removesuffix(".py") for d in deps if "src/" in d}
    assert sources == listed
    assert rules <= set(deps)


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
