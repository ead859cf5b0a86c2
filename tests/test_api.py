"""The public interface: lazy, complete, and the same for type checkers and at run time."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import spatialsv


def test_importing_the_package_imports_nothing_else():
    code = (
        "import sys; before = set(sys.modules); import spatialsv;"
        " print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert {"torch", "numpy", "transformers", "zarr"}.isdisjoint(result.stdout.split())


@pytest.mark.parametrize("name", spatialsv.__all__)
def test_every_public_name_resolves(name):
    assert getattr(spatialsv, name).__name__ == name
    assert name in dir(spatialsv)


def test_the_lists_of_public_names_agree():
    tree = ast.parse(Path(spatialsv.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {
        f"{node.module}.{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == {f"spatialsv.{m}.{name}" for name, m in spatialsv._MODULES.items()}
    assert spatialsv.__all__ == sorted(spatialsv._MODULES)
    assert 15 <= len(spatialsv.__all__) <= 30


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = spatialsv.nothing


def test_type_information_is_shipped():
    assert (Path(spatialsv.__file__).parent / "py.typed").is_file()
