"""What a user imports from the top of the library, and the Python examples of the README."""

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import avae_lib

ROOT = Path(__file__).parents[2]
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def imports_for_static_checkers():
    """Name and module of each import of the block that only static checkers read."""
    body = ast.parse((ROOT / "avae_lib/__init__.py").read_text(encoding="utf-8")).body
    (block,) = [part for part in body if isinstance(part, ast.If) and ast.unparse(part.test) == "TYPE_CHECKING"]
    return {alias.asname: line.module for line in block.body for alias in line.names}


def test_importing_the_library_loads_none_of_its_modules_and_not_torch():
    code = "import sys, json; before = set(sys.modules); import avae_lib; print(json.dumps([*{*sys.modules} - before]))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    loaded = json.loads(shown)
    assert [name for name in loaded if name.startswith(("avae_lib.", "torch", "numpy"))] == []


@pytest.mark.parametrize(("name", "module"), imports_for_static_checkers().items())
def test_each_name_is_the_object_of_its_module(name, module):
    assert getattr(avae_lib, name) is getattr(importlib.import_module(module), name)
    assert name in dir(avae_lib)


def test_static_checkers_see_the_names_that_exist_at_run_time():
    seen = imports_for_static_checkers()
    assert [name for name in seen if name[0] == "_"] == []
    assert seen == avae_lib._MODULES


def test_a_name_that_does_not_exist_is_an_ordinary_error():
    with pytest.raises(AttributeError, match="module 'avae_lib' has no attribute 'VAEConfigg'"):
        _ = avae_lib.VAEConfigg


@pytest.mark.parametrize("package", ["avae_lib", "autograder"])
def test_a_package_says_that_it_has_types(package):
    assert (ROOT / package / "py.typed").is_file()
    assert f'{package} = ["py.typed", ' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    blocks = PYTHON_BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile("\n".join(blocks), "README.md", "exec"), names)
    assert names["images"].shape == (64, 1, 8, 8)
    nats = float(re.search(r"log p\(x\) = (\S+) nats per image", capsys.readouterr().out)[1])
    assert -25 < nats < -15  # a coin for each of the 64 pixels gives -44.4
    assert (tmp_path / "runs/my-first-vae/weights.safetensors").exists()
