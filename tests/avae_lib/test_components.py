"""The seam between the library, the student and the grader."""

import dataclasses
import importlib
import subprocess
import sys
import timeit
import tomllib
from pathlib import Path

import pytest
import torch

from autograder.authoring.student_edition import write_student_edition
from avae_lib import components
from avae_lib.component_marks import marks_in
from avae_lib.component_usage import usage
from avae_lib.components import ComponentError, implements, using
from avae_lib.gaussians import DiagonalGaussian, reparameterize
from avae_lib.models.vae import VAEConfig
from avae_lib.objectives import importance_weighted_bound, negative_elbo
from avae_lib.presets import find_preset
from avae_lib.training.textbook_training import vae_training_step

COMPONENTS = {
    "log_mean_exp": "00_start_here",
    "reparameterize": "03_vae",
    "bernoulli_log_likelihood": "03_vae",
    "negative_elbo": "03_vae",
    "importance_weighted_bound": "03_vae",
    "vae_training_step": "03_vae",
}


@pytest.fixture(autouse=True)
def _library_bodies():
    components.restore()
    yield
    components.restore()


def always_seven(mean, log_std, noise):
    return torch.full_like(mean, 7.0)


def half_seven(mean, log_std, noise):
    return torch.full_like(mean, 3.5)


def test_listing_holds_every_component_with_its_unit_and_docstring():
    found = {entry.name: entry for entry in components.listing()}
    assert {name: found[name].unit for name in COMPONENTS} == COMPONENTS
    assert all(len(entry.doc) > 100 for entry in found.values())


def test_listing_of_a_unit_holds_that_unit_only():
    assert {entry.name for entry in components.listing("00_start_here")} == {"log_mean_exp"}


def test_swapped_function_reaches_callers_inside_the_library():
    gaussian = DiagonalGaussian(torch.zeros(2, 3), torch.zeros(2, 3))
    implements("reparameterize")(always_seven)
    assert torch.equal(gaussian.sample(), torch.full((2, 3), 7.0))
    assert components.implementation("reparameterize") is always_seven


def test_component_called_by_another_component_is_swapped_too():
    with using("log_mean_exp", lambda x, dim: x.sum(dim)):
        assert torch.equal(importance_weighted_bound(torch.ones(4, 2)), torch.full((2,), 4.0))
    assert torch.allclose(importance_weighted_bound(torch.ones(4, 2)), torch.ones(2))


def test_names_imported_before_the_swap_see_it():
    with using("reparameterize", always_seven):
        assert reparameterize(torch.zeros(1), torch.zeros(1), torch.zeros(1)).item() == 7.0


def test_using_puts_back_the_students_function_not_the_librarys():
    implements("reparameterize")(always_seven)
    with using("reparameterize", half_seven):
        assert components.implementation("reparameterize") is half_seven
    assert components.implementation("reparameterize") is always_seven


def test_using_puts_back_after_an_error():
    with pytest.raises(ZeroDivisionError), using("reparameterize", always_seven):
        1 / 0  # noqa: B018
    assert not next(e for e in components.listing() if e.name == "reparameterize").is_replaced


def test_restore_of_one_name_leaves_the_others():
    implements("reparameterize")(always_seven)
    implements("log_mean_exp")(lambda x, dim: x.sum(dim))
    components.restore("reparameterize")
    assert [entry.name for entry in components.listing() if entry.is_replaced] == ["log_mean_exp"]


def test_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(ComponentError, match=r"reparametrise.*bernoulli_log_likelihood.*reparameterize"):
        implements("reparametrise")(always_seven)
    with pytest.raises(ComponentError, match="no component is called"), using("nothing", always_seven):
        pass


@pytest.mark.parametrize(
    "function",
    [
        lambda mean, log_std: mean,
        lambda mean, log_var, noise: mean,
        lambda mean, noise, log_std: mean,
        lambda mean, log_std, noise, extra=0: mean,
        lambda mean, log_std, noise=None: mean,
        lambda *args: args[0],
    ],
)
def test_differing_parameters_are_refused_and_both_signatures_shown(function):
    with pytest.raises(ComponentError, match=r"must take the parameters \(mean, log_std, noise\), but yours takes"):
        implements("reparameterize")(function)
    assert components.implementation("reparameterize") is not function


