r"""Latent Dirichlet allocation by mean field, without integrating anything out.

Document d draws topic shares :math:`\theta_d \sim \mathrm{Dir}(\alpha)`, topic k word probabilities
:math:`\beta_k \sim \mathrm{Dir}(\eta)`; each word draws its topic from :math:`\theta_d`, then itself from that topic.
The family is :math:`q = \prod_d \mathrm{Dir}(\theta_d; \gamma_d) \prod_k \mathrm{Dir}(\beta_k; \lambda_k)
\prod_{dn} q(z_{dn}; \varphi_{dn})` (Blei, Ng & Jordan, 2003; Hoffman et al., 2013).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from avae_lib.components import component
from avae_lib.divergences.requirements import require_float, require_shape
from avae_lib.meanfield.requirements import require_counts, require_finite, require_positive

__all__ = ["expected_log_dirichlet", "lda_e_step", "lda_elbo"]


@component(unit="02_mean_field")
def lda_e_step(
    counts: Float[Tensor, "docs words"],
    alpha: Float[Tensor, "topics"],
    expected_log_topics: Float[Tensor, "topics words"],
    gamma: Float[Tensor, "docs topics"],
) -> tuple[Float[Tensor, "docs topics"], Float[Tensor, "topics words"]]:
    r"""One update of all documents: topics of their words given ``gamma``, then ``gamma`` given those.

    .. math:: \varphi_{dwk} \propto \exp\bigl(\psi(\gamma_{dk}) + \mathbb{E}[\log \beta_{kw}]\bigr), \qquad
              \gamma_{dk} = \alpha_k + \sum_w n_{dw} \varphi_{dwk}

    where φ sums to one over topics (Blei, Ng & Jordan, 2003, equations 6 and 7; derived in lecture 02). Accurate for
    expectations of any size, where their exponentials are 0 in floating point.

    Args:
        counts: how often each document holds each word, ``(docs, words)``, dense, not negative.
        alpha: concentration of the prior on topic shares, ``(topics,)``, positive.
        expected_log_topics: E[log β] of each topic and word, ``(topics, words)``, finite.
        gamma: concentrations of the documents' topic shares before the update, ``(docs, topics)``, positive.

    Returns:
        The new gamma, ``(docs, topics)``, and the expected counts :math:`\sum_d n_{dw} \varphi_{dwk}`,
        ``(topics, words)``, both of the same φ, in the dtype of the inputs. None of the inputs is changed.

    Raises:
        ValueError: the shapes do not fit, a count is negative, or alpha or gamma is not positive.

    One document with three occurrences of a word that only topic 0 uses (E[log β] = 0, for topic 1 it is −50):

    >>> counts, alpha = torch.tensor([[3.0]]), torch.tensor([0.5, 0.5])
    >>> gamma, expected_counts = lda_e_step(counts, alpha, torch.tensor([[0.0], [-50.0]]), gamma=torch.ones(1, 2))
    >>> gamma
    tensor([[3.5000, 0.5000]])
    """
    _require_e_step(counts, alpha, expected_log_topics, gamma)
    docs, words = counts.nonzero(as_tuple=True)
    # E[log θ] is ψ(γ) minus a number that is the same for all topics and cancels in the softmax.
    log_shares = torch.digamma(gamma)[docs] + expected_log_topics.T[words]  # (entries, topics)
    assigned = counts[docs, words].unsqueeze(1) * torch.softmax(log_shares, dim=1)
    per_document = torch.zeros_like(gamma).index_add(0, docs, assigned)
    per_word = torch.zeros_like(expected_log_topics.T).index_add(0, words, assigned)
    return alpha + per_document, per_word.T


def lda_elbo(
    counts: Float[Tensor, "docs words"],
    alpha: Float[Tensor, "topics"],
    topic_prior: float,
    gamma: Float[Tensor, "docs topics"],
    topic_concentration: Float[Tensor, "topics words"],
) -> Float[Tensor, ""]:
    r"""The bound on log p(documents) in nats, with the optimal φ for the given ``gamma`` and topics.

    .. math:: \sum_{dw} n_{dw} \log \sum_k e^{\mathbb{E}[\log\theta_{dk}] + \mathbb{E}[\log\beta_{kw}]}
              - \sum_d \mathrm{KL}(q(\theta_d) \| p) - \sum_k \mathrm{KL}(q(\beta_k) \| p)

    Documents are sequences of words: no multinomial coefficient is counted (Hoffman et al., 2010, equation 4).

    Args:
        topic_prior: η, the concentration of the prior on each topic's words, positive.
        topic_concentration: λ of each topic and word, ``(topics, words)``, positive.

    The other arguments and the errors are those of :func:`lda_e_step`.

    With one topic the posterior is a Dirichlet distribution and the bound is exact. Two different words in a row have
    the probability 1/2 · 1/3 under a flat prior:

    >>> counts = torch.tensor([[1.0, 1.0]])
    >>> bound = lda_elbo(counts, torch.ones(1), 1.0, gamma=torch.tensor([[3.0]]), topic_concentration=1 + counts)
    >>> bound.exp()
    tensor(0.1667)
    """
    require_positive(topic_concentration=topic_concentration)
    _require_e_step(counts, alpha, topic_concentration, gamma)
    prior = torch.full_like(topic_concentration, topic_prior)
    topics = kl_divergence(Dirichlet(topic_concentration), Dirichlet(prior)).sum()
    return document_elbo(counts, alpha, expected_log_dirichlet(topic_concentration), gamma) - topics


def document_elbo(
    counts: Float[Tensor, "docs words"],
    alpha: Float[Tensor, "topics"],
    expected_log_topics: Float[Tensor, "topics words"],
    gamma: Float[Tensor, "docs topics"],
) -> Float[Tensor, ""]:
    """The documents' part of :func:`lda_elbo`: a sum over documents, which can be added up a few at a time."""
    docs, words = counts.nonzero(as_tuple=True)
    log_joint = expected_log_dirichlet(gamma)[docs] + expected_log_topics.T[words]
    likelihood = counts[docs, words] @ torch.logsumexp(log_joint, dim=1)
    return likelihood - kl_divergence(Dirichlet(gamma), Dirichlet(alpha.expand_as(gamma))).sum()


def expected_log_dirichlet(concentration: Float[Tensor, "*batch outcomes"]) -> Float[Tensor, "*batch outcomes"]:
    r"""E[log θ] for θ ~ Dir(concentration): :math:`\psi(a_k) - \psi(\sum_j a_j)`, nats.

    A concentrated Dirichlet distribution stays close to its mean, here (¼, ¾):

    >>> expected_log_dirichlet(torch.tensor([2500.0, 7500.0])).exp()
    tensor([0.2500, 0.7500])
    """
    return torch.digamma(concentration) - torch.digamma(concentration.sum(dim=-1, keepdim=True))


def _require_e_step(counts: Tensor, alpha: Tensor, topics: Tensor, gamma: Tensor) -> None:
    if counts.is_sparse:
        raise ValueError("counts must be a dense tensor here, got a sparse one: pass a few documents' .to_dense()")
    require_counts(counts)
    require_float(alpha=alpha, expected_log_topics=topics, gamma=gamma)
    require_shape((alpha.numel(),), "topics", alpha=alpha)
    require_shape((len(alpha), counts.shape[1]), "topics, words", expected_log_topics=topics)
    require_shape((len(counts), len(alpha)), "docs, topics", gamma=gamma)
    require_finite(expected_log_topics=topics)
    require_positive(alpha=alpha, gamma=gamma)
