"""Data larger than memory: arrays in files, of which a run reads what it uses."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from avae_lib.data import BatchSampler, DatasetError, image_arrays, load
from avae_lib.data.mapped_arrays import map_npy, map_npz_member
from avae_lib.models.vae import VAEConfig
from avae_lib.training.checkpoints import Checkpoints
from avae_lib.training.fit import fit
from avae_lib.training.training_config import LoggingConfig, TrainingConfig


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AVAE_DATA", str(tmp_path))
    return tmp_path


def grey(count, seed=0, shape=(1, 4, 4)):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


ARRAYS = {"train": grey(90), "test": grey(20, 1), "train_labels": np.arange(90) % 3, "test_labels": np.arange(20) % 3}


def write_folder(folder, **arrays):
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


@pytest.fixture
def both(data_folder):
    """One set as a file and as a folder."""
    np.savez(data_folder / "whole.npz", **ARRAYS)
    write_folder(data_folder / "mapped", **ARRAYS)
    return data_folder


def test_a_folder_of_arrays_is_the_same_set_as_a_file(both):
    whole, mapped = load("whole", validation=30), load("mapped", validation=30)
    assert mapped.mapped and not whole.mapped
    for name in ("train", "test", "valid", "train_labels", "test_labels", "valid_labels"):
        assert torch.equal(getattr(whole, name), getattr(mapped, name))


def test_holding_out_images_leaves_the_files_as_they_are(both):
    before = (both / "mapped" / "train.npy").read_bytes()
    load("mapped", validation=30)
    assert (both / "mapped" / "train.npy").read_bytes() == before


def test_training_from_files_ends_with_the_same_weights(both, tmp_path):
    logging = LoggingConfig(metrics_every=2, evaluate_every=2, checkpoint_every=4)
    config = TrainingConfig(steps=4, batch_size=40, device="cpu", logging=logging)
    weights, rows = [], []
    for name in ("whole", "mapped"):
        dataset = load(name, validation=30).flipped(horizontal=True).binarized("dynamic")
        torch.manual_seed(1)
        model = VAEConfig((1, 4, 4), latent_dim=2, hidden_sizes=(8,)).build()
        fit(model, dataset, config, tmp_path / f"run {name}", [lambda row, _: rows.append({**row, "seconds": 0})])
        weights.append(Checkpoints(tmp_path / f"run {name}").load()["model"])
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert len(rows) == 8 and rows[:4] == rows[4:]


def test_batches_across_the_end_of_an_epoch_are_the_same(both):
    one, other = (BatchSampler(load(name), batch_size=40, seed=3) for name in ("whole", "mapped"))
    for _ in range(5):
        assert torch.equal(one.draw(), other.draw()) and torch.equal(one.last_indices, other.last_indices)
    assert one.bytes_held == ARRAYS["train"].nbytes and other.bytes_held == 0


def test_validation_images_from_a_file_give_the_same_rows(both, tmp_path):
    rows = []
    np.save(both / "mapped" / "valid.npy", grey(40, 2))
    np.savez(both / "whole.npz", **ARRAYS, valid=grey(40, 2))
    logging = LoggingConfig(metrics_every=2, evaluate_every=2, evaluation_images=25)
    config = TrainingConfig(steps=2, batch_size=40, device="cpu", logging=logging)
    for name in ("whole", "mapped"):
        torch.manual_seed(1)
        model = VAEConfig((1, 4, 4), latent_dim=2, hidden_sizes=(8,)).build()
        dataset = load(name).binarized("threshold")
        fit(model, dataset, config, tmp_path / f"run {name}", [lambda row, _: rows.append({**row, "seconds": 0})])
    assert rows[1]["split"] == "valid" and rows[:2] == rows[2:]


def test_the_first_held_out_images_are_those_of_all(both):
    dataset = load("mapped").binarized("dynamic")
    assert torch.equal(dataset.examples("test", 7), dataset.examples("test")[:7])


READS_A_BATCH = """
from avae_lib.data import BatchSampler, load
def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) / 1024
load("small")
before = held()
sampler = BatchSampler(load("large"), batch_size=16)
for _ in range(20):
    sampler.draw()
