"""Processor time to reach the same bound on a corpus drawn from the model: scikit-learn's batch method, then ours.

    python benchmarks/topic_model.py                                  20,000 documents of 5,000 words: about 3 minutes
    python benchmarks/topic_model.py --documents 2000 --words 1000    a smaller corpus

Both start from the same topics. scikit-learn's bound is evaluated by our formula, which the tests
compare with scikit-learn's.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch
import tyro
from records import Table, record
from sklearn.decomposition import LatentDirichletAllocation

from avae_lib.meanfield import LdaPrior, fit_lda
from avae_lib.meanfield.lda_fit import Documents, elbo_of_documents

WORDS_PER_DOCUMENT = 100
DOCUMENT_CONCENTRATION, TOPIC_CONCENTRATION = 0.1, 0.01


@dataclass(frozen=True)
class Corpus:
    """Size of a corpus, and the number of iterations of each method."""

    documents: int = 20_000
    words: int = 5_000
    topics: int = 20
    iterations: int = 5
    """Iterations of scikit-learn."""
    sweeps: int = 13
    """Largest number of sweeps of our method; each updates the document parameters five times."""


def synthetic_counts(corpus: Corpus, random: np.random.Generator) -> scipy.sparse.csr_matrix:
    """Word counts drawn from the model: a few topics for each document, a few words for each topic."""
    topics = random.dirichlet(np.full(corpus.words, 0.05), corpus.topics)
    shares = random.dirichlet(np.full(corpus.topics, DOCUMENT_CONCENTRATION), corpus.documents)
    rows, columns = [], []
    for document, share in enumerate(shares):
        words_of_topic = random.multinomial(random.poisson(WORDS_PER_DOCUMENT), share)
        for topic in np.nonzero(words_of_topic)[0]:
            columns.append(random.choice(corpus.words, words_of_topic[topic], p=topics[topic]))
            rows.append(np.full(words_of_topic[topic], document))
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    return scipy.sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), (corpus.documents, corpus.words)).tocsr()


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """The result of ``work``, and the seconds of processor time that it took."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def main(corpus: Corpus) -> None:
    counts = synthetic_counts(corpus, np.random.default_rng(0))
    entries = counts.tocoo()
    sparse = torch.sparse_coo_tensor(
        np.stack([entries.row, entries.col]), torch.from_numpy(entries.data), counts.shape, check_invariants=True
    ).coalesce()
    theirs = LatentDirichletAllocation(
        corpus.topics,
        doc_topic_prior=DOCUMENT_CONCENTRATION,
        topic_word_prior=TOPIC_CONCENTRATION,
        learning_method="batch",
        max_iter=corpus.iterations,
        random_state=1,
    )
    _, their_seconds = timed(lambda: theirs.fit(counts))
    prior = LdaPrior(corpus.topics, DOCUMENT_CONCENTRATION, TOPIC_CONCENTRATION)
    gamma = torch.from_numpy(theirs._unnormalized_transform(counts))
    documents = Documents.of(sparse, torch.float64)
    bound = elbo_of_documents(documents, prior, gamma, torch.from_numpy(theirs.components_)).item()
    # scikit-learn draws its initial topics from its random state in this way.
    start = torch.from_numpy(np.random.RandomState(1).gamma(100.0, 0.01, (corpus.topics, corpus.words)))
    ours, our_seconds = timed(lambda: fit_lda(sparse, prior, start, sweeps=corpus.sweeps))
    report(corpus, bound, their_seconds, ours.elbo, our_seconds)


def report(corpus: Corpus, bound: float, their_seconds: float, elbo: torch.Tensor, our_seconds: float) -> None:
    """One table: bound, iterations, seconds of processor time, ratio."""
    print(f"{corpus.documents:,} documents, {corpus.words:,} words, {corpus.topics} topics")
    table = Table(program="<14", iterations=">11", bound_nats=">14.1f", seconds=">9.1f", ratio=">7.2f")
    table.add(program="scikit-learn", iterations=corpus.iterations, bound_nats=bound, seconds=their_seconds, ratio=1.0)
    reached = (elbo >= bound).nonzero()
    sweep = int(reached[0]) + 1 if len(reached) else len(elbo)
    seconds = our_seconds * sweep / len(elbo)  # sweeps take equal times
    ratio = seconds / their_seconds if len(reached) else None
    table.add(program="ours", iterations=sweep, bound_nats=elbo[sweep - 1].item(), seconds=seconds, ratio=ratio)
    if ratio is None:
        print("ours has not reached the same bound: try more --sweeps")
    record("topic_model", table.rows, corpus=dataclasses.asdict(corpus))


if __name__ == "__main__":
    main(tyro.cli(Corpus, description=__doc__))
