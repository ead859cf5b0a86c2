"""The documentation: links and anchors resolve, and Python examples run as they stand."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from peft import LoraConfig, get_peft_model

from helpers.tiny_families import save_internvl
from spatialsv.benchmarks.catalogue import NAMES, find_benchmark
from spatialsv.benchmarks.responses import Response
from spatialsv.cli import RENAMED_OPTIONS, main
from spatialsv.commands import COMMANDS
from spatialsv.config import RENAMED
from spatialsv.model.mllm import load_mllm
from spatialsv.scenes.store import write_store

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md"))]
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # it also has old names
README_LINES = 150


def name_of(page: Path) -> str:
    """Return the path of a page for messages and test ids."""
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, formed as GitHub does."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def python_blocks() -> list:
    """Return the Python examples of all pages but tutorials, which run as one, as parameters."""
    return [
        pytest.param(code, id=f"{name_of(page)}-{number}")
        for page in PAGES
        if page.parent.name != "tutorials"
        for number, code in enumerate(
            re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        )
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_anchors_resolve(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{name_of(page)}: {target}"
        if anchor:
            assert anchor in anchors_of(linked), f"{name_of(page)}: {target}"


@pytest.mark.parametrize("page", CURRENT, ids=name_of)
def test_files_named_in_the_text_exist(page):
    names = re.findall(r"`((?:workflow|perf|src|tests|docs|examples)/[\w./-]+)`", text_of(page))
    for name in names:
        assert (ROOT / name).exists(), f"{name_of(page)}: {name}"


@pytest.mark.parametrize("index", sorted(DOCS.rglob("index.md")), ids=name_of)
def test_an_index_links_every_page_of_its_folder(index):
    """The site's tables of contents follow from these links."""
    links = set(re.findall(r"\]\(([\w/-]+\.md)\)", index.read_text()))
    pages = {page.name for page in index.parent.glob("*.md")} - {"index.md"}
    folders = {f"{page.parent.name}/index.md" for page in index.parent.glob("*/index.md")}
    assert pages | folders <= links


@pytest.mark.parametrize("page", CURRENT, ids=name_of)
def test_functions_linked_in_the_text_exist(page):
    links = re.findall(r"\[`([\w.]+)`\]\(([^)]+/src/spatialsv/[^)]+)\.py\)", text_of(page))
    for name, target in links:
        module = target.partition("/src/spatialsv/")[2].replace("/", ".")
        tree = ast.parse((page.parent / f"{target}.py").read_text())
        defined = {node.name for node in ast.walk(tree) if hasattr(node, "name")}
        rest = name.removeprefix(module).removeprefix(".")
        assert name.startswith(module), f"{name_of(page)}: {name}"
        assert not rest or rest in defined, f"{name_of(page)}: {name}"


def test_the_equations_are_linked_to_the_code():
    text = (DOCS / "explanation/equations.md").read_text()
    assert len(re.findall(r"\]\([^)]+/src/spatialsv/[^)]+\.py\)", text)) > 30
    numbered = re.findall(r"^\| ([\d, ]+) \|", text, flags=re.MULTILINE)
    assert {int(n) for row in numbered for n in row.split(",")} == {1, 2, 5, 6, 10, 11, 12}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


@pytest.fixture
def run_folder(tmp_path, tiny_scenes, tiny_labels, monkeypatch):
    """A folder with the checkpoint and the stores that the examples name."""
    mllm, _ = load_mllm(save_internvl(tmp_path / "OpenGVLab/InternVL3-1B-hf"))
    adapter = get_peft_model(mllm, LoraConfig(target_modules=["q_proj"]))
    adapter.save_pretrained(tmp_path / "adapter")
    stores = {"scenes/train": tiny_scenes, "scenes/test": tiny_scenes}
    for name, scenes in (stores | {"labels/rooms/train": tiny_labels}).items():
        store = tmp_path / f"data/{name}/0000.zarr"
        store.parent.mkdir(parents=True)
        write_store(store, scenes)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("code", python_blocks())
