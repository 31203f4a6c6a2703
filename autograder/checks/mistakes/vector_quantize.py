"""Wrong ways to write ``vector_quantize``."""

import torch
import torch.nn.functional as F

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

NEAREST = "nearest codes"
LOSSES = "losses"
STRAIGHT_THROUGH = "straight-through gradient"
GRADIENTS = "gradients of the losses"
FORM = "ties, codes far from zero, precision kept"
INNER_PRODUCT = "takes the code with the largest inner product: the length of the codes matters too"
MULTIPLIED_OUT = "expands the square of the distance (as cdist does from 26 rows on): the terms cancel far from zero"
TO_THE_CODEBOOK = "passes the gradient of the quantised vectors to the codebook: pass it to z, straight through"
WRONG_SIDES = "the codebook loss moves z and the commitment loss the codes: it should be the other way round"
VALUE_OF_Z = (
    "the quantised vectors have the value of z: they should have the value of the code, and pass their gradient to z"
)
WRONG_TIES = "does not take the lowest index where several codes are equally near"


def nearest(z, codebook):
    return torch.norm(z[:, None] - codebook[None], dim=2).argmin(dim=1)


def with_indices(z, codebook, indices):
    """All four results, right except for the choice of codes."""
    codes = codebook[indices]
    quantised = z + (codes - z).detach()
    return quantised, indices, F.mse_loss(codes, z.detach()), F.mse_loss(z, codes.detach())


def with_losses(z, codebook, loss):
    """All four results, right except for how a difference becomes a loss."""
    indices = nearest(z, codebook)
    codes = codebook[indices]
    return z + (codes - z).detach(), indices, loss(codes - z.detach()), loss(z - codes.detach())


@mistake("takes the farthest code: use argmin, not argmax", caught_by=NEAREST)
def farthest(z, codebook):
    return with_indices(z, codebook, torch.norm(z[:, None] - codebook[None], dim=2).argmax(dim=1))


@mistake(INNER_PRODUCT, caught_by=NEAREST)
def largest_inner_product(z, codebook):
    return with_indices(z, codebook, (z @ codebook.T).argmax(dim=1))


@mistake(INNER_PRODUCT, caught_by=NEAREST)
def norm_of_codes_forgotten(z, codebook):
    distances = (z**2).sum(dim=1, keepdim=True) - 2 * z @ codebook.T
    return with_indices(z, codebook, distances.argmin(dim=1))


@mistake("the factor 2 of the inner product in |z|² − 2 z·e + |e|² is missing", caught_by=NEAREST)
def factor_two_forgotten(z, codebook):
    distances = (z**2).sum(dim=1, keepdim=True) - z @ codebook.T + (codebook**2).sum(dim=1)
    return with_indices(z, codebook, distances.argmin(dim=1))


@mistake("adds the inner product in |z|² − 2 z·e + |e|²: subtract it", caught_by=NEAREST)
def inner_product_added(z, codebook):
    distances = (z**2).sum(dim=1, keepdim=True) + 2 * z @ codebook.T + (codebook**2).sum(dim=1)
    return with_indices(z, codebook, distances.argmin(dim=1))


@mistake("takes the code at the smallest angle: take the nearest one, by distance", caught_by=NEAREST)
def smallest_angle(z, codebook):
    return with_indices(z, codebook, (F.normalize(z, dim=1) @ F.normalize(codebook, dim=1).T).argmax(dim=1))


@mistake("sums absolute differences: use the Euclidean distance", caught_by=NEAREST)
def absolute_differences(z, codebook):
    return with_indices(z, codebook, torch.cdist(z, codebook, p=1).argmin(dim=1))


@mistake("compares the largest difference of a coordinate: use the Euclidean distance", caught_by=NEAREST)
def largest_difference(z, codebook):
    return with_indices(z, codebook, torch.cdist(z, codebook, p=float("inf")).argmin(dim=1))


