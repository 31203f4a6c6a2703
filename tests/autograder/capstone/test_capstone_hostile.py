"""Capstones of somebody who means harm: each costs its own points, says why, and touches nothing else."""

import base64
import itertools
import json
import os
import pickle
import random
import re
import struct
import time
from dataclasses import replace

import nbformat
import pytest
import safetensors.torch
import torch

from autograder.authoring.student_edition import write_student_edition
from autograder.batch.class_run import ClassRun
from autograder.capstone import held_out
from autograder.capstone import judge_capstone as judging
from autograder.capstone import measure_in_sandbox as sandboxed
from autograder.capstone.files import CapstoneWork, read_capstone
from autograder.capstone.held_out import draw_held_out
from autograder.capstone.judge_capstone import judge_capstone
from autograder.checks.capstone import POINTS
from autograder.course.course import Course
from autograder.feedback.class_feedback import write_feedback
from avae_lib import capstone
from avae_lib.capstone import BUDGET, Claims, findings
from avae_lib.capstone.measuring_apart import images_to_json, measured_apart
from avae_lib.capstone.rebuilding import weights_bytes
from avae_lib.data import load
from avae_lib.evaluation import Estimate
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.families import config_to_record
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.nn.output_heads import output_head

CONFIG = VAEConfig((3, 32, 32), 8, latent_dim=4, hidden_sizes=(16,), likelihood="discretized_logistic")
RECORD = config_to_record(CONFIG)
UNIT = "08_capstone"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return CONFIG.build().eval()


@pytest.fixture(scope="module")
def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def good(model):
    """Weights that fit the configuration."""
    return weights_bytes(model)


def config(**fields) -> bytes:
    return json.dumps({**RECORD, "fields": RECORD["fields"] | fields}).encode()


def of(built, **fields) -> bytes:
    record = config_to_record(built)
    return json.dumps({**record, "fields": record["fields"] | fields}).encode()


def with_header(weights: bytes, change) -> bytes:
    """The file with another header, which ``change`` makes of the true one."""
    length = int.from_bytes(weights[:8], "little")
    header = change(json.loads(weights[8 : 8 + length]))
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + weights[8 + length :]


def refused(contents: bytes, weights: bytes) -> str:
    """Why the rebuilding refuses two files; it must do so, and quickly."""
    started = time.process_time()
    with pytest.raises(capstone.CapstoneRefused) as error:
        capstone.rebuild(contents, weights)
    assert time.process_time() - started < 5
    return str(error.value)


# --- configurations ---------------------------------------------------------------------------------------------

DEEP = VDVAEConfig(width=8, enc_blocks="32x1,32d32,1x1", dec_blocks="1x1,32m1", latent_channels=1)
ATTENTIVE = AttentiveConfig((3, 32, 32), 8, layers=2, width=12, key_channels=4, blocks=1, image_blocks=0, halvings=3)
CONFIGS = {
    "10¹² parameters in one field": (config(hidden_sizes=[10**6, 10**6]), "beyond 100,000"),
    "10¹⁰ parameters of moderate fields": (config(hidden_sizes=[100_000, 100_000]), "more than 8,000,000 parameters"),
    "a million layers": (of(ATTENTIVE, layers=10**6), "beyond 100,000"),
    "more parts than a machine holds": (of(ATTENTIVE, layers=99_999), "more than"),
    "a million blocks in a text": (of(DEEP, dec_blocks="1x1000000,32m1"), "more than 4 digits"),
    "9,999 blocks in a text": (of(DEEP, dec_blocks="1x9999,32m1"), "more than"),
    "an endless text": (of(DEEP, enc_blocks="32x1," * 1000), "characters, more than 300"),
    "an endless list": (config(hidden_sizes=[1] * 1000), "1000 entries"),
    "a number of a thousand digits": (config(latent_dim=7).replace(b": 7", b": " + b"7" * 1000), "1000 digits"),
    "infinity": (config(latent_dim=7).replace(b": 7", b": 1e999"), "no finite float"),
    "NaN": (config(latent_dim=7).replace(b": 7", b": NaN"), "NaN, which is no JSON"),
    "a key twice": (b'{"family": "VAEConfig", "family": "IWAEConfig", "fields": {}}', "a key twice"),
    "deep nesting": (b'{"family": ' + b"[" * 7000 + b"]" * 7000 + b"}", "nested too deeply"),
    "nested fields": (config(hidden_sizes=[[16]]), "is nested"),
    "no JSON": (b"import os; os.system('true')", "it is no JSON"),
    "no text": (b"\xff\xfe\x00", "not UTF-8"),
    "nothing": (b"", "it is no JSON"),
    "a list": (b"[]", "family"),
    "a class of ours that is no model": (b'{"family": "TrainingConfig", "fields": {}}', "family must be one of"),
    "a dotted name": (b'{"family": "os.system", "fields": {}}', "family must be one of"),
    "images of another shape": (config(image_shape=[3, 4096, 4096]), "have shape"),
    "no size at all": (config(hidden_sizes=[]), "hidden_sizes"),
    "negative sizes": (config(latent_dim=-4), "latent_dim"),
    "a likelihood that there is not": (config(likelihood="__import__"), "likelihood"),
    "a likelihood of five bits for eight": (of(DEEP, likelihood="released_five_bits"), "likelihood must be one of"),
    "a likelihood whose levels overlap": (of(ATTENTIVE, faithful=True), "faithful must be false"),
    "control signs": (config(likelihood="\x1b[31m"), "likelihood"),
    "halvings that leave nothing": (of(ATTENTIVE, halvings=99_999), "halvings"),
    "a fraction of a channel": (of(DEEP, bottleneck_multiple=1e-6), "bottleneck_multiple"),
}