def test_annotations_of_the_student_do_not_matter():
    def annotated(mean: torch.Tensor, log_std: int, noise) -> str:
        return mean

    assert implements("reparameterize")(annotated) is annotated


def test_a_missing_default_is_refused():
    with pytest.raises(ComponentError, match=r"beta=1\.0"):
        implements("negative_elbo")(lambda log_likelihood, kl, beta: 0.0)


def test_running_a_cell_again_replaces_its_function_without_a_word(capsys):
    implements("reparameterize")(always_seven)
    implements("reparameterize")(half_seven)
    assert capsys.readouterr().out == ""
    assert components.implementation("reparameterize") is half_seven


@pytest.mark.usefixtures("without_annotation_checks")
def test_compiled_code_sees_a_swap_without_breaking_the_graph():
    torch._dynamo.reset()

    @torch.compile(backend="eager", fullgraph=True)
    def loss(log_likelihood, kl):
        return negative_elbo(log_likelihood, kl, 0.5)

    log_likelihood, kl = torch.randn(4), torch.rand(4, 2)
    expected = (0.5 * kl.sum(1) - log_likelihood).mean()
    assert torch.allclose(loss(log_likelihood, kl), expected)
    with using("negative_elbo", lambda log_likelihood, kl, beta=1.0: kl.sum()):
        assert torch.allclose(loss(log_likelihood, kl), kl.sum())
    assert torch.allclose(loss(log_likelihood, kl), expected)


def test_dispatch_of_a_training_steps_calls_costs_less_than_a_hundredth_of_the_step():
    def seconds_per_call(function, number):
        return min(timeit.repeat(function, number=number, repeat=5)) / number

    model, x = VAEConfig().build(), torch.randint(2, (100, 1, 8, 8), dtype=torch.uint8)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    step = seconds_per_call(lambda: vae_training_step(model, optimizer, x), 20)
    with using("reparameterize", lambda mean, log_std, noise: None):
        direct = components.implementation("reparameterize")
        dispatch = seconds_per_call(lambda: reparameterize(0, 0, 0), 10_000)
        dispatch -= seconds_per_call(lambda: direct(0, 0, 0), 10_000)
    assert 4 * dispatch < 0.01 * step


def test_report_says_whose_implementation_is_in_use():
    implements("reparameterize")(always_seven)
    lines = {line.split("(")[0].split()[-1]: line for line in components.report().splitlines()}
    assert lines["reparameterize"].endswith("yours") and "(mean, log_std, noise)" in lines["reparameterize"]
    assert lines["log_mean_exp"].endswith("library") and lines["log_mean_exp"].startswith("00_start_here")


def test_load_brings_back_saved_components_and_names_them(tmp_path):
    saved = tmp_path / "my_components.py"
    saved.write_text(
        "import torch\nfrom avae_lib.components import implements\n"
        "@implements('log_mean_exp')\ndef log_mean_exp(x, dim):\n    return x.exp().mean(dim).log() + 100\n"
    )
    assert components.load(saved) == ("log_mean_exp",)
    assert importance_weighted_bound(torch.zeros(3, 1)).item() == pytest.approx(100)


def test_what_was_loaded_is_told_from_what_replaces_it(tmp_path):
    saved = tmp_path / "my_components.py"
    saved.write_text(
        "from avae_lib.components import implements\n"
        "@implements('log_mean_exp')\ndef log_mean_exp(x, dim):\n    return x.sum(dim)\n"
    )
    components.load(saved)
    entry = components.find("log_mean_exp")
    assert entry.kept_in == saved
    with using("log_mean_exp", lambda x, dim: x):
        assert entry.kept_in is None
    assert entry.kept_in == saved
    implements("log_mean_exp")(lambda x, dim: x.mean(dim))
    assert entry.kept_in is None