@mistake("looks for the nearest vector of each code: look for the nearest code of each vector", caught_by=NEAREST)
def nearest_vector_of_each_code(z, codebook):
    return with_indices(z, codebook, torch.norm(z[:, None] - codebook[None], dim=2).argmin(dim=0))


@mistake("takes the second nearest code", caught_by=NEAREST)
def second_nearest(z, codebook):
    distances = torch.norm(z[:, None] - codebook[None], dim=2)
    return with_indices(z, codebook, distances.topk(2, largest=False).indices[:, 1])


@mistake("mixes the codes by softmax weights: take the nearest code", caught_by=NEAREST)
def mixed(z, codebook):
    distances = torch.norm(z[:, None] - codebook[None], dim=2) ** 2
    codes = (-distances).softmax(dim=1) @ codebook
    losses = F.mse_loss(codes, z.detach()), F.mse_loss(z, codes.detach())
    return z + (codes - z).detach(), distances.argmin(dim=1), *losses


@mistake(VALUE_OF_Z, caught_by=NEAREST)
def straight_through_reversed(z, codebook):
    indices = nearest(z, codebook)
    codes = codebook[indices]
    quantised = codes + (z - codes).detach()
    return quantised, indices, F.mse_loss(codes, z.detach()), F.mse_loss(z, codes.detach())


@mistake(VALUE_OF_Z, caught_by=NEAREST)
def not_replaced(z, codebook):
    indices = nearest(z, codebook)
    codes = codebook[indices]
    return z.clone(), indices, F.mse_loss(codes, z.detach()), F.mse_loss(z, codes.detach())


@mistake("returns the index one-hot: return it as a whole number", caught_by=NEAREST)
def one_hot(z, codebook):
    quantised, indices, *losses = with_indices(z, codebook, nearest(z, codebook))
    return quantised, F.one_hot(indices, len(codebook)), *losses


@mistake("returns the index first: the order is quantised vectors, index, codebook loss, commitment loss", NEAREST)
def index_first(z, codebook):
    quantised, indices, *losses = with_indices(z, codebook, nearest(z, codebook))
    return indices, quantised, *losses


@mistake("sums over all elements: take the mean", caught_by=LOSSES)
def summed(z, codebook):
    return with_losses(z, codebook, lambda difference: (difference**2).sum())


@mistake("sums over the coordinates of a vector: take the mean over all elements", caught_by=LOSSES)
def squared_norms(z, codebook):
    return with_losses(z, codebook, lambda difference: (difference**2).sum(dim=1).mean())


@mistake("sums over the vectors: take the mean over all elements", caught_by=LOSSES)
def summed_over_vectors(z, codebook):
    return with_losses(z, codebook, lambda difference: (difference**2).sum(dim=0).mean())


@mistake("averages the distances: average their squares", caught_by=LOSSES)
def distances_averaged(z, codebook):
    return with_losses(z, codebook, lambda difference: difference.norm(dim=1).mean())


@mistake("averages absolute differences: average squared differences", caught_by=LOSSES)
def absolute_loss(z, codebook):
    return with_losses(z, codebook, lambda difference: difference.abs().mean())


@mistake("returns a loss for each vector: return one number, the mean over all elements", caught_by=LOSSES)
def loss_of_each_vector(z, codebook):
    return with_losses(z, codebook, lambda difference: (difference**2).mean(dim=1))


@mistake("takes the root of the mean square: return the mean square", caught_by=LOSSES)
def root_mean_square(z, codebook):
    return with_losses(z, codebook, lambda difference: (difference**2).mean().sqrt())


@mistake("multiplies the commitment loss by β: leave that to the caller", caught_by=LOSSES)
def beta_inside(z, codebook):
    quantised, indices, codebook_loss, commitment_loss = with_indices(z, codebook, nearest(z, codebook))
    return quantised, indices, codebook_loss, 0.25 * commitment_loss


