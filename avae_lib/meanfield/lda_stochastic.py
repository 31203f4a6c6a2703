"""Stochastic variational inference: topics from a few documents at a time."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from avae_lib.meanfield.documents import Documents
from avae_lib.meanfield.lda import expected_log_dirichlet
from avae_lib.meanfield.lda_fit import LdaPrior, infer_documents, require_at_least_one, require_start

__all__ = ["fit_lda_stochastic", "stochastic_step"]


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
        total_documents: D.
        step: t, from 1 on. With ``decay`` in (0.5, 1] the steps meet the conditions of Robbins & Monro (1951).
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
    """
    require_at_least_one(steps=steps, batch_size=batch_size)
    require_start(start, prior, counts)
    documents, concentration = Documents.of(counts, start.dtype), start
    for step in range(1, steps + 1):
        drawn = torch.randperm(documents.count, generator=generator)[:batch_size]
        batch = torch.cat([documents.dense(int(i), int(i) + 1) for i in drawn])
        concentration = stochastic_step(batch, documents.count, prior, concentration, step, document_updates)
    return concentration
