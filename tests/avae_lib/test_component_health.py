"""One line for each function of the student's that is wrong or slow, and none for the others."""

import dataclasses
import time

import pytest
import torch

from avae_lib import component_health, components
from avae_lib.component_health import watched
from avae_lib.components import using
from avae_lib.data import load as load_data
from avae_lib.gaussians import gaussian_kl_per_layer, reparameterize
from avae_lib.models.vdvae_layers import top_down_step
from avae_lib.nn.bottleneck import bottleneck_block
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.training.fit import fit

UNIT = "05_hierarchical_vae"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return find_preset("digits-vdvae").model.build()


@pytest.fixture
def run(model):
    """A forward and a backward pass, twice: the first calls of PyTorch are slow."""
    x = torch.randint(0, 16, (4, 1, 8, 8), dtype=torch.uint8)
    model(x).bound.mean().backward()
    return lambda: model(x).bound.mean().backward()


def _printed(capsys) -> list[str]:
    return capsys.readouterr().out.splitlines()


def _slow(mean, log_std, noise):
    time.sleep(0.2)
    return _right(mean, log_std, noise)


def _right(mean, log_std, noise):
    return noise * log_std.exp() + mean


def _kl_of_means(q_means, q_log_stds, p_means, p_log_stds):
    return torch.stack([(q - p).square().sum(dim=1) / 2 for q, p in zip(q_means, p_means, strict=True)], dim=1)


@pytest.fixture
def no_body(monkeypatch):
    """As in a student's edition whose unit 05 is still to be written."""

    def make(name):
        monkeypatch.setattr(components.find(name), "has_reference", False)

    return make


def test_nothing_is_said_of_functions_that_work(run, capsys):
    with using("reparameterize", _right), using("top_down_step", top_down_step.__wrapped__), watched(UNIT):
        run()
    assert _printed(capsys) == []


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda mean, log_std, noise: mean + (2 * log_std).exp() * noise + 1, "it differs from the library's by"),
        (lambda mean, log_std, noise: mean / 0 * 0, "it returned NaN for inputs without NaN"),
        (_slow, "times as long as the library's"),
    ],
)
def test_wrong_and_slow_functions_of_units_handed_back(function, words, run, capsys):
    with using("reparameterize", function), watched(UNIT):
        run()
    (line,) = _printed(capsys)
    assert line.startswith("reparameterize: ") and words in line
    assert line.endswith('; components.restore("reparameterize") puts the library\'s own in its place')


def test_a_function_that_raises_is_named_and_the_error_goes_on(run, capsys):
    def broken(q_means, q_log_stds, p_means, p_log_stds):
        raise ZeroDivisionError("no layers")

    step = using("top_down_step", top_down_step.__wrapped__)  # calls the broken one, and is not to blame
    with pytest.raises(ZeroDivisionError), step, using("gaussian_kl_per_layer", broken), watched(UNIT):
        run()
    (line,) = _printed(capsys)
    assert line.startswith("gaussian_kl_per_layer: it raised ZeroDivisionError: no layers; ")


@pytest.mark.parametrize("fault", [lambda kl: kl + 50, lambda kl: kl * float("nan")])
def test_a_fault_is_not_held_against_the_function_that_calls_it(fault, run, capsys):
    def wrong(q_means, q_log_stds, p_means, p_log_stds):
        return fault(gaussian_kl_per_layer.__wrapped__(q_means, q_log_stds, p_means, p_log_stds))

    with using("top_down_step", top_down_step.__wrapped__), using("gaussian_kl_per_layer", wrong), watched(UNIT):
        run()
    assert [line.split(":")[0] for line in _printed(capsys)] == ["gaussian_kl_per_layer"]


def test_for_the_unit_at_work_the_failing_case_of_check_is_named(run, capsys, no_body, monkeypatch):
    def nan(mean, log_std, noise):
        return mean * float("nan")

    no_body("reparameterize")
    with using("reparameterize", nan), watched("03_vae"):
        run()
    (line,) = _printed(capsys)
    assert 'run check("reparameterize") and look at “' in line
    monkeypatch.setattr(component_health, "public_trials", lambda name: ())
    with using("reparameterize", nan), watched("03_vae"):
        run()
    assert _printed(capsys)[0].endswith('check("reparameterize") passes: look at what it is given')


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("gaussian_kl_per_layer", _kl_of_means),
        ("should_skip_update", lambda loss, gradient_norm, threshold: torch.ones((), dtype=torch.bool)),
    ],
)
def test_plausible_results_of_the_unit_at_work_are_held_against_its_cases(name, function, no_body, capsys):
    no_body(name)
    arguments = {
        "gaussian_kl_per_layer": ([torch.zeros(1, 2)], [torch.zeros(1, 2)], [torch.zeros(1, 2)], [torch.zeros(1, 2)]),
        "should_skip_update": (torch.tensor(1.0), torch.tensor(1.0), 2.0),
    }[name]
    with using(name, function), watched(UNIT):
        pass
    assert _printed(capsys) == []  # it was not called
    with using(name, function), watched(UNIT):
        components.find(name).current(*arguments)
    (line,) = _printed(capsys)
    assert line.startswith(f'{name}: one of its cases fails; run check("{name}") and look at “')


def test_for_a_later_unit_the_library_does_without(run, capsys, no_body):
    no_body("reparameterize")
    with using("reparameterize", lambda mean, log_std, noise: mean * float("nan")), watched("00_start_here"):
        run()
    (line,) = _printed(capsys)
    assert line.endswith("takes it out, and the library does with plain code of its own")


def test_functions_gradients_and_kept_files_are_as_before(model, tmp_path):
    saved = tmp_path / "my_components.py"
    saved.write_text(
        "from avae_lib.components import implements\n"
        "@implements('reparameterize')\ndef reparameterize(mean, log_std, noise):\n"
        "    return mean + log_std.exp() * noise\n"
    )
    components.load(saved)
    function = components.implementation("reparameterize")
    with watched(UNIT):
        mean = torch.zeros(3, requires_grad=True)
        reparameterize(mean, torch.zeros(3), torch.ones(3)).sum().backward()
        assert mean.grad.tolist() == [1, 1, 1]
    assert components.implementation("reparameterize") is function
    assert components.find("reparameterize").kept_in == saved
    components.restore()


def test_training_measures_memory_on_shapes_alone_and_nobody_is_blamed(tmp_path, capsys):
    preset = find_preset("digits-vdvae")
    training = derive(preset.training, steps=2, batch_size=4, logging={"evaluation_images": 4})
    experiment = dataclasses.replace(preset, training=training)
    dataset = load_data("digits", validation=150)
    with using("bottleneck_block", _block), watched(UNIT):
        fit(experiment.build_model(), dataset, training, tmp_path)
    printed = capsys.readouterr().out
    assert "bottleneck_block" not in printed and "activations not counted" not in printed


def _block(x, weights, biases, residual):
    return bottleneck_block.__wrapped__(x, weights, biases, residual)


def test_a_function_of_an_iterator_is_run_once_and_gets_every_item(capsys):
    seen = []

    def marginal_log_likelihood(chunks):
        seen.extend(len(chunk) for chunk in chunks)
        return torch.zeros(2)

    with using("marginal_log_likelihood", marginal_log_likelihood), watched("07_evaluation"):
        components.find("marginal_log_likelihood").current(torch.zeros(n, 2) for n in (3, 1))
    assert seen == [3, 1]
    assert _printed(capsys) == []