load("large").examples("valid", 100).float().mean()
print(held() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_set_is_not_read_whole(data_folder):
    shape = (3, 64, 64)
    write_folder(data_folder / "small", train=grey(2, shape=shape), test=grey(2, shape=shape))
    write_folder(data_folder / "large", test=grey(2, shape=shape))
    for split in ("train", "valid"):  # holes in the files: they take no such room on the disk
        np.lib.format.open_memmap(data_folder / "large" / f"{split}.npy", "w+", np.uint8, (40_000, *shape))[:10] = 100
        assert (data_folder / "large" / f"{split}.npy").stat().st_size > 450 * 2**20
    done = subprocess.run([sys.executable, "-c", READS_A_BATCH], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 60, "420 images of 12 kB, each with the pages around it that the system reads along"


def test_large_files_of_arrays_are_mapped_unless_compressed(data_folder, monkeypatch):
    monkeypatch.setattr(image_arrays, "_LARGE", 100)
    np.savez(data_folder / "plain.npz", **ARRAYS)
    np.savez_compressed(data_folder / "packed.npz", **ARRAYS)
    plain, packed = load("plain"), load("packed")
    assert plain.mapped and not packed.mapped
    assert torch.equal(plain.train, packed.train) and torch.equal(plain.test_labels, packed.test_labels)


def test_maps_are_private(tmp_path):
    np.savez(tmp_path / "both.npz", first=np.arange(4), second=np.arange(6).reshape(2, 3))
    mapped = map_npz_member(tmp_path / "both.npz", "second")
    mapped[0, 0] = 99
    assert np.load(tmp_path / "both.npz")["second"].tolist() == [[0, 1, 2], [3, 4, 5]]
    np.save(tmp_path / "fortran.npy", np.asfortranarray(np.arange(6).reshape(2, 3)))
    with pytest.raises(ValueError, match="C order"):
        map_npy(tmp_path / "fortran.npy")


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"train": grey(6, shape=(8, 8, 3)), "test": grey(2)}, r"channels last: save train\.transpose\(0, 3, 1, 2\)"),
        ({"train": grey(6)[:, 0], "test": grey(2)[:, 0]}, r"grey images, save train\[:, None\]"),
        (
            {"train": grey(6) // 16, "test": grey(2) // 16},
            r"as in images of 4 bits: .*numpy\.save(z\(…, bits=4\)|\(.*bits\.npy., 4\))",
        ),
        ({"train": grey(6) / 255, "test": grey(2)}, r"uint8 pixels, got float64: .*\(255 \* images\)\.round\(\)"),
        ({"train": grey(6).astype(np.int64), "test": grey(2)}, r"got int64: .*images\.astype\(numpy\.uint8\)"),
        ({"train": np.array(["a", "b"]), "test": grey(2)}, r"got <U1: save the pixels themselves"),
        ({"valid": grey(6), "labels": np.arange(6)}, r"no array train and none test; it holds (labels|valid)(.npy)?, "),
    ],
)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_wrong_arrays_are_refused_with_what_came_and_what_to_do(data_folder, arrays, complaint, kind):
    if kind == "file":
        np.savez(data_folder / "mine.npz", **arrays)
    else:
        write_folder(data_folder / "mine", **arrays)
    with pytest.raises(DatasetError, match=complaint):
        load("mine")


def test_a_folder_whose_array_is_cut_short_is_refused(data_folder):
    write_folder(data_folder / "mine", train=grey(50), test=grey(2))
    file = data_folder / "mine" / "train.npy"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r"train\.npy cannot be read as an \.npy file"):
        load("mine")
    file.write_bytes(b"junk")
    with pytest.raises(DatasetError, match=r"train\.npy cannot be read as an \.npy file"):
        load("mine")


@pytest.mark.parametrize("split", ["train", "test", "valid"])
@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (3, 1, 0, 4), (0,)])
def test_a_split_without_images_is_called_empty(data_folder, split, shape):
    arrays = {"train": grey(9), "test": grey(9), split: np.zeros(shape, dtype=np.uint8)}
    np.savez(data_folder / "file.npz", **arrays)
    write_folder(data_folder / "folder", **arrays)
    for name in ("file", "folder"):
        with pytest.raises(DatasetError, match=rf"{split} must hold at least one image.*: save some"):
            load(name)


HUGE = 99_999_999_999_999_999_999


@pytest.mark.parametrize("shape", [(HUGE, 1, 4, 4), (2**61, 1, 4, 4), (2**40, 1, 4, 4), (-5, 1, 4, 4)])
@pytest.mark.parametrize("array", ["train", "valid", "train_labels"])
def test_an_array_of_impossible_size_is_refused(data_folder, array, shape):
    write_folder(data_folder / "folder", **ARRAYS)
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(1440)
    (data_folder / "folder" / f"{array}.npy").write_bytes(content)
    with zipfile.ZipFile(data_folder / "file.npz", "w") as archive:
        for file in (data_folder / "folder").iterdir():
            archive.write(file, file.name)
    for name in ("folder", "file"):
        with pytest.raises(DatasetError, match=r"cannot be read as an .* of plain"):
            load(name)


def test_another_archive_says_what_it_holds(data_folder):
    import zipfile

    with zipfile.ZipFile(data_folder / "mine.npz", "w") as archive:
        archive.writestr("cat.jpg", b"no array")
    with pytest.raises(DatasetError, match=r"no array train and none test; it holds cat\.jpg"):
        load("mine")


def test_files_and_folders_of_one_name(data_folder):
    np.savez(data_folder / "mine.npz", **ARRAYS)
    write_folder(data_folder / "mine", train=grey(5), test=grey(2))
    assert len(load("mine").train) == 90, "the file comes first"


def test_training_data_on_the_host_give_the_same_batches(both):
    dataset = load("whole")
    host, device = (BatchSampler(dataset, 10, seed=1, data_on=place) for place in ("host", "device"))
    assert torch.equal(host.draw(), device.draw())