def test_load_of_a_file_that_is_not_there_finds_nothing(tmp_path):
    assert components.load(tmp_path / "my_components.py") == ()


def test_marks_are_found_in_source_without_running_it():
    source = (
        "raise SystemExit\n"
        '@component(unit="09_unit")\ndef first(x):\n    "doc"\n    return x\n'
        "def unmarked(x): ...\n"
        '@other\n@component(unit="08_unit")\nclass Second: ...\n'
    )
    assert [(mark.name, mark.unit, mark.definition.lineno) for mark in marks_in(source)] == [
        ("first", "09_unit", 3),
        ("Second", "08_unit", 9),
    ]


class TestAvailability:
    def test_the_librarys_body_is_available(self):
        assert components.is_available("top_down_step") and components.find("top_down_step").has_reference

    def test_an_unsolved_exercise_is_not(self):
        def unsolved(mean, log_std, noise):
            """What the exercise asks for."""
            raise NotImplementedError("reparameterize is written in unit 03_vae: solve its exercise there first")

        with using("reparameterize", unsolved):
            assert not components.is_available("reparameterize")
        with using("reparameterize", always_seven):
            assert components.is_available("reparameterize")
        assert components.is_available("reparameterize")

    def test_stubs_of_a_student_edition_are_not(self, tmp_path):
        write_student_edition(tmp_path, ["00_start_here"])
        program = (
            "from avae_lib import components\n"
            "print([components.is_available(name) for name in ('log_mean_exp', 'reparameterize', 'top_down_step')])\n"
            "@components.implements('reparameterize')\n"
            "def reparameterize(mean, log_std, noise): return mean + log_std.exp() * noise\n"
            "print(components.is_available('reparameterize'))\n"
            "components.restore()\n"
            "print(components.is_available('reparameterize'))\n"
        )
        answer = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
        assert answer.stdout.split("\n")[:3] == ["[True, False, False]", "True", "False"], answer.stderr

    @pytest.mark.usefixtures("without_annotation_checks")
    def test_compiled_code_asks_without_breaking_the_graph(self):
        torch._dynamo.reset()

        @torch.compile(backend="eager", fullgraph=True)
        def shifted(x):
            return x + 1 if components.is_available("reparameterize") else x - 1

        assert shifted(torch.zeros(2)).tolist() == [1, 1]


