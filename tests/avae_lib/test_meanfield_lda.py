import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma, gammaln
from sklearn.decomposition import LatentDirichletAllocation

from avae_lib.meanfield.lda import expected_log_dirichlet, lda_e_step, lda_elbo
from avae_lib.meanfield.lda_fit import (
    LdaPrior,
    fit_lda,
    fit_lda_stochastic,
    infer_documents,
    random_topics,
    stochastic_step,
)

property_of = settings(deadline=None, max_examples=20)
seeds = st.integers(0, 2**31)


def corpus(seed: int, docs: int = 20, words: int = 12, topics: int = 3, length: int = 40) -> torch.Tensor:
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(topics, 0.3), docs)
    topics_of_words = random.dirichlet(np.full(words, 0.2), topics)
    return torch.from_numpy(random.poisson(length * shares @ topics_of_words).astype(float))


def positive(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 + 0.05


@property_of
@given(seeds, st.integers(1, 4))
def test_e_step_equals_a_loop_over_documents_and_words(seed, topics):
    counts = corpus(seed, docs=4, words=5)
    alpha, gamma = positive(seed, topics), positive(seed + 1, 4, topics)
    log_topics = expected_log_dirichlet(positive(seed + 2, topics, 5))
    new_gamma, expected_counts = lda_e_step(counts, alpha, log_topics, gamma)
    wanted_gamma, wanted_counts = alpha.numpy() + np.zeros((4, topics)), np.zeros((topics, 5))
    for d in range(4):
        for w in range(5):
            score = np.exp(digamma(gamma[d].numpy()) - digamma(gamma[d].sum().item()) + log_topics[:, w].numpy())
            wanted_gamma[d] += counts[d, w].item() * score / score.sum()
            wanted_counts[:, w] += counts[d, w].item() * score / score.sum()
    assert np.allclose(new_gamma, wanted_gamma, rtol=1e-10) and np.allclose(expected_counts, wanted_counts, rtol=1e-10)


@property_of
@given(seeds)
def test_e_step_hands_out_every_word_once_and_does_not_mind_shifts_of_a_words_logits(seed):
    counts, alpha, gamma = corpus(seed), positive(seed, 3), positive(seed + 1, 20, 3)
    log_topics = torch.log(positive(seed + 2, 3, 12))
    new_gamma, expected_counts = lda_e_step(counts, alpha, log_topics, gamma)
    assert torch.allclose(new_gamma.sum(1), alpha.sum() + counts.sum(1))
    assert torch.allclose(expected_counts.sum(0), counts.sum(0))
    shifted = lda_e_step(counts, alpha, log_topics + 1000 * torch.randn(12).double(), gamma)
    assert torch.allclose(shifted[0], new_gamma) and torch.allclose(shifted[1], expected_counts)


@property_of
@given(seeds)
def test_e_step_does_not_depend_on_the_order_of_topics_words_or_documents(seed):
    counts, alpha, gamma = corpus(seed), positive(seed, 3), positive(seed + 1, 20, 3)
    log_topics = torch.log(positive(seed + 2, 3, 12))
    new_gamma, expected_counts = lda_e_step(counts, alpha, log_topics, gamma)
    generator = torch.Generator().manual_seed(seed)
    d, k, w = (torch.randperm(n, generator=generator) for n in (20, 3, 12))
    moved = lda_e_step(counts[d][:, w], alpha[k], log_topics[k][:, w], gamma[d][:, k])
    assert torch.allclose(moved[0], new_gamma[d][:, k]) and torch.allclose(moved[1], expected_counts[k][:, w])


def test_e_step_holds_where_exponentials_underflow():
    counts, alpha = torch.ones(1, 1), torch.full((2,), 1e-3)
    log_topics = torch.tensor([[-2000.0], [-500.0]])  # ψ(1) − 2000 is far below ψ(0.001) − 500 ≈ −1500
    gamma, expected_counts = lda_e_step(counts, alpha, log_topics, torch.tensor([[1.0, 1e-3]]))
    assert torch.allclose(gamma, torch.tensor([[0.001, 1.001]]))
    assert torch.allclose(expected_counts, torch.tensor([[0.0], [1.0]]))


@property_of
@given(seeds, st.integers(1, 3))
def test_coordinate_ascent_never_lowers_the_elbo(seed, updates):
    start = random_topics(3, 12, torch.Generator().manual_seed(seed))
    fit = fit_lda(corpus(seed), LdaPrior(3), start, 15, updates, fresh_sweeps=0, tolerance=0)
    assert (fit.elbo.diff() >= -1e-8).all()
    later = fit_lda(corpus(seed), LdaPrior(3), start, 15, updates, fresh_sweeps=5, tolerance=0)
    assert (later.elbo[5:].diff() >= -1e-8).all()


def exact_log_evidence(counts: torch.Tensor, alpha: float, eta: float, topics: int) -> float:
    """log p of a few words by summing over all assignments of topics to them."""
    tokens = [(d, w) for d, row in enumerate(counts.int().tolist()) for w, n in enumerate(row) for _ in range(n)]

    def log_polya(table, prior):
        table = np.asarray(table, float)
        total = gammaln(prior * table.shape[1]) - gammaln(prior * table.shape[1] + table.sum(1))
        return (total + (gammaln(prior + table) - gammaln(prior)).sum(1)).sum()

    terms = []
    for assignment in itertools.product(range(topics), repeat=len(tokens)):
        documents, words = np.zeros((len(counts), topics)), np.zeros((topics, counts.shape[1]))
        for (d, w), k in zip(tokens, assignment, strict=True):
            documents[d, k] += 1
            words[k, w] += 1
        terms.append(log_polya(documents, alpha) + log_polya(words, eta))
    return float(np.logaddexp.reduce(terms))


def test_elbo_never_exceeds_the_evidence_summed_over_all_assignments():
    counts = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]], dtype=torch.float64)
    prior = LdaPrior(2, 0.7, 0.4)
    exact = exact_log_evidence(counts, 0.7, 0.4, 2)
    for seed in range(5):
        fit = fit_lda(counts, prior, random_topics(2, 3, torch.Generator().manual_seed(seed)), tolerance=1e-9)
        assert fit.elbo[-1] <= exact
    assert fit.elbo[-1] > exact - 6