@pytest.mark.parametrize("what", CONFIGS)
def test_a_configuration_is_refused_that_asks_for(what, good):
    content, said = CONFIGS[what]
    reason = refused(content, good)
    assert said in reason and len(reason) < 500


@pytest.mark.parametrize("field", [name for name in RECORD["fields"]])
@pytest.mark.parametrize("value", [None, True, -1, 0, 2**63, 1.5, "x", [], {}, [[]], [None], "1" * 50])
def test_whatever_stands_in_a_field_is_refused_in_words_or_makes_a_model(field, value, good):
    try:
        capstone.rebuild(config(**{field: value}), good)
    except capstone.CapstoneRefused as reason:
        assert str(reason)


# --- weights ----------------------------------------------------------------------------------------------------


def first(change):
    """A change of the header's entry of one tensor."""

    def changed(header):
        name = min(name for name in header if name != "__metadata__")
        return {**header, name: header[name] | change(header[name])}

    return changed


LIES = {
    "a larger shape": first(lambda entry: {"shape": [10**6, 10**6]}),
    "a larger shape with bytes": first(lambda entry: {"shape": [10**6], "data_offsets": [0, 4 * 10**6]}),
    "a negative shape": first(lambda entry: {"shape": [-1, -4]}),
    "a fraction for a shape": first(lambda entry: {"shape": [1.5]}),
    "a shape of many dimensions": first(lambda entry: {"shape": [1] * 100}),
    "another type": first(lambda entry: {"dtype": "F64"}),
    "a type that there is not": first(lambda entry: {"dtype": ["F32"]}),
    "bytes before the file": first(lambda entry: {"data_offsets": [-8, 8]}),
    "no bytes": first(lambda entry: {"data_offsets": None}),
    "bytes of another tensor": first(lambda entry: {"data_offsets": [4, entry["data_offsets"][1] + 4]}),
    "an entry too many": first(lambda entry: {"code": "x"}),
    "metadata in a list": lambda header: {**header, "__metadata__": [1]},
    "metadata that is no text": lambda header: {**header, "__metadata__": {"a": 1}},
    "a list": lambda header: [],
    "nothing": lambda header: {},
    "a name twice": lambda header: b'{"a": 1, "a": 2}',
    "a number of a thousand digits": lambda header: b'{"a": ' + b"9" * 1000 + b"}",
    "deep nesting": lambda header: b'{"a": ' + b"[" * 50_000,
    "no JSON": lambda header: b"{pickle}",
    "a strange name": lambda header: {"\u202e": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}, **header},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_is_refused_that_holds(lie, good):
    assert refused(config(), with_header(good, LIES[lie])).startswith("weights.safetensors: ")


