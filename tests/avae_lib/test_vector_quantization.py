"""Vector quantisation against scikit-learn's neighbours, loops and finite differences."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from avae_lib.nn.vector_quantization import vector_quantize


def draw(vectors, codes, dim, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(rows, dim, generator=generator, dtype=dtype) for rows in (vectors, codes))


@pytest.mark.parametrize(("vectors", "codes", "dim"), [(1, 1, 1), (7, 40, 3), (60, 5, 16)])
def test_indices_and_values_are_those_of_the_nearest_neighbours(vectors, codes, dim):
    z, codebook = draw(vectors, codes, dim)
    quantised, indices, codebook_loss, commitment_loss = vector_quantize(z, codebook)
    distances, neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(codebook).kneighbors(z)
    assert indices.dtype is torch.int64 and indices.tolist() == neighbours[:, 0].tolist()
    torch.testing.assert_close(quantised, codebook[indices])
    mean_square = np.square(distances).sum() / (vectors * dim)
    assert codebook_loss.item() == pytest.approx(mean_square) and commitment_loss.item() == pytest.approx(mean_square)


def test_codes_a_thousand_from_zero_and_a_hundredth_apart_are_told_apart_in_float32():
    z, codebook = (1000 + 0.01 * t for t in draw(50, 60, 4, torch.float32))
    exact = [min(range(60), key=lambda k, v=vector: ((v - codebook[k].double()) ** 2).sum()) for vector in z.double()]
    assert vector_quantize(z, codebook)[1].tolist() == exact


def test_ties_go_to_the_lowest_index():
    codebook = torch.tensor([[4.0, 0.0], [1.0, 1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    z = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    assert vector_quantize(z, codebook)[1].tolist() == [1, 1, 1, 1]
    assert vector_quantize(z, codebook.flip(0))[1].tolist() == [0, 1, 1, 0]


def test_gradients_go_straight_through_to_z_and_to_one_side_of_each_loss():
    z, codebook = (t.requires_grad_() for t in draw(6, 4, 3))
    weights = torch.randn(6, 3, dtype=torch.float64)
    quantised, indices, codebook_loss, commitment_loss = vector_quantize(z, codebook)
    through = torch.autograd.grad((weights * quantised).sum(), [z, codebook], allow_unused=True)
    assert torch.equal(through[0], weights) and through[1] is None
    of_codes = torch.autograd.grad(codebook_loss, [z, codebook], allow_unused=True)
    of_vectors = torch.autograd.grad(commitment_loss, [z, codebook], allow_unused=True)
    assert of_codes[0] is None and of_vectors[1] is None
    expected = torch.zeros_like(codebook)
    for row, index in enumerate(indices.tolist()):
        expected[index] += 2 * (codebook[index] - z[row]).detach() / z.numel()
    torch.testing.assert_close(of_codes[1], expected)
    torch.testing.assert_close(of_vectors[0], 2 * (z - codebook[indices]).detach() / z.numel())


def test_losses_pass_finite_differences_on_the_side_that_they_move():
    z, codebook = draw(5, 3, 2)
    assert torch.autograd.gradcheck(lambda e: vector_quantize(z, e)[2], codebook.clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda v: vector_quantize(v, codebook)[3], z.clone().requires_grad_())


@pytest.mark.parametrize(("z", "codebook"), [((4, 3), (5, 2)), ((4,), (5, 4)), ((2, 4, 3), (5, 3))])
def test_other_shapes_are_refused_by_name(z, codebook):
    with pytest.raises(ValueError, match=r"z and codebook must be \(vectors, dim\) and \(codes, dim\)"):
        vector_quantize(torch.zeros(z), torch.zeros(codebook))
