"""Readers of published files, on small files in the real formats; what they say of missing and damaged ones."""

import hashlib
import pickle
import tracemalloc

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets
from PIL import Image

from avae_lib.data import DatasetError, load
from avae_lib.data.plain_pickles import read_plain_pickle


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    """An empty AVAE_DATA, an empty cache, and no network: a download fails at once."""

    def unreachable(*args, **kwargs):
        raise RuntimeError("no network in this test")

    monkeypatch.setattr(torchvision.datasets.cifar, "download_and_extract_archive", unreachable)
    monkeypatch.setattr(torchvision.datasets.utils, "download_url", unreachable)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("AVAE_DATA", str(folder))
    return folder


def pixels(count, shape, seed, levels=256):
    return np.random.default_rng(seed).integers(0, levels, (count, *shape), dtype=np.uint8)


def dump(path, content, protocol=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))


def write_cifar10(folder, images=4, **pickling):
    splits = {f"data_batch_{number}": pixels(images, (3, 32, 32), number) for number in range(1, 6)}
    splits["test_batch"] = pixels(images, (3, 32, 32), 6)
    for name, array in splits.items():
        labels = [int(label) for label in array[:, 0, 0, 0] % 10]
        content = {"data": array.reshape(images, -1), "labels": labels, "filenames": ["a.png"] * images}
        dump(folder / "cifar-10-batches-py" / name, content, **pickling)
    return splits


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_cifar10_batches_give_their_images_and_labels_in_order(data_folder, protocol):
    splits = write_cifar10(data_folder, protocol=protocol)
    dataset = load("cifar10")
    wanted = np.concatenate([splits[f"data_batch_{number}"] for number in range(1, 6)])
    assert np.array_equal(dataset.train.numpy(), wanted)
    assert np.array_equal(dataset.test.numpy(), splits["test_batch"])
    assert dataset.train_labels.tolist() == (wanted[:, 0, 0, 0] % 10).tolist()
    assert dataset.bits == 8 and len(dataset.test_labels) == 4


def test_cifar10_pickled_by_python_2_is_understood(data_folder):
    # As Python 2 wrote it: texts and bytes alike are opcode "U" or "T", and numpy is the numpy.core of its time.
    write_cifar10(data_folder, images=1)
    row = bytes(range(256)) * 12
    python_2 = (
        b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + len(row).to_bytes(4, "little") + row + b"tb"
        b"U\x06labels]K\x03au."
    )
    (data_folder / "cifar-10-batches-py/test_batch").write_bytes(python_2)
    dataset = load("cifar10")
    assert dataset.test.numpy().tobytes() == row and dataset.test_labels.tolist() == [3]


def test_cifar10_of_full_size_must_have_the_published_checksums(data_folder, monkeypatch):
    write_cifar10(data_folder, images=4)
    monkeypatch.setattr("avae_lib.data.cifar10._PUBLISHED_IMAGES_OF_A_FILE", 4)
    with pytest.raises(DatasetError, match=r"data_batch_1 cannot be read.*MD5"):
        load("cifar10")
    files = (data_folder / "cifar-10-batches-py").iterdir()
    sums = [[file.name, hashlib.md5(file.read_bytes()).hexdigest()] for file in files]
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "test_list", sums)
    assert len(load("cifar10").train) == 20


class Stranger:
    """What a hostile pickle could carry."""

    def __reduce__(self):
        return print, ("this must never run",)


def test_a_pickle_that_wants_to_run_something_is_refused(data_folder, capsys):
    write_cifar10(data_folder)
    dump(data_folder / "cifar-10-batches-py/data_batch_3", {"data": Stranger()})
    with pytest.raises(DatasetError, match=r"data_batch_3 cannot be read.*asks for __builtin__\.print"):
        load("cifar10")
    assert "never run" not in capsys.readouterr().out