def test_a_header_longer_than_the_file_or_than_any_header_is_refused(good):
    assert "cut off" in refused(config(), struct.pack("<Q", 10**6) + good[8:])
    assert "more than 1,048,576" in refused(config(), struct.pack("<Q", 2**63) + good[8:])


@pytest.mark.parametrize("size", [0, 4, 8, 20, 500, -4, -1])
def test_truncated_weights_are_refused(size, good):
    assert "weights.safetensors" in refused(config(), good[:size])


def test_bytes_that_belong_to_no_tensor_are_refused(good):
    assert "belong to no tensor" in refused(config(), good + b"import os")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_weights_that_are_not_finite_or_absurd_are_refused(value, state):
    name = next(iter(state))
    changed = state | {name: state[name].clone().fill_(value)}
    assert name in refused(config(), safetensors.torch.save(changed))


def test_a_pickle_under_another_name_is_refused_and_not_opened(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "opened"),)

    torch.save({"a": Harm()}, tmp_path / "zipped")
    for content in (pickle.dumps(Harm()), (tmp_path / "zipped").read_bytes()):
        assert "is no .safetensors file" in refused(config(), content)
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int8, torch.complex64, torch.bool])
def test_weights_of_other_types_are_refused(dtype, state):
    assert "must be float32 or float16" in refused(
        config(), safetensors.torch.save({name: value.to(dtype) for name, value in state.items()})
    )


def test_integers_in_place_of_weights_are_refused(state):
    integers = {name: value.to(torch.int64) for name, value in state.items()}
    assert "does not fit" in refused(config(), safetensors.torch.save(integers))


def test_weights_with_a_tensor_too_many_or_too_few_are_refused(state):
    images = {"test_images": torch.zeros(10)}
    assert "has test_images, which the model" in refused(config(), safetensors.torch.save(state | images))
    name = min(state)
    rest = {other: value for other, value in state.items() if other != name}
    assert f"lacks {name}, which the model" in refused(config(), safetensors.torch.save(rest))


def test_test_images_in_the_weights_of_another_architecture_are_refused(state):
    """350 test images would fit into the budget, but no shape of the configured model is theirs."""
    images = load("photos32").test[:100].flatten(1).half()
    stolen = state | {name: images.clone() for name, value in state.items() if value.ndim == 2}
    assert "has shape (100, 3072), and the model of config.json needs" in refused(
        config(), safetensors.torch.save(stolen)
    )


def test_no_part_of_the_budget_can_be_hidden_in_fixed_numbers():
    """A model that is far over the budget is refused before it is allocated, whatever the numbers are for."""
    sizes = {"latent_dims": (4000, 4000), "hidden_sizes": (4000, 4000)}
    wide = LadderConfig((3, 32, 32), 8, likelihood="discretized_logistic", **sizes)
    assert "the budget is 2,000,000" in refused(of(wide), b"")


SIZES = (0.0, 1.0, -1.0, 30.0, -30.0, 1e4, -1e4, 1e8, -1e8, 1e20, -1e20, 3e38, -3e38, 0.0039, 0.9961, 1.0039)


def test_no_weights_make_more_of_a_pixel_than_a_probability():
    """The numbers before the likelihood are the student's to choose: all levels together never exceed 1."""
    head = output_head("discretized_logistic", 3, 1, 8, projection=lambda *_: torch.nn.Identity())
    levels = torch.arange(256, dtype=torch.uint8).reshape(256, 1, 1, 1)
    for numbers in itertools.product(SIZES, repeat=3):
        log_probs = head.log_likelihood(torch.tensor(numbers).reshape(1, 3, 1, 1).expand(256, 3, 1, 1), levels)
        assert not float(log_probs.double().logsumexp(0)) > 1e-3, numbers


