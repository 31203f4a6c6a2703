"""The student's side of the capstone: what is handed in can be measured again; what cannot be is refused at home."""

import json
import math
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from avae_lib import capstone
from avae_lib.capstone import claims as claims_module
from avae_lib.capstone import findings, handing_in, home_check
from avae_lib.capstone.rebuilding import weights_bytes
from avae_lib.capstone.weights_header import MalformedFile, read_header, strict_json
from avae_lib.data import DataConfig, load
from avae_lib.evaluation import Estimate, image_log_likelihoods
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.families import FAMILIES, config_from_record, config_to_record
from avae_lib.models.flow_vae import FlowVAEConfig
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.nvae import NVAEConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.models.vq_vae import VQVAEConfig
from avae_lib.training.experiment import Experiment
from avae_lib.training.runs import train_run
from avae_lib.training.training_config import LoggingConfig, TrainingConfig

CONFIG = VDVAEConfig(
    width=8, enc_blocks="32x1,32d8,4x1,4d4,1x1", dec_blocks="1x1,4m1,4x1,32m4", latent_channels=2, mixtures=2
)
ATTENTIVE = AttentiveConfig((3, 32, 32), 8, layers=2, width=12, key_channels=4, blocks=1, image_blocks=0, halvings=3)
CLAIMS = capstone.Claims("photos32", "embedded", "importance-weighted", 6.5, 0.05, 4, 1000, 500, 0.25)


@pytest.fixture(scope="module")
def images():
    return load("photos32").test[:24]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return CONFIG.build().eval()


@pytest.fixture
def files(model):
    """The contents of a hand-in that the grader accepts."""
    record = json.dumps(config_to_record(CONFIG)).encode()
    return {"config.json": record, "weights.safetensors": weights_bytes(model), "report.md": CLAIMS.table().encode()}


# --- claims -----------------------------------------------------------------------------------------------------


def test_claims_survive_being_written_and_read():
    for claims in (CLAIMS, replace(CLAIMS, energy_kwh=0.0125, parameters=1_999_999, hours=1 / 3)):
        read = capstone.read_claims(f"# A model\n\nSome words.\n\n{claims.table()}\nMore words | and a bar.\n")
        assert read == replace(claims, hours=read.hours) and math.isclose(read.hours, claims.hours, rel_tol=1e-9)


def test_rows_may_stand_in_any_order_with_emphasis_and_capitals():
    rows = CLAIMS.table().splitlines()[2:]
    text = "\n".join(reversed(rows)).replace("bits per dimension", "**Bits per dimension**")
    assert capstone.read_claims(text) == CLAIMS


@pytest.mark.parametrize("row", claims_module._ROWS, ids=lambda row: row.name)
def test_a_missing_row_is_named(row):
    text = "\n".join(line for line in CLAIMS.table().splitlines() if not line.startswith(f"| {row.name} "))
    with pytest.raises(capstone.ClaimsError, match=f"no row '{row.name}'"):
        capstone.read_claims(text)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("6.5", "about 6.5", "'bits per dimension' must hold a number"),
        ("6.5", "nan", "must hold a number"),
        ("6.5", "1e999", "must hold a number"),
        ("6.5", "９.5", "must hold a number"),
        ("| 4 |", "| 4.5 |", "'samples' must hold a whole number"),
        ("| 4 |", "| -4 |", "'samples' must hold a whole number"),
        ("| 4 |", "| 4 | 5 |", "'samples' must have two columns"),
        ("importance-weighted", "likelihood", "bound or importance-weighted"),
        ("not measured", "unknown", "or: not measured"),
        ("embedded", "", "'version' must hold a few words"),
        ("embedded", "x" * 300, "'version' must hold a few words"),
        ("| error |", "| samples |", "stands in the report twice"),
    ],
)
def test_a_value_that_is_none_is_named_with_what_was_wanted(old, new, said):
    text = CLAIMS.table()
    assert old in text
    with pytest.raises(capstone.ClaimsError, match=said):
        capstone.read_claims(text.replace(old, new, 1))


def test_all_problems_of_a_table_are_named_at_once():
    with pytest.raises(capstone.ClaimsError) as error:
        capstone.read_claims("# nothing")
    assert len(error.value.problems) == 10


def test_problems_repeat_no_sign_that_a_terminal_obeys():
    with pytest.raises(capstone.ClaimsError) as error:
        capstone.read_claims(CLAIMS.table().replace("6.5", "\x1b[31m\u202e7\x07"))
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data_set": "digits"}, "photos32"),
        ({"bits_per_dim": -1.0}, "above 0"),
        ({"error": 0.0}, "above 0"),
        ({"error": -0.1}, "above 0"),
        ({"error": 5.0}, "nearly every claim"),
        ({"samples": 10_000}, "from 1 to 16"),
        ({"quantity": "bound"}, "1 for the bound"),
        ({"hours": -1.0}, "hours"),
        ({"energy_kwh": -2.0}, "energy"),
    ],
)
def test_claims_that_the_course_does_not_accept_are_refused(change, said):
    assert CLAIMS.refusals() == ()
    (sentence,) = replace(CLAIMS, **change).refusals()
    assert said in sentence


