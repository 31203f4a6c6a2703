"""Fitting latent Dirichlet allocation: coordinate ascent on all documents, or stochastic steps on a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.distributions import Dirichlet, kl_divergence

from avae_lib.divergences.requirements import require_float, require_shape
from avae_lib.meanfield.lda import document_elbo, expected_log_dirichlet, lda_e_step
from avae_lib.meanfield.requirements import require_counts, require_positive

__all__ = [
    "Documents",
    "LdaFit",
    "LdaPrior",
    "elbo_of_documents",
    "fit_lda",
    "fit_lda_stochastic",
    "infer_documents",
    "random_topics",
    "stochastic_step",
]


_DOCUMENTS_AT_ONCE = 256  # few enough for their words × topics to stay in a processor's cache


@dataclass(frozen=True)
class LdaPrior:
    """Sizes and priors of a topic model.

    Raises:
        ValueError: there is no topic, or a concentration is not positive.

    >>> LdaPrior(topics=3, document_concentration=0.5).alpha(torch.zeros(1))
    tensor([0.5000, 0.5000, 0.5000])
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
    """The result of :func:`fit_lda`.

    >>> fit = LdaFit(topic_concentration=torch.tensor([[1.0, 3.0]]), gamma=torch.ones(1, 1), elbo=torch.zeros(1))
    >>> fit.topics
    tensor([[0.2500, 0.7500]])
    """

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

    In the first ``fresh_sweeps`` sweeps each document starts over from equal shares of all topics, so that shares
    found with early, random topics do not persist; without these sweeps the fit ends at a much lower bound. After
    them, documents keep their gamma from sweep to sweep, and the bound never falls.

    Args:
        counts: how often each document holds each word, ``(docs, words)``, dense or sparse (COO).
        start: λ to start from, ``(topics, words)``, positive, for example :func:`random_topics`.
        document_updates: updates of gamma in one sweep, at least 1.

    Raises:
        ValueError: the shapes do not fit, a count is negative, or sweeps or document_updates is below 1.

    Two kinds of documents that share no word become two topics:

    >>> counts = torch.tensor([[9.0, 9.0, 0.0, 0.0], [0.0, 0.0, 9.0, 9.0]], dtype=torch.float64).repeat(5, 1)
    >>> fit = fit_lda(counts, LdaPrior(topics=2), start=random_topics(2, 4, Generator().manual_seed(0)))
    >>> fit.topics[fit.topics[:, 0].argsort()].round(decimals=2)
    tensor([[0.0000, 0.0000, 0.5000, 0.5000],
            [0.5000, 0.5000, 0.0000, 0.0000]], dtype=torch.float64)
    """
    require_at_least_one(sweeps=sweeps, document_updates=document_updates)
    require_start(start, prior, counts)
    documents = Documents.of(counts, start.dtype)
    concentration = start
    alpha = prior.alpha(start)
    equal_shares = alpha + documents.lengths.unsqueeze(1) / prior.topics
    least_gain = tolerance * float(documents.lengths.sum())
    gamma = equal_shares
    elbo = []
    while len(elbo) < sweeps and not _has_converged(elbo[fresh_sweeps:], least_gain):
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
    """:func:`lda_e_step` repeated until gamma moves by less than ``tolerance`` on average, or ``updates`` times.

    A document in which only words of topic 1 occur belongs to topic 1:

    >>> log_topics = torch.tensor([[0.99, 0.01], [0.01, 0.99]]).log()
    >>> gamma, _ = infer_documents(torch.tensor([[0.0, 20.0]]), torch.full((2,), 0.1), log_topics, torch.ones(1, 2))
    >>> gamma.argmax(dim=1)
    tensor([1])
    """
    require_at_least_one(updates=updates)
    for _ in range(updates):
        before = gamma
        gamma, expected_counts = lda_e_step(counts, alpha, expected_log_topics, gamma)
        if (gamma - before).abs().mean() < tolerance:
            break
    return gamma, expected_counts


def random_topics(topics: int, words: int, generator: Generator) -> Float[Tensor, "topics words"]:
    """A start for λ: topics that are nearly flat, each with random deviations of its own; float64.

    >>> topics = random_topics(2, 5, Generator().manual_seed(0))
    >>> topics.shape, topics.dtype, bool((topics > 0).all())
    (torch.Size([2, 5]), torch.float64, True)
    """
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
    """:func:`avae_lib.meanfield.lda.lda_elbo`, a few documents at a time.

    >>> from avae_lib.meanfield.lda import lda_elbo
    >>> counts = torch.tensor([[2.0, 1.0], [0.0, 3.0]])
    >>> gamma, topics = torch.ones(2, 2), torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    >>> prior = LdaPrior(2, document_concentration=0.5, topic_concentration=0.1)
    >>> in_parts = elbo_of_documents(Documents.of(counts, torch.float32), prior, gamma, topics)
    >>> in_parts - lda_elbo(counts, prior.alpha(gamma), 0.1, gamma, topics)
    tensor(0.)
    """
    alpha, log_topics = prior.alpha(gamma), expected_log_dirichlet(concentration)
    parts = [document_elbo(counts, alpha, log_topics, gamma[which]) for which, counts in documents.chunks()]
    topic_prior = torch.full_like(concentration, prior.topic_concentration)
    return torch.stack(parts).sum() - kl_divergence(Dirichlet(concentration), Dirichlet(topic_prior)).sum()


def _has_converged(elbo: list[Tensor], least_gain: float) -> bool:
    return len(elbo) > 1 and bool(elbo[-1] - elbo[-2] < least_gain)


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


@dataclass(frozen=True)
class Documents:
    """Word counts of more documents than fit into one dense matrix; a few at a time are made dense.

    >>> documents = Documents.of(torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 4.0]]), torch.float32)
    >>> documents.count, documents.lengths, documents.dense(1, 2)
    (2, tensor([3., 4.]), tensor([[0., 0., 4.]]))
    """

    rows: Int[Tensor, "entries"]
    columns: Int[Tensor, "entries"]
    values: Float[Tensor, "entries"]
    words: int
    """Size of the vocabulary."""
    first_entry: list[int]
    """Index of the first entry of each document, then one past the last entry of all."""
    lengths: Float[Tensor, "docs"]
    """Number of words in each document."""

    @classmethod
    def of(cls, counts: Float[Tensor, "docs words"], dtype: torch.dtype) -> Documents:
        """From a matrix that is dense or sparse (COO).

        Raises:
            ValueError: ``counts`` is not a matrix, is empty, or holds a negative or infinite count.
        """
        require_counts(counts)
        sparse = (counts if counts.is_sparse else counts.to_sparse()).coalesce()
        (rows, columns), values = sparse.indices(), sparse.values().to(dtype)
        ends = torch.bincount(rows, minlength=len(counts)).cumsum(dim=0)
        lengths = values.new_zeros(len(counts)).index_add(0, rows, values)
        return cls(rows, columns, values, counts.shape[1], [0, *ends.tolist()], lengths)

    @property
    def count(self) -> int:
        """Number of documents."""
        return len(self.lengths)

    def dense(self, start: int, stop: int) -> Float[Tensor, "docs words"]:
        """The documents from ``start`` up to, but not including, ``stop``."""
        entries = slice(self.first_entry[start], self.first_entry[stop])
        chunk = self.values.new_zeros(stop - start, self.words)
        chunk[self.rows[entries] - start, self.columns[entries]] = self.values[entries]
        return chunk

    def chunks(self) -> Iterator[tuple[slice, Float[Tensor, "docs words"]]]:
        """All documents, a few at a time, each time with the slice that they are."""
        for start in range(0, self.count, _DOCUMENTS_AT_ONCE):
            stop = min(start + _DOCUMENTS_AT_ONCE, self.count)
            yield slice(start, stop), self.dense(start, stop)


def stochastic_step(
    batch: Float[Tensor, "batch words"],
    total_documents: int,
    prior: LdaPrior,
    topic_concentration: Float[Tensor, "topics words"],
    step: int,
    document_updates: int = 50,
    delay: float = 10.0,
    decay: float = 0.7,
) -> Float[Tensor, "topics words"]:
    r"""One natural-gradient step on the topics from a few documents that stand for all (Hoffman et al., 2013).

    .. math:: \lambda \leftarrow (1 - \rho_t) \lambda
              + \rho_t \Bigl(\eta + \tfrac{D}{|B|} \sum_{d \in B} n_{dw} \varphi_{dwk}\Bigr), \qquad
              \rho_t = (t + \text{delay})^{-\text{decay}}

    Args:
        batch: some documents, ``(batch, words)``, dense.

        total_documents: D, the number of all documents.
        step: t, counted from 1. With ``decay`` in (0.5, 1] the steps meet the conditions of Robbins & Monro (1951).

    The first step moves the topics by ρ = 1 / (1 + delay)^decay towards what the batch suggests:

    >>> prior, topics = LdaPrior(1, topic_concentration=0.5), torch.tensor([[1.0, 1.0]])
    >>> stochastic_step(torch.tensor([[3.0, 0.0]]), 10, prior, topics, step=1, delay=1.0, decay=1.0)
    tensor([[15.7500,  0.7500]])
    """
    alpha = prior.alpha(topic_concentration)
    gamma = alpha + batch.sum(dim=1, keepdim=True) / prior.topics
    log_topics = expected_log_dirichlet(topic_concentration)
    _, expected_counts = infer_documents(batch, alpha, log_topics, gamma, document_updates)
    rate = (step + delay) ** -decay
    from_batch = prior.topic_concentration + total_documents / len(batch) * expected_counts
    return (1 - rate) * topic_concentration + rate * from_batch


def fit_lda_stochastic(
    counts: Float[Tensor, "docs words"],
    prior: LdaPrior,
    start: Float[Tensor, "topics words"],
    steps: int,
    generator: Generator,
    batch_size: int = 64,
    document_updates: int = 50,
) -> Float[Tensor, "topics words"]:
    """λ after ``steps`` stochastic steps (:func:`stochastic_step`) on documents drawn without replacement.

    Raises:
        ValueError: as for :func:`fit_lda`.

    >>> counts = torch.tensor([[9.0, 9.0, 0.0, 0.0], [0.0, 0.0, 9.0, 9.0]], dtype=torch.float64).repeat(50, 1)
    >>> source = Generator().manual_seed(0)
    >>> topics = fit_lda_stochastic(counts, LdaPrior(2), random_topics(2, 4, source), steps=30, generator=source)
    >>> topics.shape, bool((topics > 0).all())
    (torch.Size([2, 4]), True)
    """
    require_at_least_one(steps=steps, batch_size=batch_size)
    require_start(start, prior, counts)
    documents = Documents.of(counts, start.dtype)
    concentration = start
    for step in range(1, steps + 1):
        drawn = torch.randperm(documents.count, generator=generator)[:batch_size]
        batch = torch.cat([documents.dense(int(i), int(i) + 1) for i in drawn])
        concentration = stochastic_step(batch, documents.count, prior, concentration, step, document_updates)
    return concentration
