"""The sprites have the factors that they claim, and the gap tells whether units stand for factors."""

import itertools
import math

import pytest
import torch

from avae_lib.data.sprites import SPRITE_FACTORS, all_sprites, load_sprites
from avae_lib.evaluation.disentanglement import mutual_information_gap


def test_every_combination_of_factors_is_drawn_once_and_no_two_images_are_alike():
    images, factors = all_sprites()
    counts = [len(values) for values in SPRITE_FACTORS.values()]
    assert factors.tolist() == [list(c) for c in itertools.product(*map(range, counts))]
    assert len(torch.unique(images.flatten(1), dim=0)) == len(images) == math.prod(counts)


def test_the_middle_of_the_white_pixels_is_where_the_factors_say():
    images, factors = all_sprites()
    white = images[:, 0].double()
    places = torch.arange(16, dtype=torch.float64) + 0.5
    for name, along in (("column", white.sum(dim=1)), ("row", white.sum(dim=2))):
        middle = (along * places).sum(dim=1) / along.sum(dim=1)
        values = torch.tensor(SPRITE_FACTORS[name], dtype=torch.float64)
        torch.testing.assert_close(middle, values[factors[:, list(SPRITE_FACTORS).index(name)]])


def test_white_pixels_are_as_many_as_the_shape_covers_centres():
    images, factors = all_sprites()
    inside = {  # a lattice point (a, b) is inside
        "square": lambda a, b, r: abs(a) <= r and abs(b) <= r,
        "disc": lambda a, b, r: math.hypot(a, b) <= r,
        "diamond": lambda a, b, r: abs(a) + abs(b) <= r,
    }
    for image, (shape, radius, *_) in zip(images, factors.tolist(), strict=True):
        shape, radius = SPRITE_FACTORS["shape"][shape], SPRITE_FACTORS["radius"][radius]
        count = sum(inside[shape](a, b, radius) for a in range(-5, 6) for b in range(-5, 6))
        assert image.sum().item() == count


def test_as_a_data_set_sprites_are_split_without_overlap_and_labelled_by_shape():
    sprites = load_sprites()
    together = torch.cat([sprites.train, sprites.test]).flatten(1)
    assert len(torch.unique(together, dim=0)) == len(together) == 576
    images, factors = all_sprites()
    shape_of = {
        tuple(image.flatten().tolist()): shape.item() for image, shape in zip(images, factors[:, 0], strict=True)
    }
    assert [shape_of[tuple(image.flatten().tolist())] for image in sprites.test] == sprites.test_labels.tolist()


def _factors(*counts):
    return torch.tensor(list(itertools.product(*map(range, counts))))


def test_one_unit_for_each_factor_has_a_gap_of_one_in_whatever_order_sign_and_scale():
    factors = _factors(3, 4, 5)
    codes = factors[:, [2, 0, 1]].double() * torch.tensor([-7.0, 1e-3, 100.0])
    assert mutual_information_gap(codes, factors) == pytest.approx(1.0)


def test_two_units_that_say_the_same_have_no_gap():
    factors = _factors(3, 3)
    assert mutual_information_gap(factors[:, [0, 0, 1, 1]].double(), factors) == pytest.approx(0.0)


def test_a_gap_by_hand():
    # The first unit tells whether v is 2 or not, the second nothing: I = H(1/3), and H(v) = log 3.
    factors = torch.tensor([0, 1, 2] * 2)[:, None]
    codes = torch.stack([(factors[:, 0] == 2).double(), torch.tensor([0.0] * 3 + [1.0] * 3)], dim=1)
    told = -(1 / 3) * math.log(1 / 3) - (2 / 3) * math.log(2 / 3)
    assert mutual_information_gap(codes, factors) == pytest.approx(told / math.log(3))


def test_noise_that_hides_half_of_a_factor_lowers_the_gap():
    generator = torch.Generator().manual_seed(0)
    factors = _factors(4, 4).repeat(200, 1)
    noise = torch.randn(len(factors), 2, generator=generator)
    gaps = [mutual_information_gap(factors + scale * noise, factors) for scale in (0.05, 0.5, 5.0)]
    assert gaps[0] > 0.95 > gaps[1] > 0.2 > gaps[2] > -0.01


@pytest.mark.parametrize(
    ("codes", "factors", "words"),
    [
        (torch.zeros(4, 1), _factors(2, 2), "at least two units"),
        (torch.zeros(3, 2), _factors(2, 2), "for the 3 images of codes"),
        (torch.zeros(4, 2), torch.zeros(4, 1, dtype=torch.long), "factor 0 has one"),
    ],
)
def test_what_has_no_gap_is_refused(codes, factors, words):
    with pytest.raises(ValueError, match=words):
        mutual_information_gap(codes, factors)