def test_entry_that_is_missing_from_a_pickle_is_named_with_its_file(data_folder):
    write_cifar10(data_folder)
    dump(data_folder / "cifar-10-batches-py/data_batch_2", {"labels": [1]})
    with pytest.raises(DatasetError, match=r"data_batch_2 cannot be read, .*\(it has no entry 'data'\)"):
        load("cifar10")


def test_plain_pickles_hold_dictionaries(tmp_path):
    dump(tmp_path / "list", [1, 2])
    with pytest.raises(pickle.UnpicklingError, match="wanted a dictionary, got a list"):
        read_plain_pickle(tmp_path / "list")
    dump(tmp_path / "dictionary", {b"data": np.float64(2.5), "names": ["a"]})
    assert read_plain_pickle(tmp_path / "dictionary") == {"data": 2.5, "names": ["a"]}


def write_static_mnist(place, sizes=(5, 3, 2), newline_at_end=True):
    place.mkdir(exist_ok=True)
    splits = {}
    for split, size in zip(("train", "valid", "test"), sizes, strict=True):
        splits[split] = pixels(size, (1, 28, 28), seed=size, levels=2)
        lines = [" ".join(map(str, image.ravel())) for image in splits[split]]
        (place / f"binarized_mnist_{split}.amat").write_text("\n".join(lines) + ("\n" if newline_at_end else ""))
    return splits


@pytest.mark.parametrize("place", ["mnist_static", "."])
@pytest.mark.parametrize("newline_at_end", [True, False])
def test_static_mnist_is_read_from_its_text_files(data_folder, place, newline_at_end):
    splits = write_static_mnist(data_folder / place, newline_at_end=newline_at_end)
    dataset = load("mnist_static")
    for split, images in splits.items():
        assert np.array_equal(getattr(dataset, split).numpy(), images)
    assert dataset.bits == dataset.model_bits == 1


@pytest.mark.parametrize("text", ["", "0 1 0\n", "0 " * 783 + "2\n", "<html>not found</html>", "0 " * 783 + "\n1\n"])
def test_damaged_static_mnist_is_named(data_folder, text):
    write_static_mnist(data_folder / "mnist_static")
    (data_folder / "mnist_static/binarized_mnist_valid.amat").write_text(text)
    with pytest.raises(DatasetError, match=r"binarized_mnist_valid\.amat cannot be read, it is damaged"):
        load("mnist_static")


def write_omniglot(place, **changes):
    """Values in [0, 1], one image in each column, which runs down the picture first, as MATLAB's do."""
    place.mkdir(exist_ok=True)
    splits = {"data": pixels(5, (28, 28), 1), "testdata": pixels(3, (28, 28), 2)}
    columns = {name: np.stack([image.ravel(order="F") / 255 for image in array], 1) for name, array in splits.items()}
    scipy.io.savemat(place / "chardata.mat", columns | {"targetchar": np.zeros((1, 5))} | changes)
    return splits


@pytest.mark.parametrize("place", ["omniglot", "."])
def test_omniglot_stands_upright_in_the_split_of_its_file(data_folder, place):
    splits = write_omniglot(data_folder / place)
    dataset = load("omniglot")
    assert np.array_equal(dataset.train[:, 0].numpy(), splits["data"])
    assert np.array_equal(dataset.test[:, 0].numpy(), splits["testdata"])
    assert dataset.bits == 8


@pytest.mark.parametrize(
    "changes",
    [{"data": np.zeros((5, 784))}, {"data": 255 * np.ones((784, 5))}, {"testdata": np.full((784, 2), np.nan)}],
    ids=["rows", "levels", "not_a_number"],
)
def test_other_arrays_than_omniglots_are_refused(data_folder, changes):
    write_omniglot(data_folder / "omniglot", **changes)
    with pytest.raises(DatasetError, match=r"chardata\.mat cannot be read.*wanted"):
        load("omniglot")


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"text" * 100])
def test_damaged_omniglot_is_named(data_folder, damage):
    write_omniglot(data_folder / "omniglot")
    file = data_folder / "omniglot/chardata.mat"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DatasetError, match=r"chardata\.mat cannot be read"):
        load("omniglot")


