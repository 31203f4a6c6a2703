"""The examples in docstrings of components do what they say."""

import doctest
import importlib

import pytest

from avae_lib import components

MODULES = sorted(
    {entry.place[0] for entry in components.listing()}
    | {"avae_lib.components", "avae_lib.component_health", "avae_lib.models.contract"}
    | {"avae_lib.nn.codebook", "avae_lib.nn.gated_pixelcnn", "avae_lib.nn.planar_flow", "avae_lib.nn.masked_network"}
    | {"avae_lib.divergences.sliced_wasserstein", "avae_lib.models.beta_tcvae", "avae_lib.presets.derivation"}
)


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0


@pytest.mark.parametrize("unit", ["04_richer_models", "05_hierarchical_vae", "06_attentive_vae"])
def test_each_component_has_an_example(unit):
    assert [entry.name for entry in components.listing(unit) if ">>>" not in entry.doc] == []
