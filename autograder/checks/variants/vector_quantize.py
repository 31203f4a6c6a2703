"""Right ways to write ``vector_quantize``."""

import sys

import torch
import torch.nn.functional as F

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def by_differences(z, codebook):
    distances = ((z.unsqueeze(1) - codebook.unsqueeze(0)) ** 2).sum(dim=-1)
    indices = torch.argmin(distances, dim=1)
    codes = F.embedding(indices, codebook)
    quantised = z + (codes - z).detach()
    return quantised, indices, F.mse_loss(codes, z.detach()), F.mse_loss(z, codes.detach())


@variant
def vector_by_vector(z, codebook):
    indices = torch.tensor([int((vector - codebook).norm(dim=1).argmin()) for vector in z.detach()])
    codes = codebook.index_select(0, indices)
    codebook_loss = ((codes - z.detach()) ** 2).mean()
    commitment_loss = ((codes.detach() - z) ** 2).mean()
    return [codes.detach() + z - z.detach(), indices, codebook_loss, commitment_loss]


@variant
def one_hot_product(z, codebook):
    with torch.no_grad():
        distances = torch.cdist(z, codebook, compute_mode="donot_use_mm_for_euclid_dist")
        nearest, indices = distances.min(dim=1)
    print("largest distance", float(nearest.max()), file=sys.stderr)
    codes = F.one_hot(indices, len(codebook)).to(z.dtype) @ codebook
    losses = [(a.detach() - b).pow(2).sum() / z.numel() for a, b in ((z, codes), (codes, z))]
    return z - (z - codes).detach(), indices, *losses


@variant
def multiplied_out_about_a_code(z, codebook):
    origin = codebook[0].detach()
    vectors, entries = (z - origin).detach(), (codebook - origin).detach()
    distances = (vectors**2).sum(1, keepdim=True) - 2 * vectors @ entries.T + (entries**2).sum(1)
    indices = distances.argmin(1)
    codes = codebook[indices]
    return z + (codes - z).detach(), indices, F.mse_loss(z.detach(), codes), F.mse_loss(codes.detach(), z)


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, codes):
        return codes.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


@variant
def with_a_backward_of_its_own(z, codebook):
    indices = (z[:, None] - codebook).square().sum(2).argmin(1)
    codes = codebook[indices]
    quantised = StraightThrough.apply(z, codes)
    return quantised, indices, (z.detach() - codes).square().mean(), (z - codes.detach()).square().mean()


@variant
def in_double_precision(z, codebook):
    indices = torch.linalg.vector_norm(z.double()[:, None] - codebook.double(), dim=2).argmin(dim=1)
    codes = codebook[indices]
    quantised = z + torch.sub(codes, z).detach()
    return quantised, indices, F.mse_loss(codes, z.data), F.mse_loss(z, codes.data)