@mistake("adds the two losses: return each separately", caught_by=LOSSES)
def losses_added(z, codebook):
    quantised, indices, codebook_loss, commitment_loss = with_indices(z, codebook, nearest(z, codebook))
    return quantised, indices, codebook_loss + commitment_loss, commitment_loss


@mistake("is 0: compare z with the codes, not with the quantised vectors", caught_by=LOSSES)
def losses_after_replacement(z, codebook):
    indices = nearest(z, codebook)
    codes = codebook[indices]
    z = z + (codes - z).detach()
    return z, indices, F.mse_loss(codes, z.detach()), F.mse_loss(z, codes.detach())


@mistake(TO_THE_CODEBOOK, caught_by=STRAIGHT_THROUGH)
def not_straight_through(z, codebook):
    indices = nearest(z, codebook)
    codes = codebook[indices]
    return codes, indices, F.mse_loss(codes, z.detach()), F.mse_loss(z, codes.detach())


@mistake(TO_THE_CODEBOOK, caught_by=STRAIGHT_THROUGH)
def difference_attached(z, codebook):
    indices = nearest(z, codebook)
    codes = codebook[indices]
    return z + (codes - z), indices, F.mse_loss(codes, z.detach()), F.mse_loss(z, codes.detach())


@mistake("cuts off the gradient of the quantised vectors: pass it to z, straight through", caught_by=STRAIGHT_THROUGH)
def codes_detached(z, codebook):
    indices = nearest(z, codebook)
    codes = codebook[indices]
    return codes.detach(), indices, F.mse_loss(codes, z.detach()), F.mse_loss(z, codes.detach())


@mistake(
    "passes the gradient of the quantised vectors to both z and the codebook: pass it to z alone",
    caught_by=STRAIGHT_THROUGH,
)
def gradient_to_both(z, codebook):
    indices = nearest(z, codebook)
    codes = codebook[indices]
    return codes + z - z.detach(), indices, F.mse_loss(codes, z.detach()), F.mse_loss(z, codes.detach())


@mistake(
    "multiplies the gradient of the quantised vectors by the ratio of code and z: pass it on unchanged",
    caught_by=STRAIGHT_THROUGH,
)
def rescaled(z, codebook):
    indices = nearest(z, codebook)
    codes = codebook[indices]
    quantised = z * (codes / z).detach()
    return quantised, indices, F.mse_loss(codes, z.detach()), F.mse_loss(z, codes.detach())


@mistake(WRONG_SIDES, caught_by=GRADIENTS)
def losses_exchanged(z, codebook):
    quantised, indices, codebook_loss, commitment_loss = with_indices(z, codebook, nearest(z, codebook))
    return quantised, indices, commitment_loss, codebook_loss


@mistake("each loss moves both z and the codes: detach one of them in each", caught_by=GRADIENTS)
def nothing_detached(z, codebook):
    indices = nearest(z, codebook)
    codes = codebook[indices]
    return z + (codes - z).detach(), indices, F.mse_loss(codes, z), F.mse_loss(z, codes)


@mistake("the codebook loss moves z too: it should move only the codes", caught_by=GRADIENTS)
def codebook_loss_moves_both(z, codebook):
    indices = nearest(z, codebook)
    codes = codebook[indices]
    return z + (codes - z).detach(), indices, F.mse_loss(codes, z), F.mse_loss(z, codes.detach())


@mistake("the commitment loss moves the codes too: it should move only z", caught_by=GRADIENTS)
def commitment_loss_moves_both(z, codebook):
    indices = nearest(z, codebook)
    codes = codebook[indices]
    return z + (codes - z).detach(), indices, F.mse_loss(codes, z.detach()), F.mse_loss(z, codes)


@mistake("both losses move z only: the codebook loss should move the codes", caught_by=GRADIENTS)
def codes_never_moved(z, codebook):
    quantised, indices, _, commitment_loss = with_indices(z, codebook, nearest(z, codebook))
    return quantised, indices, commitment_loss, commitment_loss


