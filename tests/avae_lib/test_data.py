"""Data sets: what is found where, what a wrong file says, and in which order batches come."""

import gzip
import struct
from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from avae_lib.data import BatchSampler, DataConfig, DatasetError, ImageDataset, binarize, load


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """An empty AVAE_DATA, an empty cache, and no network: a download fails at once."""
    import torchvision.datasets.mnist

    def unreachable(*args, **kwargs):
        raise RuntimeError("no network in this test")

    monkeypatch.setattr(torchvision.datasets.mnist, "download_and_extract_archive", unreachable)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("AVAE_DATA", str(folder))
    return folder


def grey(count, shape=(1, 4, 5), seed=0, levels=256):
    return np.random.default_rng(seed).integers(0, levels, (count, *shape), dtype=np.uint8)


def write_idx(path, array):
    """An array in the IDX format of the original MNIST files: magic number, sizes, bytes."""
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_torchvision_layout(folder, kind, suffix):
    raw = folder / kind / "raw"
    raw.mkdir(parents=True)
    splits = {"train": (grey(7, (28, 28), 1), np.arange(7) % 10), "t10k": (grey(3, (28, 28), 2), np.arange(3))}
    for split, (images, labels) in splits.items():
        write_idx(raw / f"{split}-images-idx3-ubyte{suffix}", images)
        write_idx(raw / f"{split}-labels-idx1-ubyte{suffix}", labels.astype(np.uint8))
    return splits


def test_digits_are_scikit_learns_images_clipped_to_sixteen_levels_each_exactly_once():
    digits = load("digits")
    images, labels = load_digits(return_X_y=True)
    wanted = Counter((bytes(x), int(y)) for x, y in zip(images.clip(max=15).astype(np.uint8), labels, strict=True))
    pixels, found_labels = torch.cat([digits.train, digits.test]), torch.cat([digits.train_labels, digits.test_labels])
    assert Counter((bytes(x.numpy().ravel()), int(y)) for x, y in zip(pixels, found_labels, strict=True)) == wanted
    assert (len(digits.train), len(digits.test), digits.image_shape, digits.bits) == (1500, 297, (1, 8, 8), 4)


def test_digits_are_shuffled_so_that_both_splits_hold_all_classes_evenly():
    digits = load("digits")
    for labels in (digits.train_labels, digits.test_labels):
        assert (torch.bincount(labels.long(), minlength=10) / len(labels)).sub(0.1).abs().max() < 0.03


def test_npz_of_any_name_gives_its_arrays(data_folder):
    arrays = {"train": grey(6), "test": grey(2, seed=1), "valid": grey(3, seed=2), "train_labels": np.arange(6)}
    np.savez(data_folder / "mine.npz", **arrays)
    dataset = load("mine")
    for key, array in arrays.items():
        assert np.array_equal(getattr(dataset, key).numpy(), array)
    assert dataset.name == "mine" and dataset.bits == 8 and dataset.test_labels is None


@pytest.mark.parametrize(("extra", "levels", "bits"), [({}, 256, 8), ({}, 2, 1), ({"bits": np.int64(5)}, 32, 5)])
def test_bits_of_an_npz_are_stated_or_seen_from_black_and_white_values(data_folder, extra, levels, bits):
    np.savez(data_folder / "mine.npz", train=grey(9, levels=levels), test=grey(2, levels=levels), **extra)
    assert load("mine").bits == bits


def test_npz_of_black_and_white_at_0_and_255_is_of_one_bit(data_folder):
    ink = grey(3000, levels=2)
    np.savez(data_folder / "mine.npz", train=255 * ink, test=255 * ink[:2], valid=255 * ink[2:4])
    dataset = load("mine")
    assert dataset.bits == 1 and np.array_equal(dataset.train.numpy(), ink)
    assert np.array_equal(dataset.valid.numpy(), ink[2:4])


def test_npz_with_one_grey_pixel_is_of_eight_bits(data_folder):
    ink = 255 * grey(3000, levels=2)
    ink[-1, 0, 0, 0] = 7
    np.savez(data_folder / "mine.npz", train=ink, test=ink[:2])
    dataset = load("mine")
    assert dataset.bits == 8 and np.array_equal(dataset.train.numpy(), ink)