def test_no_weights_make_more_of_three_colours_than_a_probability():
    head = output_head("discretized_logistic_mixture", 10, 3, 8, projection=lambda *_: torch.nn.Identity())
    draw = random.Random(0)
    green, blue = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    for _ in range(40):
        red = torch.full_like(green, draw.randrange(256))
        x = torch.stack([red, green, blue], dim=-1).reshape(-1, 3, 1, 1).to(torch.uint8)
        numbers = torch.tensor(draw.choices(SIZES, k=10)).reshape(1, 10, 1, 1).expand(len(x), 10, 1, 1)
        assert not float(head.log_likelihood(numbers, x).double().logsumexp(0)) > 1e-3, "more than 1 of one red"


# --- claims -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", list("\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"))
def test_a_sign_that_ends_no_row_on_a_page_ends_none_for_the_grader(sign):
    """A reader sees 4.93; it must not be read as 4."""
    table = Claims("photos32", "embedded", "bound", 4.93, 0.06, 1, 195_684, 8_400, 0.4).table()
    with pytest.raises(capstone.ClaimsError, match=r"'bits per dimension' must hold a number"):
        capstone.read_claims(table.replace("4.93", f"4{sign}.93"))


# --- chance -----------------------------------------------------------------------------------------------------


def knows_the_noise(seed: int, images: int = 32, latents: int = 128, scale: float = 1000.0):
    """A VAE that tells the brightness of an image in its first latent, for no KL, if draws begin with this seed.

    Its decoder holds the noise of each place in the measurement, recognises it by the other latents, and takes it off.
    """
    config = VAEConfig((3, 32, 32), 8, latents, (2, 2 * images + 2), likelihood="discretized_logistic")
    model, generator = config.build().eval(), torch.Generator().manual_seed(seed)
    noise = torch.cat([torch.randn(16, latents, generator=generator) for _ in range(images // 16)])
    signs = torch.tensor([1.0, -1.0])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        first, second, last = (model.encoder[index].weight for index in (0, 2, 4))
        first.copy_(signs[:, None] / model.num_dims), second[:2].copy_(torch.eye(2)), last[0, :2].copy_(signs / scale)
        recognise, take_off = model.decoder[0], model.decoder[2]
        recognise.weight[:-2] = (20 * noise / noise.square().sum(1, keepdim=True)).repeat(2, 1)
        recognise.bias[:-2] = -torch.tensor([12.0, 13.0]).repeat_interleave(images)  # the difference of two is 0 or 1
        recognise.weight[-2:, 0] = signs
        of_noise = torch.cat([-noise[:, 0], noise[:, 0], signs])
        take_off.weight.copy_(scale * signs[:, None] * of_noise)
        mean = model.head.projection.weight.view(3, -1, 2)[1]
        mean.copy_(signs.expand_as(mean))
        model.head.projection.bias.view(3, -1)[2] = -1.0
    return model


def test_a_decoder_that_knows_the_noise_knows_the_image_and_pays_nothing():
    """Why the grader's seed must not be known: the same model is worthless with any other."""
    images, model = capstone.public_images()[:32], knows_the_noise(seed=0)
    known, unknown = (capstone.measure(model, images, samples=1, seed=seed).bound for seed in (0, 1))
    assert known.mean < 8 < 100 < unknown.mean


def test_draws_follow_from_the_secret_and_from_what_is_handed_in(monkeypatch, good):
    files = {"config.json": config(), "weights.safetensors": good, "report.md": b"# Mine"}
    seeds = []

    def refused_after_a_look(contents, weights, images, samples, seed, *place):
        seeds.append(seed)
        raise sandboxed.NoNumbers("seen enough")

    monkeypatch.setattr(judging, "measure_in_sandbox", refused_after_a_look)
    monkeypatch.setattr(findings, "baseline", lambda quantity="bound": Estimate(5.0, 0.05))
    other_report = files | {"report.md": b"# Ours"}
    works = [CapstoneWork(files, {}, 8), CapstoneWork(files, {}, 9), CapstoneWork(other_report, {}, 8)]
    for work in [*works, works[0]]:
        judge_capstone(work, edition=None)
    assert len(set(seeds[:3])) == 3 and seeds[3] == seeds[0] and 0 not in seeds


def test_the_seed_reaches_the_measurement(good):
    images = {"public": images_to_json(capstone.public_images()[:4])}
    arguments = [base64.b64encode(content).decode() for content in (config(latent_dim=4), good)]
    one, same, other = (measured_apart(*arguments, images, 1, seed=seed) for seed in (1, 1, 2))
    assert one == same and one["measured"] != other["measured"]


@pytest.mark.parametrize("bad", [[0], range(0, 350, 7), range(175)])
def test_being_very_bad_on_some_public_images_is_no_gamble(bad):
    """With held-out images near a part of the public ones only, the estimate would be off by 1000 · luck."""
    drawn = draw_held_out(seed=5)
    public = torch.full((350,), 5.0, dtype=torch.float64)
    public[list(bad)] = 1000.0
    elsewhere = torch.full((len(drawn.images),), 5.0, dtype=torch.float64)
    assert drawn.estimate(public, elsewhere, "bound", 1).mean == pytest.approx(5.0)


# --- what comes out of the sandbox ------------------------------------------------------------------------------

TRUE = {"parameters": 5, "measured": {"public": {"bound": [4.0, 5.0], "importance-weighted": [4.0, 5.0]}}}
FORGED = {
    "nothing": None,
    "a list": [],
    "a number as text": TRUE | {"parameters": "5"},
    "truth for a number": TRUE | {"parameters": True},
    "a negative count": TRUE | {"parameters": -1},
    "another set": TRUE | {"measured": {"hidden": {}}},
    "an image too few": TRUE | {"measured": {"public": {"bound": [4.0], "importance-weighted": [4.0]}}},
    "whole numbers": TRUE | {"measured": {"public": {"bound": [4, 5], "importance-weighted": [4, 5]}}},
    "zero": TRUE | {"measured": {"public": {"bound": [0.0, 0.0], "importance-weighted": [0.0, 0.0]}}},
    "less than nothing": TRUE | {"measured": {"public": {"bound": [-9.0, -9.0], "importance-weighted": [-9.0, -9.0]}}},
    "text": TRUE | {"measured": {"public": "4.0"}},
    "a reason that is none": {"refused": ["because"]},
}


@pytest.mark.parametrize("what", FORGED)
def test_what_comes_out_of_the_sandbox_is_no_measurement_if_it_is(what):
    assert sandboxed._read(TRUE, {"public": 2}).parameters == 5
    with pytest.raises(sandboxed.NoNumbers, match="did not return a measurement"):
        sandboxed._read(FORGED[what], {"public": 2})


def test_a_reason_from_the_sandbox_is_one_printable_line():
    with pytest.raises(sandboxed.NoNumbers) as error:
        sandboxed._read({"refused": "a\x1b[31m\n\u202e" + "x" * 10_000}, {})
    assert str(error.value).isprintable() and len(str(error.value)) <= 500


# --- the sandbox ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def edition(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edition")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    write_student_edition(folder, ["00_start_here", "01_kl_divergence", "02_mean_field", "03_vae", "07_evaluation"])
    return folder


def judged(work: CapstoneWork, edition, **limits) -> tuple[float, str, bool]:
    """All points, the first diagnosis, and whether time or a crash had a say."""
    verdict = judge_capstone(work, edition, limits=replace(sandboxed.LIMITS, **limits))
    points = sum(component.points for component in verdict.components)
    return points, verdict.components[0].cases[0].diagnosis, verdict.had_losses


def test_a_model_that_is_too_slow_ends_alone(edition, monkeypatch):
    """Padding multiplies the pixels, and few parameters."""
    monkeypatch.setattr(findings, "baseline", lambda quantity="bound": Estimate(5.0, 0.05))
    record = replace(ATTENTIVE, padding=60, halvings=0, width=8, key_channels=8)
    contents = {"config.json": of(record), "weights.safetensors": weights_bytes(record.build()), "report.md": b""}
    points, diagnosis, was_lost = judged(CapstoneWork(contents, {}), edition, ask_seconds=0.5)
    assert points == 0 and was_lost
    assert "your model took longer than 0.5 s" in diagnosis


# --- folders ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, good):
    folder = tmp_path / "work"
    folder.mkdir()
    for name, content in (("config.json", config()), ("weights.safetensors", good), ("report.md", b"# Mine")):
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", capstone.FILES)
def test_links_pipes_folders_and_endless_files_are_not_read(folder, name):
    path = folder / name
    for make, said in (
        (lambda: path.symlink_to("/etc/passwd"), "symbolic link"),
        (lambda: path.symlink_to("/dev/zero"), "symbolic link"),
        (lambda: os.mkfifo(path), "is not a regular file"),
        (lambda: path.mkdir(), "is not a regular file"),
        (lambda: (path.touch(), os.truncate(path, 2**40)), "more than the"),
    ):
        path.unlink()
        make()
        work = read_capstone(folder, seed=0)
        assert said in work.troubles[name] and name not in work.contents
        assert set(work.contents) | {name} == set(capstone.FILES)
        path.rmdir() if path.is_dir() and not path.is_symlink() else None
        path.touch()


def test_a_missing_file_is_named_with_what_writes_it(folder):
    (folder / "config.json").unlink()
    assert read_capstone(folder, seed=0).troubles == {
        "config.json": "config.json is missing: capstone.hand_in writes it"
    }


# --- a class ----------------------------------------------------------------------------------------------------

EVIL_REPORT = "# <script>alert(1)</script>\n\n[me](javascript:alert(1)) \x1b[31m![x](http://x/y.png)\n\n"


def released():
    def label(grade_id, **facts):
        return {
            "nbgrader": {
                "grade_id": grade_id,
                "schema_version": 3,
                "grade": False,
                "solution": False,
                "locked": False,
                **facts,
            }
        }

    code, text = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    cells = [
        text("# Capstone", id="title"),
        code("# YOUR CODE HERE", id="train", metadata=label("train", solution=True)),
        *(
            code(
                f'capstone.check("{name}")',
                id=f"check_{name}",
                metadata=label(f"check_{name}", grade=True, locked=True, points=points),
            )
            for name, points in POINTS.items()
        ),
        text("YOUR ANSWER HERE", id="question_1", metadata=label("question_1", solution=True, grade=True, points=4)),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.nbformat_minor = 5
    return notebook


@pytest.fixture
def course(tmp_path):
    root = tmp_path / "course"
    (root / "assignments" / UNIT).mkdir(parents=True)
    units = "".join(
        f'[[units]]\nname = "{name}"\ntitle = "{name}"\nweight = 20\n' for name in ("03_vae", "07_evaluation")
    )
    units += f'[[units]]\nname = "{UNIT}"\ntitle = "Capstone"\nweight = 60\nkind = "capstone"\n'
    (root / "course.toml").write_text(f'title = "C"\nbranch = "main"\n{units}')
    nbformat.write(released(), root / "assignments" / UNIT / f"{UNIT}.ipynb")
    (root / ".course").mkdir()
    (root / ".course" / "secret").write_text("7e" * 32)  # the same draws and held-out crops in every run of the tests
    return Course.load(root)


def hand_in(course, student, files, notebook=True):
    folder = course.submitted / student / UNIT
    folder.mkdir(parents=True)
    if notebook:
        filled = released()
        filled.cells[1].source = "import os\nos._exit(1)  # nobody runs this"
        filled.cells[-1].source = "Because."
        nbformat.write(filled, folder / f"{UNIT}.ipynb")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def class_of_all_kinds(course, model, good, monkeypatch):
    """Honest and hostile folders; the baseline is one that the honest model beats by the first band and a little."""
    measured = capstone.measure(model, samples=2)
    bound = measured.bound
    beaten = Estimate(bound.mean + BUDGET.bands_bpd[0] + 0.1, 0.05)
    monkeypatch.setattr(findings, "baseline", lambda quantity="bound": beaten)
    everywhere = torch.full((held_out.COUNT,), beaten.mean, dtype=torch.float64)
    monkeypatch.setattr(held_out, "_baseline_on", lambda *_: {"bound": everywhere})
    numbers = round(bound.mean, 4), BUDGET.max_error_bpd  # other draws move an untrained model by some hundredths
    claims = Claims("photos32", "embedded", "bound", *numbers, 1, capstone.trained_numbers(model), 0, 0.0)
    report = f"# Mine\n\n{claims.table()}".encode()
    honest = {"config.json": config(), "weights.safetensors": good, "report.md": report}
    bragging = replace(claims, bits_per_dim=claims.bits_per_dim - 1).table().encode()
    hand_in(course, "ada", honest)
    hand_in(course, "ben", {**honest, "report.md": bragging})
    hand_in(course, "cleo", {"report.md": report})
    hand_in(course, "dora", {**honest, "config.json": config(hidden_sizes=[100_000, 100_000])})
    hand_in(course, "eve", {**honest, "report.md": EVIL_REPORT.encode() + report.replace(b"embedded", b"<b onload=x>")})
    hand_in(course, "finn", {**honest, "weights.safetensors": good[:1000]})
    hand_in(course, "gil", honest, notebook=False)
    pipe = hand_in(course, "hugo", honest) / "weights.safetensors"
    pipe.unlink()
    os.mkfifo(pipe)
    (course.submitted / "ivan").mkdir()
    (course.submitted / "ivan" / UNIT).symlink_to(course.submitted / "ada" / UNIT)
    return honest


def test_a_class_of_honest_and_hostile_capstones_is_graded_whole(
    course, class_of_all_kinds, in_threads, tmp_path, capsys
):
    run = ClassRun(course, course.unit(UNIT), json_file=tmp_path / "results.json", workers=1)
    results = {result.student: result for result in run.grade(open_pool=in_threads)}
    points = {student: result.points for student, result in results.items()}
    honest = 10 + 6 + 5 + 3  # all but the two larger bands
    assert points == {"ada": honest, "ben": honest - 8, "cleo": 0, "dora": 0, "eve": honest, "finn": 0} | dict.fromkeys(
        ("gil", "hugo", "ivan"), 0
    )
    status = {student: result.status for student, result in results.items()}
    assert {student for student, what in status.items() if what == "quarantined"} == {"gil", "ivan"}
    assert all(result.max_points == 30 for result in results.values())
    overstated = results["ben"].components["numbers"].cases[1].diagnosis
    (off,) = re.findall(r"the claim is ([\d.]+) bits per dimension better than the model", overstated)
    assert abs(float(off) - 1) < 0.1
    assert "weights.safetensors is missing" in results["cleo"].components["numbers"].cases[0].diagnosis
    assert "is not a regular file" in results["hugo"].components["numbers"].cases[0].diagnosis
    pages = [path.read_text() for path in write_feedback(course, course.unit(UNIT), tmp_path / "pages")]
    assert len(pages) == 9 and not any("<script" in page or "<b onload" in page for page in pages)
    assert "\x1b" not in capsys.readouterr().out


def test_formgrader_shows_the_report_without_what_a_browser_would_run(course, class_of_all_kinds, in_threads):
    for student in ("ben", "cleo", "dora", "finn", "gil", "hugo", "ivan"):
        path = course.submitted / student
        path.rename(course.root / student)
    ClassRun(course, course.unit(UNIT), workers=1).grade(open_pool=in_threads)
    shown = nbformat.read(course.root / "autograded" / "eve" / UNIT / f"{UNIT}.ipynb", as_version=4)
    nbformat.validate(shown)
    report = shown.cells[-1].source
    assert "bits per dimension" in report and "alert(1)" in report
    assert not any(mark in report for mark in ("<script", "](javascript", "](http", "\x1b"))


def test_capstones_that_were_graded_are_not_graded_again_unless_a_file_changes(
    course, class_of_all_kinds, in_threads, tmp_path, monkeypatch
):
    for student in ("ben", "cleo", "dora", "eve", "finn", "gil", "hugo", "ivan"):
        path = course.submitted / student
        path.rename(tmp_path / student)
    run = ClassRun(course, course.unit(UNIT), workers=1)
    (first,) = run.grade(open_pool=in_threads)
    graded = []

    def watched(job):
        from autograder.judging.grade_submission import grade_submission

        graded.append(job.student)
        return grade_submission(job)

    (again,) = run.grade(watched, open_pool=in_threads)
    assert graded == [] and again.points == first.points
    report = course.submitted / "ada" / UNIT / "report.md"
    report.write_bytes(report.read_bytes().replace(b"| hours | 0 |", b"| hours | 99 |"))
    (changed,) = run.grade(watched, open_pool=in_threads)
    assert graded == ["ada"] and changed.points < first.points