def test_python_examples_run(code, run_folder):
    names: dict = {}
    exec(compile(code, "example", "exec"), names)  # as a reader would paste it
    if "lifted" in names:
        lifted, targets = names["lifted"], names["batch"].geometry
        assert lifted.depth.shape == (2, 2, 224, 224) and lifted.points.shape[-1] == 3
        assert targets.present.all() and targets.depth.shape[:2] == (2, 2)
    elif "merged" in names:
        load_mllm("merged")
    elif "cameras" in names:
        cameras, K, pose = names["cameras"], names["K"], names["pose"]
        assert (cameras.intrinsics - K).abs().max() < 0.1
        assert (cameras.cam_to_world - pose).abs().max() < 1e-3
        assert names["points"].shape == (48, 64, 3)
    elif "chosen" in names:
        assert len(names["table"]) == 4 and (names["table"]["true_geometry"] == 100).all()
        assert len(names["questions"]) == len(names["chosen"])
    else:
        assert names["depth"].shape == names["scenes"].depth.shape[-2:]


def test_there_are_examples_of_models_geometry_and_stores():
    assert len(python_blocks()) >= 3


def test_pre_commit_uses_the_tested_versions():
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    named = dict(d.split("==") for hook in hooks for d in hook["additional_dependencies"])
    assert {"ruff", "snakefmt"} <= named.keys()
    assert all(pins.get(name, version) == version for name, version in named.items())


@cache
def schema() -> dict:
    """Return the schema of the settings."""
    return yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_in_yaml_examples_exist(page):
    for code in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        Draft202012Validator(schema() | {"required": []}).validate(yaml.safe_load(code))


@pytest.mark.parametrize("page", CURRENT, ids=name_of)
def test_settings_named_in_the_text_exist(page):
    stages = "|".join(schema()["properties"])
    for path in re.findall(rf"`((?:{stages})\.[a-z_.]+)(?:`(?!\]\()|:)", text_of(page)):
        node = schema()
        for key in path.split("."):
            node = node.get("properties", {}).get(key) or node.get("additionalProperties")
            assert node, f"{name_of(page)}: {path}"
            node = next((n for n in node.get("anyOf", []) if "properties" in n), node)


def commands() -> list:
    """Return the `spatialsv` commands of the pages as test parameters."""
    lines = [
        (name_of(page), match)
        for page in CURRENT
        for match in re.findall(r"(?<![\w/.])spatialsv ([a-z]\w*[^\n`#|]*)", page.read_text())
        if match.split()[0] in COMMANDS
    ]
    return [pytest.param(line, id=f"{name}: {line[:60]}") for name, line in lines]


@pytest.mark.parametrize("line", commands())
def test_options_of_commands_exist(line, capsys):
    name, *words = line.replace("(", " ").split()
    options = {word.rstrip(",.;)") for word in words if word.startswith("--")}
    selecting = [word for word in words if word == "--plan"]
    positional = [word for word in words[:1] if not word.startswith("-")]
    with pytest.raises(SystemExit):
        main([name, *positional, *selecting, "--help"])
    text = capsys.readouterr().out
    assert not {option for option in options if option not in text}, text


def test_the_changelog_lists_every_renamed_setting_and_option():
    rows = set(re.findall(r"^\| `(.+?)` \| `(.+?)` \|$", (ROOT / "CHANGELOG.md").read_text(), re.M))
    assert (RENAMED | RENAMED_OPTIONS).items() <= rows


def test_benchmarks_protocols_and_fields_of_a_response_are_documented():
    text = (DOCS / "guides/benchmarks.md").read_text()
    table = text[text.index("| Benchmark | Protocols") :].split("\n\n")[0]
    protocols = {
        name: re.findall(r"`(\w+)`", names)
        for benchmarks, names in re.findall(r"^\| (.*?) \| (.*?) \|$", table, re.MULTILINE)
        for name in re.findall(r"\w+", benchmarks)
    }
    for name in NAMES:
        assert f"`{name}`" in text
        assert list(find_benchmark(name).protocols) == protocols.get(name, protocols["most"]), name
    assert {field.name for field in fields(Response)} <= set(re.findall(r"`(\w+)`", text))