def test_results_on_part_of_a_published_set_say_so(data_folder):
    np.savez(data_folder / "cifar10.npz", train=grey(6, (3, 32, 32)), test=grey(2, (3, 32, 32)))
    np.savez(data_folder / "mine.npz", train=grey(6), test=grey(2))
    np.savez(data_folder / "yours.npz", train=grey(6), test=grey(2), version="upside down")
    assert [load(name).title for name in ("cifar10", "mine", "yours")] == [
        "cifar10 (6 + 2 images)",
        "mine",
        "yours (upside down)",
    ]


def test_npz_comes_before_everything_else(data_folder):
    for name in ("digits", "mnist"):
        np.savez(data_folder / f"{name}.npz", train=grey(6), test=grey(2))
        assert len(load(name).train) == 6


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"train": grey(6)}, "no array test"),
        ({"train": grey(6) / 255, "test": grey(2)}, "train must be uint8"),
        ({"train": grey(6), "test": grey(2)[:, 0]}, r"test must be \(N, C, H, W\)"),
        ({"train": grey(6), "test": grey(2, (1, 5, 5))}, "must hold images like train"),
        ({"train": grey(6), "test": grey(0)}, "test must hold at least one image"),
        ({"train": grey(6), "test": grey(2), "train_labels": np.arange(5)}, "one label for each of the 6"),
        ({"train": grey(6), "test": grey(2), "bits": np.int64(4)}, r"below 2\*\*bits = 16"),
        ({"train": grey(6), "test": grey(2), "bits": np.int64(9)}, "from 1 to 8"),
        ({"train": np.array(["a", "b"]), "test": grey(2)}, "mine.npz"),
        ({"train": np.array([{}, ()], dtype=object), "test": grey(2)}, "plain arrays"),
    ],
)
def test_npz_with_wrong_arrays_says_which_and_what_is_wanted(data_folder, arrays, complaint):
    np.savez(data_folder / "mine.npz", **arrays)
    with pytest.raises(DatasetError, match=complaint):
        load("mine")


def changed(path, change):
    np.savez_compressed(path, train=grey(60), test=grey(20))
    path.write_bytes(change(path.read_bytes()))