def write_npz_batch(file, images, labels):
    np.savez(file.with_suffix(".npz"), data=images.reshape(len(images), -1), labels=labels, mean=images[0] / 1.0)


def write_compressed_batch(file, images, labels):
    np.savez_compressed(file.with_suffix(".npz"), data=images.reshape(len(images), -1), labels=np.array(labels))


def write_pickled_batch(file, images, labels):
    dump(file, {"data": images.reshape(len(images), -1), "labels": labels, "mean": images[0] / 1.0}, protocol=3)


def write_imagenet_batches(folder, side, write):
    """Batches of unequal sizes, with labels counted from 1, as on image-net.org."""
    place = folder / f"imagenet{side}"
    place.mkdir()
    splits = {f"train_data_batch_{number}": pixels(1 + number % 3, (3, side, side), number) for number in range(1, 11)}
    splits["val_data"] = pixels(4, (3, side, side), 11)
    for name, images in splits.items():
        write(place / name, images, [1 + int(label) for label in images[:, 0, 0, 0]])
    return np.concatenate(list(splits.values())[:-1]), splits["val_data"]


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("write", [write_npz_batch, write_compressed_batch, write_pickled_batch])
def test_imagenet_batches_give_images_and_labels_and_name_their_edition(data_folder, side, write):
    train, test = write_imagenet_batches(data_folder, side, write)
    dataset = load(f"imagenet{side}")
    assert np.array_equal(dataset.train.numpy(), train) and np.array_equal(dataset.test.numpy(), test)
    assert dataset.train_labels.tolist() == train[:, 0, 0, 0].tolist()
    assert dataset.title == f"imagenet{side} (batches, {len(train)} + 4 images)"


@pytest.mark.parametrize("write", [write_npz_batch, write_pickled_batch])
def test_imagenet_needs_little_more_memory_than_its_images_take(data_folder, write):
    write_imagenet_batches(data_folder, 32, write)
    for number in range(1, 11):
        write(data_folder / f"imagenet32/train_data_batch_{number}", pixels(200, (3, 32, 32), number), [1] * 200)
    load("imagenet32")  # imports are none of its memory
    tracemalloc.start()
    dataset = load("imagenet32")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.4 * dataset.train.numel()


def write_pngs(folder, images):
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{number:05}.png")


@pytest.mark.parametrize("place", [".", "imagenet32"])
def test_imagenet_folders_give_their_images_in_order_and_name_their_edition(data_folder, place):
    train, test = pixels(12, (3, 32, 32), 1), pixels(3, (3, 32, 32), 2)
    write_pngs(data_folder / place / "train_32x32", train)
    write_pngs(data_folder / place / "valid_32x32", test)
    dataset = load("imagenet32")
    assert np.array_equal(dataset.train.numpy(), train) and np.array_equal(dataset.test.numpy(), test)
    assert dataset.title == "imagenet32 (PNG, 12 + 3 images)"


def test_grey_png_becomes_three_equal_channels(data_folder):
    write_pngs(data_folder / "train_32x32", pixels(1, (3, 32, 32), 1))
    grey = pixels(1, (32, 32), 2)[0]
    (data_folder / "valid_32x32").mkdir()
    Image.fromarray(grey).save(data_folder / "valid_32x32/1.png")
    assert all(np.array_equal(channel, grey) for channel in load("imagenet32").test[0].numpy())


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda folder: (folder / "valid_32x32/00001.png").write_bytes(b"\x89PNG\r\n"), r"00001\.png cannot be read"),
        (lambda folder: Image.new("RGB", (31, 32)).save(folder / "valid_32x32/9.png"), r"9\.png .*wanted 32×32"),
        (lambda folder: [f.unlink() for f in (folder / "train_32x32").iterdir()], "train_32x32 holds no PNG files"),
    ],
    ids=["cut_short", "other_size", "empty"],
)
def test_damaged_folder_of_images_is_named(data_folder, damage, complaint):
    for name in ("train_32x32", "valid_32x32"):
        write_pngs(data_folder / name, pixels(2, (3, 32, 32), 1))
    damage(data_folder)
    with pytest.raises(DatasetError, match=complaint):
        load("imagenet32")