class TestReportOnAModel:
    def _lines(self, model):
        return components.report(model).splitlines()

    def test_it_lists_what_the_model_calls_and_which_part_calls_it(self):
        with using("reparameterize", lambda mean, log_std, noise: mean):
            lines = self._lines(find_preset("digits-attentive-plain").model.build())
        rows = {line.split()[1]: line.split(maxsplit=3) for line in lines}
        assert rows["reparameterize"][0::2] == ["03_vae", "yours"]
        assert rows["variational_layer_step"][0::2] == ["06_attentive_vae", "library"]
        assert rows["variational_layer_step"][3] == "PlainVariationalLayer"
        called = {"marginal_log_likelihood", "kl_diagonal_gaussian", "should_skip_update", "attentive_context"}
        assert called < set(rows)
        assert not {"top_down_step", "bernoulli_log_likelihood"} & set(rows)

    @pytest.mark.parametrize(
        ("preset", "fields", "words"),
        [
            ("digits-attentive", {}, "normalised attention: own wiring, not attentive_context"),
            ("digits-local-plain", {}, "own wiring, not variational_layer_step"),
            ("digits-vdvae", {"group_size": 2}, "blocks in groups: own wiring, not top_down_step"),
            ("digits-vdvae", {"upsampling": "learned"}, "learned upsampling: own wiring, not unpool_nearest"),
            ("digits-attentive", {"faithful": True}, "published bounds: own wiring, not residual_gaussian"),
            ("digits-nvae", {"flows": 1}, "own wiring, not gaussian_kl_per_layer"),
            ("digits-plain", {}, "own wiring, not gaussian_kl_per_layer"),
            ("digits-vdvae", {}, "grey pixels: own wiring, not discretized_logistic_mixture_log_prob"),
        ],
    )
    def test_parts_with_a_wiring_of_their_own_are_named(self, preset, fields, words):
        model = dataclasses.replace(find_preset(preset).model, **fields).build()
        assert [line for line in self._lines(model) if words in line]

    @pytest.mark.parametrize("preset", ["photos32-vdvae", "photos32-attentive-plain"])
    def test_models_of_the_exercises_have_none(self, preset):
        assert not [line for line in self._lines(find_preset(preset).model.build()) if "own wiring" in line]

    def test_functions_of_yours_that_it_does_not_call_are_named(self):
        with using("precision_weighted", lambda first_mean, first_log_std, second_mean, second_log_std: None):
            lines = self._lines(find_preset("digits-vdvae").model.build())
        assert "yours, but not called by this model: precision_weighted" in lines

    def test_model_random_state_and_functions_are_left_as_they_are(self):
        model = find_preset("digits-nvae").model.build()
        weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        before = torch.get_rng_state(), components.implementation("reparameterize")
        components.report(model)
        assert torch.equal(torch.get_rng_state(), before[0]) and model.training
        assert components.implementation("reparameterize") is before[1]
        assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())

    def test_a_model_without_a_density_is_reported_without_its_evaluation(self):
        lines = self._lines(find_preset("digits-wae").model.build())
        assert any("maximum_mean_discrepancy" in line for line in lines)
        assert not any("stopped" in line or "importance_weighted_bound" in line for line in lines)

    def test_a_function_that_raises_stops_the_report_and_is_named(self):
        def unfinished(mean, log_std, noise):
            raise ZeroDivisionError("half done")

        with using("reparameterize", unfinished):
            lines = self._lines(VAEConfig().build())
        assert lines[-1] == "stopped by ZeroDivisionError: half done"


MODELS_AND_THEIR_COMPONENTS = {
    "digits-ladder": {"precision_weighted", "gaussian_kl_per_layer"},
    "digits-nvae": {"residual_gaussian", "gaussian_kl_per_layer"},
    "digits-vdvae": {"top_down_step", "bottleneck_block", "unpool_nearest", "gaussian_kl_per_layer"},
    "digits-local": {"residual_gaussian", "gaussian_kl_per_layer"},
    "digits-attentive": {"residual_gaussian", "gaussian_kl_per_layer", "depthwise_attention"},
    "digits-attentive-plain": {
        "residual_gaussian",
        "gaussian_kl_per_layer",
        "depthwise_attention",
        "attentive_context",
        "variational_layer_step",
    },
}


@pytest.mark.parametrize("preset", MODELS_AND_THEIR_COMPONENTS)
def test_models_call_the_components_of_units_05_and_06(preset):
    callers = usage(find_preset(preset).model.build(), components.listing()).callers
    units = ("05_hierarchical_vae", "06_attentive_vae")
    of_units = {entry.name for entry in components.listing() if entry.unit in units}
    assert of_units & set(callers) - {"should_skip_update"} == MODELS_AND_THEIR_COMPONENTS[preset]


@pytest.mark.parametrize("preset", ["photos32-vdvae", "photos32-local"])
def test_models_of_colours_run_on_the_likelihood_of_unit_04(preset):
    callers = usage(find_preset(preset).model.build(), components.listing()).callers
    likelihood = {name for name in callers if name.startswith("discretized_logistic")}
    assert likelihood == {
        "discretized_logistic_log_prob",
        "discretized_logistic_mixture_log_prob",
        "discretized_logistic_mixture_sample",
    }


def test_nonlocal_blocks_call_nonlocal_attention():
    config = dataclasses.replace(find_preset("digits-attentive-plain").model, cell_key_channels=4)
    assert usage(config.build(), components.listing()).callers["nonlocal_attention"] == ("NonLocalBlock",)


