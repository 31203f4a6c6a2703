"""Families of models are found wherever their file lies in the library, and nothing else has to name them."""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from avae_lib.models.families import FAMILIES

LIBRARY = Path(__file__).parents[2] / "avae_lib"
OWN_FAMILY = """
from dataclasses import dataclass
from avae_lib.models.vae import VAE, VAEConfig

@dataclass(frozen=True)
class OwnConfig(VAEConfig):
    "A family of one's own."

    def build(self) -> VAE:
        return VAE(self)
"""
OWN_PRESET = """
from avae_lib.models.own_family import OwnConfig
from avae_lib.presets.derivation import derive
from avae_lib.presets.vae import DIGITS_VAE

PRESETS = (derive(DIGITS_VAE, name="digits-own", model=OwnConfig(hidden_sizes=(8,)), training={"steps": 2}),)
"""


def configurations_in_sources():
    """Names of the classes in ``models`` that define ``build``, read without importing anything."""
    for path in (LIBRARY / "models").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any(getattr(part, "name", "") == "build" for part in node.body):
                yield node.name


def test_all_configurations_are_found_in_alphabetical_order_and_no_two_have_one_name():
    assert Counter(configurations_in_sources()) == Counter(list(FAMILIES))
    assert list(FAMILIES) == sorted(FAMILIES) and len(FAMILIES) >= 18


def test_two_files_dropped_into_the_library_are_a_family_and_a_preset(tmp_path):
    """In a copy of the library: its runs train, open again, and are recorded for the list of presets."""
    shutil.copytree(LIBRARY, tmp_path / "avae_lib", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "avae_lib/models/own_family.py").write_text(OWN_FAMILY)
    (tmp_path / "avae_lib/presets/own.py").write_text(OWN_PRESET)
    code = (
        "from avae_lib.cli import main; from avae_lib.preset_recording import record; record('digits-own');"
        "assert main(['train', 'digits-own', '--no-report']) == 0;"
        "assert main(['sample', 'runs/digits-own', '--count', '4']) == 0;"
        "assert main(['presets']) == 0;"
        "from avae_lib.models.families import FAMILIES; assert 'OwnConfig' in FAMILIES"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert "digits-own" in shown.partition("\nname ")[2]
    config = json.loads((tmp_path / "runs/digits-own/config.json").read_text())
    assert config["model"]["type"] == "avae_lib.models.own_family.OwnConfig"
