"""Right ways to write ``lda_e_step``."""

import sys

import numpy as np
import torch
from scipy.special import digamma, logsumexp
from scipy.special import softmax as softmax_of_scipy

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def one_softmax(counts, alpha, expected_log_topics, gamma):
    phi = torch.softmax(torch.digamma(gamma)[:, :, None] + expected_log_topics, dim=1)  # (docs, topics, words)
    assigned = counts[:, None, :] * phi
    return alpha + assigned.sum(dim=2), assigned.sum(dim=0)


@variant
def whole_expectation(counts, alpha, expected_log_topics, gamma):
    log_theta = torch.digamma(gamma) - torch.digamma(gamma.sum(dim=1, keepdim=True))
    log_phi = log_theta.unsqueeze(1) + expected_log_topics.T.unsqueeze(0)
    phi = torch.exp(log_phi - torch.logsumexp(log_phi, dim=2, keepdim=True))
    return alpha + torch.einsum("dw,dwk->dk", counts, phi), torch.einsum("dw,dwk->kw", counts, phi)


@variant
def document_by_document(counts, alpha, expected_log_topics, gamma):
    expected, new = torch.zeros_like(expected_log_topics), torch.empty_like(gamma)
    for d in range(len(counts)):
        phi = torch.softmax(torch.digamma(gamma[d]).unsqueeze(1) + expected_log_topics, dim=0)
        assigned = counts[d] * phi
        new[d] = alpha + assigned.sum(dim=1)
        expected += assigned
    return new, expected


@variant
def word_by_word(counts, alpha, expected_log_topics, gamma):
    print("documents:", len(counts))
    print("UserWarning: nothing is wrong", file=sys.stderr)
    new, expected = alpha.repeat(len(counts), 1), torch.zeros_like(expected_log_topics)
    for d, document in enumerate(counts):
        for w in document.nonzero().flatten().tolist():
            phi = torch.softmax(torch.digamma(gamma[d]) + expected_log_topics[:, w], dim=0)
            new[d] += document[w] * phi
            expected[:, w] += document[w] * phi
    return new, expected


@variant
def words_that_occur(counts, alpha, expected_log_topics, gamma):
    docs, words = torch.nonzero(counts, as_tuple=True)
    phi = (torch.digamma(gamma)[docs] + expected_log_topics[:, words].T).softmax(dim=-1)
    assigned = counts[docs, words][:, None] * phi
    new = alpha.expand_as(gamma).clone().index_add_(0, docs, assigned)
    expected = torch.zeros_like(expected_log_topics.T).index_add_(0, words, assigned)
    return new, expected.T.contiguous()


@variant
def numpy_and_scipy(counts, alpha, expected_log_topics, gamma):
    n, a, log_beta, g = (t.numpy() for t in (counts, alpha, expected_log_topics, gamma))
    phi = softmax_of_scipy(digamma(g)[:, None, :] + log_beta.T[None], axis=2)
    assigned = n[:, :, None] * phi
    new, expected = a + assigned.sum(axis=1), assigned.sum(axis=0).T
    return torch.from_numpy(new).to(gamma.dtype), torch.from_numpy(np.ascontiguousarray(expected)).to(gamma.dtype)


@variant
def logsumexp_of_scipy(counts, alpha, expected_log_topics, gamma):
    log_phi = digamma(gamma.double().numpy())[:, :, None] + expected_log_topics.double().numpy()
    phi = torch.from_numpy(np.exp(log_phi - logsumexp(log_phi, axis=1, keepdims=True)))
    assigned = counts.double().unsqueeze(1) * phi
    return [alpha + assigned.sum(2).to(alpha), assigned.sum(0).to(alpha)]


@variant
def own_maximum_of_each_word(counts, alpha, expected_log_topics, gamma):
    log_phi = torch.digamma(gamma).unsqueeze(2) + expected_log_topics
    weights = torch.exp(log_phi - log_phi.amax(dim=1, keepdim=True))
    phi = weights / weights.sum(dim=1, keepdim=True)
    return alpha + (phi @ counts.unsqueeze(2)).squeeze(2), (phi * counts.unsqueeze(1)).sum(dim=0)


@variant
def matrix_products_after_shifts(counts, alpha, expected_log_topics, gamma):
    topics = torch.exp(expected_log_topics - expected_log_topics.amax(dim=0))
    log_theta = torch.digamma(gamma.double())
    exact = torch.softmax(log_theta.unsqueeze(2) + torch.log(topics.double().clamp(min=1e-300)), dim=1)
    assigned = (counts.double().unsqueeze(1) * exact).to(counts.dtype)
    return alpha + assigned.sum(dim=-1), assigned.sum(dim=0)


@variant
def alpha_as_a_row(counts, alpha, expected_log_topics, gamma):
    phi = (torch.special.psi(gamma).unsqueeze(1) + expected_log_topics.t()).softmax(-1)
    new = torch.bmm(counts.unsqueeze(1), phi).squeeze(1) + alpha.reshape(1, -1)
    return new, torch.sum(counts.unsqueeze(-1) * phi, 0).t()


@variant
def log_shares_normalised(counts, alpha, expected_log_topics, gamma):
    log_phi = torch.digamma(gamma)[:, :, None] + expected_log_topics[None]
    assigned = counts[:, None] * (log_phi - log_phi.logsumexp(1, keepdim=True)).exp()
    return alpha + assigned.sum(2), assigned.sum(0)