# --- configurations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_survives_being_written_and_read(family):
    try:
        config = FAMILIES[family]()
    except ValueError:
        pytest.skip("has no defaults")
    assert config_from_record(json.loads(json.dumps(config_to_record(config)))) == config


def test_configurations_that_a_run_may_have_are_of_a_known_family():
    from avae_lib.presets import PRESETS

    assert {type(preset.model) for preset in PRESETS.values()} <= set(FAMILIES.values())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"layers": "five"}, "layers must be int"),
        ({"layers": True}, "layers must be int"),
        ({"layers": 2.5}, "layers must be int"),
        ({"layers": None}, "layers must be int"),
        ({"layers": -1}, "layers must be at least 1"),
        ({"image_shape": [3, 32]}, "image_shape must be"),
        ({"image_shape": [3, [32], 32]}, "image_shape must be"),
        ({"image_shape": {"a": 1}}, "image_shape must be"),
        ({"conditioning": "global"}, "conditioning must be"),
        ({"prior_log_std_range": [math.nan, 1.0]}, "prior_log_std_range must be"),
        ({"prior_log_std_range": [-(10**400), 1.0]}, "prior_log_std_range must be"),
        ({"colour": 1}, "no field 'colour'"),
        ([], "fields must be an object"),
    ],
)
def test_a_field_that_is_none_or_of_another_type_is_named(fields, said):
    with pytest.raises(ValueError, match=said):
        config_from_record({"family": "AttentiveConfig", "fields": fields})


@pytest.mark.parametrize("record", [None, [], {}, {"family": "AttentiveConfig"}, {"family": [], "fields": {}}])
def test_what_is_no_configuration_is_a_value_error(record):
    with pytest.raises(ValueError, match="family"):
        config_from_record(record)


# --- measuring --------------------------------------------------------------------------------------------------


def test_measured_numbers_are_those_of_the_library(model, images):
    measured = capstone.measure(model, images, samples=16)
    nats = image_log_likelihoods(model, images, samples=16)
    in_bits = -nats / (3072 * math.log(2))
    assert measured.importance_weighted.mean == pytest.approx(in_bits.mean().item(), abs=0.02)
    assert measured.bound.mean >= measured.importance_weighted.mean
    assert measured.bound.standard_error == pytest.approx(measured.bound_bpd.std().item() / math.sqrt(24))


def test_measuring_repeats_and_leaves_the_random_state_alone(model, images):
    state = torch.get_rng_state()
    first, second = (capstone.measure(model, images[:4], samples=2) for _ in range(2))
    assert torch.equal(first.importance_weighted_bpd, second.importance_weighted_bpd)
    assert torch.equal(torch.get_rng_state(), state)


PHOTOGRAPHS = {"image_shape": [3, 32, 32], "bits": 8, "likelihood": "discretized_logistic"}
OF_FAMILY = {
    "VDVAEConfig": config_to_record(CONFIG)["fields"],
    "InverseLipschitzVAEConfig": {"likelihood": "bernoulli", "bits": 1},  # its images are black and white
    "TextVAEConfig": None,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_models_are_accepted_whose_kl_has_a_closed_form_and_no_others(family, images):
    """A closed form is never negative; an estimate from one draw is, now and then."""
    fields = OF_FAMILY.get(family, {})
    record = {"family": family, "fields": {} if fields is None else PHOTOGRAPHS | fields}
    model = config_from_record(record).build().eval()
    content = json.dumps(record).encode()
    try:
        capstone.rebuild(content, weights_bytes(model))
    except capstone.CapstoneRefused as reason:
        assert any(said in str(reason) for said in ("cannot be handed in", "the images of photos32 have shape")), reason
    else:
        with torch.no_grad():
            assert min(float(model(images[:4]).kl.min()) for _ in range(10)) >= -1e-3
        assert capstone.measure(model, images, samples=2).bound.mean > 0


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"TextVAEConfig", "VQVAEConfig", "VQVAE2Config"}))
def test_weights_hold_nothing_beside_parameters_but_statistics_of_batches(family):
    """What the configuration decides (the masks of a flow) must not come from a stranger's file."""
    model = FAMILIES[family]().build()
    stored = set(model.state_dict()) - {name for name, _ in model.named_parameters()}
    assert all(name.rsplit(".", 1)[1] in ("running_mean", "running_var", "num_batches_tracked") for name in stored)