DAMAGE = {
    "truncated": lambda path: changed(path, lambda content: content[:-200]),
    "bytes changed": lambda path: changed(path, lambda content: content[:300] + b"x" * 64 + content[364:]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("404 not found"),
    "single array": lambda path: np.save(path.open("wb"), grey(6)),
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_npz_is_a_clear_error_that_names_the_file(data_folder, damage):
    DAMAGE[damage](data_folder / "mine.npz")
    with pytest.raises(DatasetError, match=r"mine\.npz cannot be read"):
        load("mine")


@pytest.mark.parametrize(("name", "kind"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
@pytest.mark.parametrize("suffix", [".gz", ""])
def test_idx_files_in_torchvisions_layout_give_their_images_and_labels(data_folder, name, kind, suffix):
    splits = write_torchvision_layout(data_folder, kind, suffix)
    before = sorted(data_folder.rglob("*"))
    dataset = load(name)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = splits[prefix]
        assert np.array_equal(getattr(dataset, split).numpy(), images[:, None])
        assert np.array_equal(getattr(dataset, f"{split}_labels").numpy(), labels)
    assert dataset.bits == 8
    assert sorted(data_folder.rglob("*")) == before, "reading must not write into the user's folder"


@pytest.mark.parametrize(
    "content",
    [b"", gzip.compress(b"\0\0\x08\x03" + bytes(400))[:-9], gzip.compress(b"text")],
    ids=["empty", "cut_short", "not_idx"],
)
def test_damaged_idx_file_is_a_clear_error(data_folder, content):
    write_torchvision_layout(data_folder, "MNIST", ".gz")
    (data_folder / "MNIST/raw/train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(DatasetError, match=r"MNIST/raw/train-images-idx3-ubyte\.gz cannot be read, it is damaged"):
        load("mnist")


def test_download_is_kept_and_used_the_next_time(data_folder, monkeypatch):
    import torchvision.datasets.mnist

    def arrive(url, download_root, filename, md5):
        images = "images" in filename
        array = grey(5, (28, 28)) if images else np.arange(5, dtype=np.uint8)
        write_idx(torchvision.datasets.mnist.Path(download_root) / filename.removesuffix(".gz"), array)

    monkeypatch.setattr(torchvision.datasets.mnist, "Path", type(data_folder), raising=False)
    monkeypatch.setattr(torchvision.datasets.mnist, "download_and_extract_archive", arrive)
    first = load("mnist")
    monkeypatch.setattr(torchvision.datasets.mnist, "download_and_extract_archive", None)
    assert torch.equal(load("mnist").train, first.train)
    assert [path.name for path in data_folder.iterdir()] == ["MNIST"], "nothing half-fetched stays behind"


def test_missing_set_says_where_it_was_looked_for_where_to_get_it_and_what_to_use_instead(data_folder):
    with pytest.raises(DatasetError) as error:
        load("mnist")
    for fact in (
        f"{data_folder}/mnist.npz",
        f"{data_folder}/MNIST/raw/train-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        "https://",
        "'digits'",
        "no network in this test",
    ):
        assert fact in str(error.value)


def test_one_missing_file_of_four_is_named(data_folder):
    write_torchvision_layout(data_folder, "MNIST", ".gz")
    (data_folder / "MNIST/raw/t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetError, match=r"looked for.*raw/t10k-labels-idx1-ubyte\.gz"):
        load("mnist")


def test_unknown_name_lists_the_known_ones_and_suggests_the_nearest(data_folder):
    with pytest.raises(DatasetError, match=r"did you mean 'fashion_mnist'.*photos32, sprites, sentences, mnist"):
        load("fashion-mnist")


@pytest.mark.parametrize("name", ["../mnist", "a/b", "", ".."])
def test_name_is_not_a_path(data_folder, name):
    with pytest.raises(DatasetError, match="plain name"):
        load(name)


def test_dynamic_binarisation_is_white_as_often_as_the_pixel_is_bright():
    levels = torch.arange(16, dtype=torch.uint8).repeat_interleave(20_000).reshape(16, -1)
    drawn = binarize(levels, "dynamic", bits=4, generator=torch.Generator().manual_seed(0))
    assert drawn.dtype == torch.uint8 and set(drawn.unique().tolist()) == {0, 1}
    torch.testing.assert_close(drawn.double().mean(dim=1), torch.arange(16).double() / 15, atol=0.012, rtol=0)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_threshold_keeps_the_brighter_half_of_the_levels(bits):
    levels = torch.arange(2**bits).to(torch.uint8)
    assert binarize(levels, "threshold", bits).tolist() == [0] * 2 ** (bits - 1) + [1] * 2 ** (bits - 1)


def test_unknown_binarisation_lists_the_three():
    with pytest.raises(ValueError, match="none, dynamic, threshold"):
        binarize(torch.zeros(1, dtype=torch.uint8), "dynamik", bits=8)


def test_configured_binarisation_reaches_held_out_pixels_and_is_the_same_each_time():
    dataset = DataConfig("digits", binarize="dynamic").load()
    assert dataset.model_bits == 1 and dataset.bits == 4
    first, second = dataset.pixels("test"), dataset.pixels("test")
    assert torch.equal(first, second) and set(first.unique().tolist()) == {0, 1}
    assert torch.equal(load("digits").pixels("test"), load("digits").test)


def test_a_split_that_is_not_there_is_a_clear_error():
    with pytest.raises(ValueError, match="no 'valid' split"):
        load("digits").pixels("valid")


def levels_of(images):
    return sorted(images.flatten().tolist())


@pytest.mark.parametrize("count", [1, 7, 39])
def test_held_out_images_leave_the_training_images_and_nothing_is_lost(data_folder, count):
    pixels = np.arange(40, dtype=np.uint8).reshape(-1, 1, 1, 1)
    np.savez(data_folder / "mine.npz", train=pixels, test=pixels, train_labels=np.arange(40), bits=8)
    dataset, whole = load("mine", validation=count), load("mine")
    assert (len(dataset.train), len(dataset.valid)) == (40 - count, count)
    assert levels_of(torch.cat([dataset.train, dataset.valid])) == levels_of(whole.train)
    assert dataset.train_labels.tolist() == dataset.train.flatten().tolist(), "each image keeps its label"
    assert torch.equal(dataset.test, whole.test) and whole.valid is None
    assert torch.equal(load("mine", validation=count).valid, dataset.valid), "always the same images"


def test_held_out_images_are_from_everywhere_in_a_sorted_set(data_folder):
    pixels = np.sort(np.arange(1000) % 10).astype(np.uint8).reshape(-1, 1, 1, 1)
    np.savez(data_folder / "sorted.npz", train=pixels, test=pixels, bits=8)
    assert load("sorted", validation=200).valid.unique().tolist() == list(range(10))


def test_a_set_with_validation_images_of_its_own_keeps_them(data_folder):
    np.savez(data_folder / "mine.npz", train=grey(6), test=grey(2, seed=1), valid=grey(3, seed=2))
    dataset = DataConfig("mine", validation=4).load()
    assert len(dataset.train) == 6 and np.array_equal(dataset.valid.numpy(), grey(3, seed=2))


@pytest.mark.parametrize("count", [-1, 6, 7])
def test_holding_out_all_training_images_is_refused(data_folder, count):
    np.savez(data_folder / "mine.npz", train=grey(6), test=grey(2))
    with pytest.raises(DatasetError, match=rf"data\.validation must leave some of the 6 .* of mine, got {count}"):
        load("mine", validation=count)


def numbered(count):
    """A set whose image i is a single pixel of value i, so that batches show which images they hold."""
    pixels = torch.arange(count, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return ImageDataset("numbered", train=pixels, test=pixels)


def drawn(sampler, batches):
    return [sampler.draw().flatten().tolist() for _ in range(batches)]


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10])
def test_every_epoch_holds_each_image_once_whatever_the_batch_size(batch_size):
    sampler = BatchSampler(numbered(10), batch_size, seed=3)
    order = [image for batch in drawn(sampler, 30 // batch_size) for image in batch]
    epochs = [order[start : start + 10] for start in range(0, len(order) - 9, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs), "each epoch is shuffled anew"


def test_order_is_decided_by_the_seed():
    first, second, other = (drawn(BatchSampler(numbered(50), 8, seed), 20) for seed in (1, 1, 2))
    assert first == second != other


@pytest.mark.parametrize("before", [0, 1, 3, 4, 11])
def test_a_restored_sampler_continues_with_the_batches_that_were_due(before):
    dataset = load("digits").binarized("dynamic")
    uninterrupted, interrupted = (BatchSampler(dataset, 400, seed=5) for _ in range(2))
    wanted = [uninterrupted.draw() for _ in range(before + 9)][before:]
    for _ in range(before):
        interrupted.draw()
    resumed = BatchSampler(dataset, 400, seed=99)
    resumed.load_state_dict(interrupted.state_dict())
    assert all(torch.equal(resumed.draw(), batch) for batch in wanted)


def test_state_of_another_set_is_refused():
    state = BatchSampler(numbered(10), 2).state_dict()
    with pytest.raises(ValueError, match="10 examples, but this one has 11"):
        BatchSampler(numbered(11), 2).load_state_dict(state)


@pytest.mark.parametrize("batch_size", [0, -1, 11])
def test_a_batch_must_fit_the_set(batch_size):
    with pytest.raises(ValueError, match="batch_size must be between 1 and the 10"):
        BatchSampler(numbered(10), batch_size)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "shape", "sizes", "mean"),
    [
        ("mnist", (1, 28, 28), (60_000, 10_000), 0.1307),
        ("fashion_mnist", (1, 28, 28), (60_000, 10_000), 0.2860),
    ],
)
def test_full_sets_have_their_published_sizes_and_mean_brightness(name, shape, sizes, mean):
    dataset = load(name)
    assert (len(dataset.train), len(dataset.test)) == sizes and dataset.image_shape == shape
    assert dataset.title == name
    assert dataset.train.double().mean().item() / 255 == pytest.approx(mean, abs=1e-4)


@pytest.mark.realdata
def test_static_mnist_is_black_and_white_with_a_validation_split():
    dataset = load("mnist_static")
    assert [len(getattr(dataset, split)) for split in ("train", "valid", "test")] == [50_000, 10_000, 10_000]
    assert dataset.bits == 1 and dataset.title == "mnist_static"
    assert dataset.train.double().mean().item() == pytest.approx(0.1307, abs=1e-3), (
        "binarised MNIST keeps its brightness"
    )


@pytest.mark.realdata
def test_cifar10_has_its_published_colours_and_says_how_many_images_it_has():
    dataset = load("cifar10")
    assert dataset.image_shape == (3, 32, 32) and dataset.bits == 8
    assert dataset.title == "cifar10" or f"{len(dataset.train):,}" in dataset.title
    means = dataset.train.double().mean(dim=(0, 2, 3)) / 255
    torch.testing.assert_close(means, torch.tensor([0.4914, 0.4822, 0.4465]).double(), atol=1e-3, rtol=0)
