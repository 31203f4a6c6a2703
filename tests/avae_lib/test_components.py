"""The seam between the library, the student and the grader."""

import timeit

import pytest
import torch

from avae_lib import components
from avae_lib.components import ComponentError, implements, marks_in, using
from avae_lib.gaussians import DiagonalGaussian, reparameterize
from avae_lib.models.vae import VAEConfig
from avae_lib.objectives import importance_weighted_bound, negative_elbo
from avae_lib.training.vae_step import vae_training_step

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