def rounded_model():
    """Means of 10⁸ in the prior, where float32 has steps of 8, and a prior that is narrower than the posterior."""
    torch.manual_seed(0)
    model = ATTENTIVE.build().eval()
    layer = model.layers[1]
    with torch.no_grad():
        layer.prior[-1].bias[: ATTENTIVE.latent_channels] = 1e8
        layer.prior[-1].bias[ATTENTIVE.latent_channels :] = -4.9
        layer.posterior.bias[ATTENTIVE.latent_channels :] = 4.0
    return model


def test_a_model_whose_latents_are_rounded_away_is_refused(images):
    """log p(z) − log q(z) of such a model is far above 0 in each draw, though its mean must be −KL."""
    model = rounded_model()
    with pytest.raises(capstone.NotMeasurable, match="draws are rounded"):
        capstone.measure(model, images, samples=2)
    with torch.no_grad():
        _, latents = model._infer(images[:4])
    assert float(latents[1].kl().min()) > 0
    assert float(latents[1].log_ratio().min()) > 50, "nats that came from nowhere"


def test_a_bound_and_importance_weights_that_disagree_are_refused(model, images, monkeypatch):
    honest = model.log_weight
    monkeypatch.setattr(type(model), "log_weight", lambda self, x: honest(x) + 300.0)
    with pytest.raises(capstone.NotMeasurable, match="better than the bound from the KL"):
        capstone.measure(model, images, samples=2)


def test_a_posterior_narrower_than_rounding_costs_nobody_anything(images):
    """Early in training standard deviations may fall below the steps of float32: that is no fraud, it is expensive."""
    torch.manual_seed(0)
    model = VAEConfig((3, 32, 32), 8, latent_dim=4, hidden_sizes=(8,), likelihood="discretized_logistic").build()
    with torch.no_grad():
        model.encoder[-1].bias[:4], model.encoder[-1].bias[4:] = 3.0, -18.0
    measured = capstone.measure(model, images, samples=4)
    assert float((measured.bound_bpd - measured.importance_weighted_bpd).abs().max()) < 0.1


# --- files ------------------------------------------------------------------------------------------------------


def test_what_is_handed_in_gives_the_same_model_again(tmp_path, model, images):
    claims = replace(CLAIMS, parameters=capstone.trained_numbers(model))
    written = capstone.hand_in(tmp_path / "new", model, claims, "# My model\n\nIt is small.", CONFIG)
    assert [path.name for path in written] == list(capstone.FILES)
    contents = handing_in.read_files(tmp_path / "new")
    again = capstone.rebuild(contents["config.json"], contents["weights.safetensors"])
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    assert capstone.read_claims(contents["report.md"].decode()) == claims


def test_weights_in_float16_are_taken_in_float32(files, model):
    halves = safetensors.torch.save({name: value.half() for name, value in model.state_dict().items()})
    again = capstone.rebuild(files["config.json"], halves)
    assert {value.dtype for value in again.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (VQVAEConfig(), "no density"),
        (NVAEConfig((3, 32, 32), 8, flows=1), "NVAEConfig with flows cannot be handed in"),
        (
            LadderConfig((3, 32, 32), 8, inference="bottom_up", likelihood="discretized_logistic"),
            "LadderConfig with bottom_up inference cannot",
        ),
        (FlowVAEConfig(), "no closed form"),
        (VAEConfig(), "the images of photos32 have shape"),
    ],
)
def test_models_that_cannot_be_measured_are_refused_before_they_are_built(config, said):
    with pytest.raises(capstone.CapstoneRefused, match=said):
        capstone.rebuild(json.dumps(config_to_record(config)).encode(), b"")


def test_a_refused_hand_in_writes_nothing_and_says_what_the_grader_says(tmp_path, model):
    with pytest.raises(capstone.CapstoneRefused, match=r"report\.md: error must be at most"):
        capstone.hand_in(tmp_path / "new", model, replace(CLAIMS, error=3.0), "text", CONFIG)
    assert not (tmp_path / "new").exists()


def test_a_model_in_memory_needs_its_configuration(tmp_path, model):
    with pytest.raises(capstone.CapstoneRefused, match="config is missing"):
        capstone.hand_in(tmp_path, model, CLAIMS, "text")


@pytest.mark.parametrize("name", capstone.FILES)
def test_a_missing_or_endless_file_is_named(files, name):
    rest = {other: content for other, content in files.items() if other != name}
    with pytest.raises(capstone.CapstoneRefused, match=f"{name} is missing"):
        handing_in.require_accepted(rest)
    with pytest.raises(capstone.CapstoneRefused, match=f"{name} has 20,000,000 bytes, more than"):
        handing_in.require_accepted({**files, name: bytes(20_000_000)})