RUN = """
import torch
from avae_lib.presets import find_preset
for name in {names}:
    model = find_preset(name).model.build()
    x = torch.randint(2**model.bits, (2, *model.image_shape), dtype=torch.uint8)
    model(x).bound.mean().backward()
    model.log_weight(x), model.sample(2), model.reconstruct(x), model.latents(x)
print("done")
"""


@pytest.mark.parametrize(
    ("handed_back", "presets"),
    [
        (4, ["digits-vae"]),
        (6, ["digits-vae", "digits-ladder", "digits-plain", "digits-biva", "digits-nvae", "digits-vdvae"]),
        (6, ["digits-local", "digits-local-plain", "photos32-local-plain", "photos32-vdvae"]),
        (7, ["digits-attentive", "digits-attentive-plain", "photos32-attentive-plain"]),
    ],
)
def test_stubs_of_later_units_do_not_block_the_models_of_earlier_ones(handed_back, presets, tmp_path):
    units = [unit["name"] for unit in tomllib.loads(Path("course.toml").read_text(encoding="utf-8"))["units"]]
    write_student_edition(tmp_path, units[:handed_back])
    answer = subprocess.run(
        [sys.executable, "-c", RUN.format(names=presets)], cwd=tmp_path, capture_output=True, text=True
    )
    assert answer.stdout == "done\n", answer.stderr


class TestOneNameForOneComponent:
    """Made-up components in modules of their own; the registry is put back."""

    FIRST = 'from avae_lib.components import component\n@component(unit="00_start_here")\ndef made_up(x): return 1\n'

    @pytest.fixture(autouse=True)
    def registry(self, monkeypatch, tmp_path):
        components.listing()
        monkeypatch.setattr(components, "_registry", dict(components._registry))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(sys, "dont_write_bytecode", True)  # an edit within a second would go unnoticed
        yield
        for name in ("module_one", "module_two"):
            sys.modules.pop(name, None)

    def _imported(self, tmp_path, name, source):
        (tmp_path / f"{name}.py").write_text(source)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def test_a_second_one_in_another_module_is_refused_with_both_places(self, tmp_path):
        self._imported(tmp_path, "module_one", self.FIRST)
        with pytest.raises(ComponentError) as refusal:
            self._imported(tmp_path, "module_two", "\n" + self.FIRST)
        for place in ("module_one.py, line 2)", "module_two.py, line 3)", "two components are called 'made_up'"):
            assert place in str(refusal.value)
        assert components.find("made_up").place == ("module_one", 2)

    def test_a_second_one_in_the_same_module_is_refused(self, tmp_path):
        second = self.FIRST.partition("\n")[2]
        with pytest.raises(ComponentError, match="give one of them another name"):
            self._imported(tmp_path, "module_one", self.FIRST + second)

    @pytest.mark.parametrize("edit", ["", "\n\n"])
    def test_a_module_can_be_loaded_again_also_after_an_edit(self, tmp_path, edit):
        module = self._imported(tmp_path, "module_one", self.FIRST)
        earlier = module.made_up
        (tmp_path / "module_one.py").write_text(edit + self.FIRST.replace("return 1", "return 2"))
        importlib.reload(module)
        assert module.made_up(0) == earlier(0) == 2

    def test_a_students_function_stays_in_use_when_a_module_is_loaded_again(self, tmp_path):
        module = self._imported(tmp_path, "module_one", self.FIRST)
        implements("made_up")(lambda x: "mine")
        importlib.reload(module)
        assert module.made_up(0) == "mine"
        components.restore("made_up")
        assert module.made_up(0) == 1

    def test_a_cell_that_marks_a_component_can_be_run_again(self):
        for body in ("return 1", "return 1", "return 2"):
            namespace = {"__name__": "__main__"}
            exec(compile(self.FIRST.replace("return 1", body), f"<{body}>", "exec"), namespace)
        assert namespace["made_up"](0) == 2

    def test_all_marks_of_the_library_differ_in_name(self):
        marks = [mark.name for path in Path("avae_lib").rglob("*.py") for mark in marks_in(path.read_text("utf-8"))]
        assert len(marks) == len(set(marks)) == len(components.listing())
