"""The completion script: static, and it completes commands, options, choices and files."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest

from spatialsv.cli import OPTIONS, main
from spatialsv.commands import COMMANDS
from spatialsv.completion import SHELLS, completion_script

BASH = shutil.which("bash") or "bash"
TRY = """
COMP_WORDS=({words}); COMP_CWORD={last}; COMPREPLY=()
_shtab_spatialsv
echo "${{COMPREPLY[*]}}"
"""


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    return {shell: completion_script(shell, OPTIONS) for shell in SHELLS}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("spatialsv l", "labels lift"),
        ("spatialsv --v", "--version"),
        ("spatialsv lift --conf", "--config --confidence-percentile"),
        ("spatialsv lift --scen", "--scene --scenes"),
        ("spatialsv lift ph", "photo.jpg"),
        ("spatialsv lift --config ph", "photo.jpg"),
        ("spatialsv train --pl", "--plan"),
        ("spatialsv train --gi", "--gib"),
        ("spatialsv train --precision ", "fp32 bf16"),
        ("spatialsv scenes --source mindcube --fil", "--files"),
        ("spatialsv base t", "teacher"),
    ],
)
def test_bash_completes(line, found, scripts, tmp_path):
    (tmp_path / "photo.jpg").touch()
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    done = subprocess.run(
        [BASH, "--norc"],
        input=scripts["bash"] + TRY.format(words=shlex.join(words), last=len(words) - 1),
        cwd=tmp_path,
        env={"PATH": ""},  # the script needs no other program: no Python
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.stderr) == (found, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_has_all_commands_and_options(shell, scripts):
    for name in COMMANDS:
        assert name in scripts[shell]
    assert "confidence-percentile" in scripts[shell]
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=scripts[shell], text=True, check=True)


def test_another_shell_is_an_error(capsys):
    assert main(["--print-completion", "csh"]) == main(["--print-completion"]) == 2
    assert "expected one of bash, zsh, fish, found 'csh'." in capsys.readouterr().err