def test_imagenet_batches_of_another_size_are_refused(data_folder):
    write_imagenet_batches(data_folder, 32, write_npz_batch)
    (data_folder / "imagenet32").rename(data_folder / "imagenet64")
    with pytest.raises(DatasetError, match=r"train_data_batch_1\.npz cannot be read.*12288 values"):
        load("imagenet64")


@pytest.mark.parametrize(
    ("write", "damage"),
    [
        (write_npz_batch, lambda content: b""),
        (write_npz_batch, lambda content: content[:-100]),
        (write_npz_batch, lambda content: content[:2000] + b"x" * 500 + content[2500:]),
        (write_pickled_batch, lambda content: b""),
        (write_pickled_batch, lambda content: content[:-100]),
    ],
)
def test_damaged_imagenet_batch_is_named(data_folder, write, damage):
    write_imagenet_batches(data_folder, 32, write)
    (file,) = (data_folder / "imagenet32").glob("train_data_batch_7*")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DatasetError, match=r"train_data_batch_7(\.npz)? cannot be read"):
        load("imagenet32")


def test_array_that_is_missing_from_an_archive_is_named_with_its_file(data_folder):
    write_imagenet_batches(data_folder, 32, write_npz_batch)
    np.savez(data_folder / "imagenet32/train_data_batch_4.npz", data=pixels(2, (3072,), 1))
    with pytest.raises(DatasetError, match=r"train_data_batch_4\.npz cannot be read, .*\(labels is not a file in the"):
        load("imagenet32")


FACTS = {
    "mnist_static": ("mnist_static/binarized_mnist_train.amat", "larocheh", "'digits'"),
    "omniglot": ("omniglot/chardata.mat", "yburda", "'digits'"),
    "cifar10": ("cifar-10-batches-py/data_batch_1", "kriz", "'photos32'"),
    "imagenet32": ("imagenet32/train_data_batch_1.npz", "image-net.org", "'photos32'"),
    "imagenet64": ("train_64x64", "image-net.org", "'photos32'"),
}


@pytest.mark.parametrize("name", FACTS)
def test_missing_set_says_where_it_was_looked_for_where_to_get_it_and_what_to_use_instead(data_folder, name):
    with pytest.raises(DatasetError) as error:
        load(name)
    file, source, embedded = FACTS[name]
    for fact in (f"{data_folder}/{name}.npz", f"{data_folder}/{file}", source, embedded):
        assert fact in str(error.value)


def test_one_missing_file_is_named(data_folder):
    write_cifar10(data_folder)
    (data_folder / "cifar-10-batches-py/data_batch_4").unlink()
    with pytest.raises(DatasetError, match=r"looked for: .*/data_batch_4"):
        load("cifar10")


def test_download_is_kept_and_used_the_next_time(data_folder, monkeypatch):
    def arrive(url, root, filename):
        root.mkdir(parents=True, exist_ok=True)
        (root / filename).write_text(" ".join("01" * 392) + "\n")

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", arrive)
    first = load("mnist_static")
    monkeypatch.setattr(torchvision.datasets.utils, "download_url", None)
    assert torch.equal(load("mnist_static").train, first.train)
    assert [path.name for path in data_folder.iterdir()] == ["mnist_static"]


@pytest.mark.parametrize(
    "write",
    [write_cifar10, lambda f: write_static_mnist(f / "mnist_static"), lambda f: write_omniglot(f / "omniglot")],
    ids=["cifar10", "mnist_static", "omniglot"],
)
def test_reading_writes_nothing_into_the_users_folder(data_folder, write, request):
    write(data_folder)
    before = sorted(data_folder.rglob("*"))
    load(request.node.callspec.id)
    assert sorted(data_folder.rglob("*")) == before
