"""Flips of training images as batches are drawn."""

import pytest
import torch

from avae_lib.data import BatchSampler, DataConfig, ImageDataset


def distinct_images(count=64):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, 4, 5), dtype=torch.uint8, generator=generator)


def dataset(**flips):
    images = distinct_images()
    return ImageDataset("random", train=images, test=images[:8]).flipped(**flips)


def identified(batch, images):
    """For each image of the batch which of ``images`` it is and along which dimensions it is flipped."""
    flips = [(), (3,), (2,), (2, 3)]
    found = []
    for image in batch:
        matches = [
            (index, flip) for flip in flips for index in (images.flip(flip) == image).all(dim=(1, 2, 3)).nonzero()
        ]
        assert len(matches) == 1
        found.append((int(matches[0][0]), matches[0][1]))
    return found


@pytest.mark.parametrize(
    ("flips", "possible"),
    [
        ({}, {()}),
        ({"horizontal": True}, {(), (3,)}),
        ({"vertical": True}, {(), (2,)}),
        ({"horizontal": True, "vertical": True}, {(), (3,), (2,), (2, 3)}),
    ],
)
def test_each_image_is_an_exact_flip_and_all_flips_are_equally_frequent(flips, possible):
    sampler, epochs = BatchSampler(dataset(**flips), 64, seed=1), 8
    drawn = [found for _ in range(epochs) for found in identified(sampler.draw(), distinct_images())]
    assert sorted(index for index, _ in drawn) == sorted(list(range(64)) * epochs)
    counts = {flip: sum(found == flip for _, found in drawn) for flip in possible}
    assert sum(counts.values()) == len(drawn)
    for count in counts.values():
        assert count / len(drawn) == pytest.approx(1 / len(possible), abs=0.08 if flips else 0)


def test_an_image_is_not_flipped_alike_in_every_epoch():
    sampler = BatchSampler(dataset(horizontal=True), 64, seed=1)
    first, second = (dict(identified(sampler.draw(), distinct_images())) for _ in range(2))
    assert {first[index] == second[index] for index in range(64)} == {True, False}


def test_flips_are_decided_by_the_seed_and_leave_the_order_as_it_is():
    def draw(seed, **flips):
        return identified(BatchSampler(dataset(**flips), 64, seed).draw(), distinct_images())

    assert draw(1, horizontal=True) == draw(1, horizontal=True) != draw(2, horizontal=True)
    assert [index for index, _ in draw(1, horizontal=True)] == [index for index, _ in draw(1)]


def test_flips_do_not_follow_the_noise_of_binarisation():
    # Grey images of one half-bright and one black pixel: what is drawn and whether it is flipped must be independent.
    images = torch.tensor([128, 0], dtype=torch.uint8).reshape(1, 1, 1, 2).repeat(4000, 1, 1, 1)
    sampler = BatchSampler(ImageDataset("halves", images, images).binarized("dynamic").flipped(horizontal=True), 4000)
    left, right = sampler.draw().flatten(start_dim=1).double().mean(dim=0)
    assert left == pytest.approx(0.25, abs=0.03) and right == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("before", [0, 1, 5])
def test_a_restored_sampler_continues_with_the_flips_that_were_due(before):
    uninterrupted, interrupted = (BatchSampler(dataset(horizontal=True, vertical=True), 24, seed=5) for _ in range(2))
    wanted = [uninterrupted.draw() for _ in range(before + 6)][before:]
    for _ in range(before):
        interrupted.draw()
    resumed = BatchSampler(dataset(horizontal=True, vertical=True), 24, seed=99)
    resumed.load_state_dict(interrupted.state_dict())
    assert all(torch.equal(resumed.draw(), batch) for batch in wanted)


def test_a_state_without_flips_can_be_continued():
    sampler, other = BatchSampler(dataset(), 24, seed=5), BatchSampler(dataset(), 24, seed=6)
    state = sampler.state_dict()
    del state["flip_noise"]
    other.load_state_dict(state)
    assert torch.equal(other.draw(), sampler.draw())


def test_held_out_images_are_never_flipped():
    flipped = dataset(horizontal=True, vertical=True)
    assert torch.equal(flipped.pixels("test"), flipped.test) and torch.equal(flipped.pixels("train"), flipped.train)


def test_configured_flips_reach_the_training_images_only():
    configured = DataConfig("digits", flip_horizontal=True).load()
    assert configured.flips.horizontal and not configured.flips.vertical
    assert not DataConfig("digits").load().flips.horizontal
    assert torch.equal(configured.pixels("test"), DataConfig("digits").load().test)