def test_headers_cover_every_byte_of_what_safetensors_writes():
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros((), dtype=torch.int64), "empty": torch.zeros(0, 4)}
    assert {name: tensor.shape for name, tensor in read_header(safetensors.torch.save(tensors)).items()} == {
        name: tuple(tensor.shape) for name, tensor in tensors.items()
    }


@pytest.mark.parametrize(
    "text", ["{", '{"a": 1, "a": 2}', "NaN", "[1e999]", "[-Infinity]", "9" * 100, "[" * 100_000, "\xff", ""]
)
def test_json_that_is_none_is_refused(text):
    with pytest.raises(MalformedFile):
        strict_json(text.encode("latin-1"))


# --- what is found ----------------------------------------------------------------------------------------------


def test_a_claim_reproduces_within_its_error_and_no_further():
    measured = torch.tensor([6.4, 6.6], dtype=torch.float64)
    assert findings.claim_reproduces(CLAIMS, measured).passed
    overstated = findings.claim_reproduces(replace(CLAIMS, bits_per_dim=6.2), measured)
    assert not overstated.passed and "0.3 bits per dimension better than the model, 6 times" in overstated.sentence
    understated = findings.claim_reproduces(replace(CLAIMS, bits_per_dim=6.8), measured)
    assert not understated.passed and "worse than the model" in understated.sentence


def test_elsewhere_a_claim_may_be_too_modest_but_not_too_good():
    assert findings.claim_holds_elsewhere(CLAIMS, Estimate(6.6, 0.05)).passed
    assert findings.claim_holds_elsewhere(CLAIMS, Estimate(6.0, 0.01)).passed
    found = findings.claim_holds_elsewhere(CLAIMS, Estimate(6.9, 0.05))
    assert not found.passed and "too good by 0.4" in found.sentence


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"updates": 10**6}, "updates 1,000,000 of at most 20,000"),
        ({"hours": 40.0}, "hours 40 of at most 1"),
        ({"parameters": 999}, "you claim 999 parameters, the model has 1,000"),
    ],
)
def test_the_budget_is_kept_or_said_by_how_much_not(change, said):
    found = findings.keeps_budget(replace(CLAIMS, **change), 1000, 4000)
    assert found.passed == (not said) and said in found.sentence


def test_improvement_is_measured_against_the_baseline_and_not_claimed(monkeypatch):
    monkeypatch.setattr(findings, "baseline", lambda quantity="bound": Estimate(5.0, 0.05))
    assert findings.improvement(Estimate(4.7, 0.05), 0.25).passed
    assert not findings.improvement(Estimate(4.8, 0.05), 0.25).passed
    assert "1.000 bits per dimension worse" in findings.improvement(Estimate(6.0, 0.1)).sentence


def test_the_home_check_says_what_the_grader_will(tmp_path, files, images, monkeypatch, capsys):
    monkeypatch.setattr("avae_lib.capstone.measuring.public_images", lambda: images[:8])
    monkeypatch.setattr(findings, "baseline", lambda quantity="bound": Estimate(5.0, 0.05))
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert not home_check.check("numbers", tmp_path)
    assert "measured were" in capsys.readouterr().out
    assert not home_check.check("budget", tmp_path)
    assert "you claim 1,000 parameters" in capsys.readouterr().out
    assert not home_check.check("baseline", tmp_path)
    assert "worse than the baseline's" in capsys.readouterr().out
    (tmp_path / "weights.safetensors").unlink()
    assert not home_check.check("numbers", tmp_path)
    assert "weights.safetensors is missing" in capsys.readouterr().out


def test_a_run_is_handed_in_with_claims_that_its_files_bear_out(tmp_path, images):
    training = TrainingConfig(
        steps=2, batch_size=2, logging=LoggingConfig(evaluate_every=2, evaluation_images=2), device="cpu", compile=False
    )
    experiment = Experiment("mine", "my own", DataConfig("photos32"), CONFIG, training)
    model = train_run(experiment, tmp_path / "run").model
    measured = capstone.measure(model, images, samples=2)
    for quantity, samples in (("bound", 1), ("importance-weighted", 2)):
        claims = capstone.claims_of_run(tmp_path / "run", measured, quantity, "embedded")
        assert (claims.data_set, claims.updates, claims.samples) == ("photos32", 2, samples)
        assert claims.parameters == capstone.trained_numbers(model)
    claims = replace(claims, error=min(claims.error, 0.1))
    capstone.hand_in(tmp_path / "work", tmp_path / "run", claims, "# Mine")
    contents = handing_in.read_files(tmp_path / "work")
    again, read = handing_in.require_accepted(contents)
    assert read == claims
    repeated = capstone.measure(again, images, samples=2).importance_weighted
    assert repeated.mean == pytest.approx(measured.importance_weighted.mean, abs=1e-6)