def test_starting_documents_over_while_topics_are_random_ends_higher():
    counts, prior = corpus(7, docs=150, words=60, topics=6, length=60), LdaPrior(6, 0.1, 0.01)
    start = random_topics(6, 60, torch.Generator().manual_seed(0))
    assert fit_lda(counts, prior, start).elbo[-1] > fit_lda(counts, prior, start, fresh_sweeps=0).elbo[-1] + 100


def fitted_by_sklearn(counts: torch.Tensor, **settings) -> LatentDirichletAllocation:
    theirs = LatentDirichletAllocation(
        3, doc_topic_prior=0.4, topic_word_prior=0.2, max_doc_update_iter=500, mean_change_tol=1e-10, **settings
    )
    return theirs.fit(counts.numpy())


@pytest.mark.parametrize("seed", [1, 2])
def test_bound_equals_that_of_sklearn_and_its_fixed_points_are_ours(seed):
    counts = corpus(seed, docs=15, length=80)
    theirs = fitted_by_sklearn(counts, max_iter=400, random_state=seed)
    gamma, topics = (
        torch.from_numpy(theirs._unnormalized_transform(counts.numpy())),
        torch.from_numpy(theirs.components_),
    )
    alpha = torch.full((3,), 0.4, dtype=torch.float64)
    bound = lda_elbo(counts, alpha, 0.2, gamma, topics)
    assert bound.item() == pytest.approx(theirs._approx_bound(counts.numpy(), gamma.numpy(), False), rel=1e-10)
    ours = fit_lda(counts, LdaPrior(3, 0.4, 0.2), topics, 3, 100, tolerance=0)
    assert torch.allclose(ours.topic_concentration, topics, rtol=1e-4, atol=2e-3)
    assert ours.elbo[-1].item() == pytest.approx(bound.item(), abs=1e-4)


def test_documents_inferred_given_topics_are_those_of_sklearn():
    counts = corpus(3)
    theirs = fitted_by_sklearn(counts, max_iter=20, random_state=0)
    log_topics = expected_log_dirichlet(torch.from_numpy(theirs.components_))
    alpha = torch.full((3,), 0.4, dtype=torch.float64)
    gamma, _ = infer_documents(counts, alpha, log_topics, torch.ones(20, 3, dtype=torch.float64), 500, 1e-10)
    assert np.allclose(gamma, theirs._unnormalized_transform(counts.numpy()), atol=1e-6)


def test_stochastic_steps_equal_sklearns_online_method():
    counts = corpus(4)
    theirs = LatentDirichletAllocation(
        3, doc_topic_prior=0.4, topic_word_prior=0.2, learning_offset=10.0, learning_decay=0.7, total_samples=20,
        max_doc_update_iter=500, mean_change_tol=1e-10, random_state=0,
    )  # fmt: skip
    theirs.partial_fit(counts[:5].numpy())
    topics = torch.from_numpy(theirs.components_.copy())
    for step, first in enumerate((5, 10, 15), start=theirs.n_batch_iter_):
        theirs.partial_fit(counts[first : first + 5].numpy())
        topics = stochastic_step(counts[first : first + 5], 20, LdaPrior(3, 0.4, 0.2), topics, step, 500)
    assert np.allclose(topics, theirs.components_, rtol=1e-3)


