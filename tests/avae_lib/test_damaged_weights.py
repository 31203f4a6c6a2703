"""A file of weights with a single wrong byte is refused, wherever the byte is; files without a checksum still load."""

import io

import pytest
import safetensors.torch
import torch
from torch import nn

from avae_lib.training.checkpoints import BEST, LATEST, WeightsError, load_weights, save_weights, step_of_weights
from avae_lib.training.starting_weights import StartingWeights, keep_starting_weights
from avae_lib.training.weights_checksum import require_intact, with_checksum


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_each_byte_counts(tmp_path):
    """Of the numbers and of the header: what loads in spite of a wrong byte is the same weights of the same step."""
    save_weights(model(), step=30, run_dir=tmp_path)
    path = tmp_path / LATEST
    content, wanted = path.read_bytes(), model().state_dict()
    begin = 8 + int.from_bytes(content[:8], "little")
    for place in range(len(content)):
        path.write_bytes(flipped(content, place))
        try:
            loaded = load_weights(model(), tmp_path).state_dict()
        except WeightsError:
            continue
        assert place < begin, "a wrong number is never loaded"
        assert all(torch.equal(loaded[name], tensor) for name, tensor in wanted.items())
        assert step_of_weights(path) == 30


def test_the_error_names_the_file_and_a_remedy_that_exists(tmp_path):
    for name, remedy in ((LATEST, "the same `avae train` as before"), (BEST, "choose other weights of the run with")):
        save_weights(model(), 1, tmp_path, name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(flipped(content, len(content) - 1))
        with pytest.raises(WeightsError, match=rf"{name} is damaged .*\(the checksum is wrong\); .*{remedy}"):
            load_weights(model(), tmp_path, name)


def test_a_new_run_does_not_begin_from_damaged_weights(tmp_path):
    save_weights(model(), 1, tmp_path, BEST)
    content = (tmp_path / BEST).read_bytes()
    (tmp_path / BEST).write_bytes(flipped(content, len(content) - 1))
    with pytest.raises(WeightsError, match="the checksum is wrong"):
        keep_starting_weights(StartingWeights(tmp_path, BEST), "a run", model(), {}, tmp_path / "new")


def test_weights_without_a_checksum_load_and_those_with_one_hold_the_same_and_nothing_else(tmp_path):
    tensors = model().state_dict()
    earlier = safetensors.torch.save(tensors, metadata={"step": "7"})
    (tmp_path / LATEST).write_bytes(earlier)
    load_weights(model(), tmp_path)
    now = with_checksum(earlier)
    begin = [8 + int.from_bytes(content[:8], "little") for content in (earlier, now)]
    assert begin[1] % 8 == 0 and earlier[begin[0] :] == now[begin[1] :]
    (tmp_path / LATEST).write_bytes(now)
    with safetensors.safe_open(tmp_path / LATEST, framework="pt") as file:
        assert file.metadata().keys() == {"step", "sha256"} and file.metadata()["step"] == "7"
        assert {name: file.get_tensor(name).dtype for name in file.keys()} == {  # noqa: SIM118
            name: tensor.dtype for name, tensor in tensors.items()
        }
    require_intact(io.BytesIO(now))
    with_entries_in_another_order = safetensors.torch.save(tensors, metadata=safe_metadata(tmp_path / LATEST))
    require_intact(io.BytesIO(with_entries_in_another_order))


def test_the_same_weights_are_the_same_file(tmp_path):
    contents = set()
    for _ in range(20):
        save_weights(model(), 3, tmp_path)
        contents.add((tmp_path / LATEST).read_bytes())
    assert len(contents) == 1


def safe_metadata(path):
    with safetensors.safe_open(path, framework="pt") as file:
        return file.metadata()
