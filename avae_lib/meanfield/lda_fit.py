"""Fitting latent Dirichlet allocation by coordinate ascent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.distributions import Dirichlet, kl_divergence

from avae_lib.divergences.requirements import require_float, require_shape
from avae_lib.meanfield.documents import Documents
from avae_lib.meanfield.lda import document_elbo, expected_log_dirichlet, lda_e_step
from avae_lib.meanfield.requirements import require_positive

__all__ = ["LdaFit", "LdaPrior", "elbo_of_documents", "fit_lda", "infer_documents", "random_topics"]


@dataclass(frozen=True)
class LdaPrior:
    """Sizes and priors of a topic model.

    Raises:
        ValueError: there is no topic, or a concentration is not positive.
    """

    topics: int
    """Number of topics."""
    document_concentration: float = 0.1
    """α, the same for all topics: small values give documents few topics."""
    topic_concentration: float = 0.01
    """η, the same for all words: small values give topics few words."""

    def __post_init__(self) -> None:
        if self.topics < 1:
            raise ValueError(f"topics must be at least 1, got {self.topics}")
        if not (self.document_concentration > 0 and self.topic_concentration > 0):
            raise ValueError(
                "document_concentration and topic_concentration must be positive, "
                f"got {self.document_concentration} and {self.topic_concentration}"
            )

    def alpha(self, like: Tensor) -> Float[Tensor, "topics"]:
        """α as a tensor in the dtype of ``like``."""
        return like.new_full((self.topics,), self.document_concentration)


@dataclass(frozen=True)
class LdaFit:
    """Where a fit ended."""

    topic_concentration: Float[Tensor, "topics words"]
    """λ: pseudo-counts of each topic's words."""
    gamma: Float[Tensor, "docs topics"]
    """Pseudo-counts of each document's topics."""
    elbo: Float[Tensor, "sweeps"]
    """The bound after each sweep over all documents, nats; after the fresh sweeps it never falls."""

    @property
    def topics(self) -> Float[Tensor, "topics words"]:
        """Expected word probabilities of each topic."""
        return self.topic_concentration / self.topic_concentration.sum(dim=1, keepdim=True)


def fit_lda(
    counts: Float[Tensor, "docs words"],
    prior: LdaPrior,
    start: Float[Tensor, "topics words"],
    sweeps: int = 100,
    document_updates: int = 5,
    fresh_sweeps: int = 10,
    tolerance: float = 1e-6,
) -> LdaFit:
    """Coordinate ascent until a sweep raises the bound by less than ``tolerance`` nats per word, or for ``sweeps``.

    In the first ``fresh_sweeps`` sweeps each document starts over from equal shares of all topics, so that it is not
    held by what the topics were while still random; without them the fit ends far lower. After that documents keep
    their gamma from sweep to sweep, and the bound never falls.

    Args:
        counts: how often each document holds each word, ``(docs, words)``, dense or sparse (COO).
        start: λ to start from, ``(topics, words)``, positive, for example :func:`random_topics`.
        document_updates: updates of gamma in one sweep, at least 1.

    Raises:
        ValueError: the shapes do not fit, a count is negative, or there is nothing to do.
    """
    require_at_least_one(sweeps=sweeps, document_updates=document_updates)
    require_start(start, prior, counts)
    documents = Documents.of(counts, start.dtype)
    alpha, concentration = prior.alpha(start), start
    equal_shares = alpha + documents.lengths.unsqueeze(1) / prior.topics
    gamma, elbo = equal_shares, []
    while len(elbo) < sweeps and not _stands_still(elbo[fresh_sweeps:], tolerance * float(documents.lengths.sum())):
        gamma = equal_shares if len(elbo) < fresh_sweeps else gamma
        gamma, expected_counts = _sweep(documents, alpha, concentration, gamma, document_updates)
        concentration = prior.topic_concentration + expected_counts
        elbo.append(elbo_of_documents(documents, prior, gamma, concentration))
    return LdaFit(concentration, gamma, torch.stack(elbo))


def infer_documents(
    counts: Float[Tensor, "docs words"],
    alpha: Float[Tensor, "topics"],
    expected_log_topics: Float[Tensor, "topics words"],
    gamma: Float[Tensor, "docs topics"],
    updates: int = 100,
    tolerance: float = 1e-4,
) -> tuple[Float[Tensor, "docs topics"], Float[Tensor, "topics words"]]:
    """:func:`lda_e_step` repeated until gamma moves by less than ``tolerance`` on average, or ``updates`` times."""
    require_at_least_one(updates=updates)
    for _ in range(updates):
        before = gamma
        gamma, expected_counts = lda_e_step(counts, alpha, expected_log_topics, gamma)
        if (gamma - before).abs().mean() < tolerance:
            break
    return gamma, expected_counts


def random_topics(topics: int, words: int, generator: Generator) -> Float[Tensor, "topics words"]:
    """λ to start from: every topic nearly flat, each in its own way; float64."""
    noise = torch.randn(topics, words, generator=generator, dtype=torch.float64)
    return (1 + 0.1 * noise).clamp(min=0.5)


def _sweep(
    documents: Documents, alpha: Tensor, concentration: Tensor, gamma: Tensor, updates: int
) -> tuple[Tensor, Tensor]:
    """New gamma of all documents, and their expected counts."""
    gamma, total = gamma.clone(), torch.zeros_like(concentration)
    log_topics = expected_log_dirichlet(concentration)
    for which, counts in documents.chunks():
        gamma[which], expected_counts = infer_documents(counts, alpha, log_topics, gamma[which], updates)
        total += expected_counts
    return gamma, total


def elbo_of_documents(documents: Documents, prior: LdaPrior, gamma: Tensor, concentration: Tensor) -> Tensor:
    """:func:`avae_lib.meanfield.lda.lda_elbo`, a few documents at a time."""
    alpha, log_topics = prior.alpha(gamma), expected_log_dirichlet(concentration)
    parts = [document_elbo(counts, alpha, log_topics, gamma[which]) for which, counts in documents.chunks()]
    topic_prior = torch.full_like(concentration, prior.topic_concentration)
    return torch.stack(parts).sum() - kl_divergence(Dirichlet(concentration), Dirichlet(topic_prior)).sum()


def _stands_still(elbo: list[Tensor], tolerance: float) -> bool:
    return len(elbo) > 1 and bool(elbo[-1] - elbo[-2] < tolerance)


def require_at_least_one(**settings: int) -> None:
    """Each of the named settings is 1 or more."""
    for name, value in settings.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def require_start(start: Tensor, prior: LdaPrior, counts: Tensor) -> None:
    """The topics to start from are positive and fit the prior and the documents."""
    require_float(start=start)
    require_shape((prior.topics, counts.shape[-1]), "topics, words", start=start)
    require_positive(start=start)