def test_stochastic_fit_comes_near_the_bound_of_the_whole_and_repeats_with_its_generator():
    counts, prior = corpus(5, docs=100), LdaPrior(3, 0.4, 0.2)
    start = random_topics(3, 12, torch.Generator().manual_seed(0))
    fits = [fit_lda_stochastic(counts, prior, start, 40, torch.Generator().manual_seed(1), 20, 20) for _ in range(2)]
    assert torch.equal(*fits)
    whole = fit_lda(counts, prior, start)
    resumed = fit_lda(counts, prior, fits[0], sweeps=1, document_updates=50)
    assert resumed.elbo[0] > whole.elbo[0] and resumed.elbo[0] > whole.elbo[-1] - 0.02 * whole.elbo[-1].abs()


def test_sparse_counts_in_pieces_give_what_dense_ones_do():
    counts, prior = corpus(6, docs=600, length=10), LdaPrior(3)
    start = random_topics(3, 12, torch.Generator().manual_seed(0))
    dense, sparse = (fit_lda(c, prior, start, sweeps=3) for c in (counts, counts.to_sparse()))
    assert torch.equal(dense.topic_concentration, sparse.topic_concentration)
    bound = lda_elbo(counts, prior.alpha(start), 0.01, dense.gamma, dense.topic_concentration)
    assert dense.elbo[-1].item() == pytest.approx(bound.item(), rel=1e-12)
    assert torch.allclose(dense.topics.sum(1), torch.ones(3, dtype=torch.float64))


def test_topics_that_made_the_documents_are_found():
    random = np.random.default_rng(0)
    topics = np.kron(np.eye(3), np.full((1, 4), 0.25))
    counts = torch.from_numpy(random.poisson(30 * random.dirichlet(np.full(3, 0.1), 60) @ topics).astype(float))
    fit = fit_lda(counts, LdaPrior(3, 0.1, 0.1), random_topics(3, 12, torch.Generator().manual_seed(1)))
    found = {tuple(sorted(topic.topk(4).indices.tolist())) for topic in fit.topics}
    assert found == {(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)}


ONES = dict(counts=torch.ones(2, 4), alpha=torch.ones(3), expected_log_topics=-torch.ones(3, 4), gamma=torch.ones(2, 3))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"counts": -torch.ones(2, 4)}, "counts must not be negative, the smallest is -1"),
        ({"counts": torch.ones(2, 4) / 0}, "counts must be finite"),
        ({"counts": torch.ones(4)}, r"counts must be a matrix \(docs × words\)"),
        ({"counts": torch.ones(0, 4)}, "counts is empty"),
        ({"counts": torch.ones(2, 4).to_sparse()}, "counts must be a dense tensor"),
        ({"counts": torch.ones(2, 4, dtype=torch.int64)}, "counts must hold floating-point numbers"),
        ({"alpha": torch.zeros(3)}, "alpha must be positive"),
        ({"alpha": torch.ones(3, 1)}, "alpha must have the shape"),
        ({"gamma": torch.ones(3, 2)}, r"gamma must have the shape \(2, 3\) \(docs, topics\)"),
        ({"gamma": -torch.ones(2, 3)}, "gamma must be positive"),
        ({"expected_log_topics": torch.ones(3, 5)}, r"expected_log_topics must have the shape \(3, 4\)"),
        ({"expected_log_topics": torch.ones(3, 4) / 0}, "expected_log_topics must be finite"),
    ],
)
def test_each_wrong_argument_has_its_own_error(changed, message):
    with pytest.raises(ValueError, match=message):
        lda_e_step(**{**ONES, **changed})


def test_each_wrong_setting_has_its_own_error():
    counts, start = torch.ones(2, 4), torch.ones(3, 4)
    with pytest.raises(ValueError, match="topics must be at least 1"):
        LdaPrior(0)
    with pytest.raises(ValueError, match=r"must be positive, got 0\.1 and 0\.0"):
        LdaPrior(3, 0.1, 0.0)
    with pytest.raises(ValueError, match="sweeps must be at least 1"):
        fit_lda(counts, LdaPrior(3), start, sweeps=0)
    with pytest.raises(ValueError, match=r"start must have the shape \(3, 4\)"):
        fit_lda(counts, LdaPrior(3), torch.ones(2, 4))
    with pytest.raises(ValueError, match="start must be positive"):
        fit_lda_stochastic(counts, LdaPrior(3), start - 1, 3, torch.Generator())
    with pytest.raises(ValueError, match="counts must not be negative"):
        fit_lda(-counts, LdaPrior(3), start)


def test_nothing_is_changed_in_place_and_the_dtype_is_kept():
    for dtype in (torch.float32, torch.float64):
        arguments = {name: tensor.to(dtype) for name, tensor in ONES.items()}
        before = {name: tensor.clone() for name, tensor in arguments.items()}
        results = lda_e_step(**arguments)
        assert all(torch.equal(arguments[name], before[name]) for name in before)
        assert all(result.dtype == dtype for result in results)