@mistake("both losses move the codes only: the commitment loss should move z", caught_by=GRADIENTS)
def vectors_never_moved(z, codebook):
    quantised, indices, codebook_loss, _ = with_indices(z, codebook, nearest(z, codebook))
    return quantised, indices, codebook_loss, codebook_loss


@mistake(
    "neither loss has a gradient: the codebook loss should move the codes, the commitment loss z", caught_by=GRADIENTS
)
def losses_detached(z, codebook):
    quantised, indices, *losses = with_indices(z, codebook, nearest(z, codebook))
    return quantised, indices, *(loss.detach() for loss in losses)


@mistake(
    "the commitment loss has no gradient: compare z with the codes, not with the quantised vectors",
    caught_by=GRADIENTS,
)
def commitment_from_straight_through(z, codebook):
    quantised, indices, codebook_loss, _ = with_indices(z, codebook, nearest(z, codebook))
    return quantised, indices, codebook_loss, F.mse_loss(z, quantised)


@mistake(
    "the codebook loss moves z away from the code: compare z with the codes, not with the quantised vectors",
    caught_by=GRADIENTS,
)
def codebook_loss_from_straight_through(z, codebook):
    quantised, indices, _, commitment_loss = with_indices(z, codebook, nearest(z, codebook))
    return quantised, indices, F.mse_loss(quantised, z.detach()), commitment_loss


@mistake("changes z in place: work on a new tensor", caught_by=GRADIENTS)
def written_into_z(z, codebook):
    results = with_indices(z, codebook, nearest(z, codebook))
    z.copy_(results[0].detach())
    return results


@mistake(MULTIPLIED_OUT, caught_by=FORM)
def multiplied_out(z, codebook):
    distances = (z**2).sum(dim=1, keepdim=True) - 2 * z @ codebook.T + (codebook**2).sum(dim=1)
    return with_indices(z, codebook, distances.argmin(dim=1))


@mistake(MULTIPLIED_OUT, caught_by=FORM)
def cdist_by_products(z, codebook):
    return with_indices(z, codebook, torch.cdist(z, codebook).argmin(dim=1))


@mistake(MULTIPLIED_OUT, caught_by=FORM)
def without_what_all_codes_share(z, codebook):
    scores = z @ codebook.T - 0.5 * (codebook**2).sum(dim=1)
    return with_indices(z, codebook, scores.argmax(dim=1))


@mistake(WRONG_TIES, caught_by=FORM)
def last_of_the_nearest(z, codebook):
    distances = torch.norm(z[:, None] - codebook[None], dim=2)
    return with_indices(z, codebook, len(codebook) - 1 - distances.flip(1).argmin(dim=1))


@mistake(WRONG_TIES, caught_by=FORM)
def later_code_replaces_an_equal_one(z, codebook):
    indices = torch.zeros(len(z), dtype=torch.int64)
    for row, vector in enumerate(z):
        best = float("inf")
        for index, code in enumerate(codebook):
            distance = float(((vector - code) ** 2).sum().detach())
            if distance <= best:
                best, indices[row] = distance, index
    return with_indices(z, codebook, indices)


@mistake("returns indices of another dtype than int64", caught_by=FORM)
def indices_in_int32(z, codebook):
    quantised, indices, *losses = with_indices(z, codebook, nearest(z, codebook))
    return quantised, indices.int(), *losses


@mistake("returns indices of another dtype than int64", caught_by=FORM)
def indices_as_floats(z, codebook):
    quantised, indices, *losses = with_indices(z, codebook, nearest(z, codebook))
    return quantised, indices.to(z.dtype), *losses


@mistake(SINGLE_OUT, caught_by=FORM)
def single_out(z, codebook):
    quantised, indices, *losses = with_indices(z, codebook, nearest(z, codebook))
    return quantised.float(), indices, *(loss.float() for loss in losses)


@mistake(DOUBLE_OUT, caught_by=FORM)
def double_out(z, codebook):
    return with_indices(z.double(), codebook.double(), nearest(z, codebook))
