"""Wrong ways to write ``lda_e_step``."""

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

COUNTS = "expected counts"
UNDERFLOW = "expectations whose exponentials are zero"
SUMS_TO_NOTHING = (
    "the exponentials are 0, and 0/0 is NaN: first subtract the largest term of each word in each document, as "
    "softmax does"
)


def log_shares(expected_log_topics, gamma):
    """log φ up to a constant that is the same for all topics of a word, (docs, words, topics)."""
    return torch.digamma(gamma).unsqueeze(1) + expected_log_topics.T


def results(counts, alpha, phi):
    """The two results for given φ."""
    return alpha + torch.einsum("dw,dwk->dk", counts, phi), torch.einsum("dw,dwk->kw", counts, phi)


@mistake("uses log(gamma): use E[log θ] = ψ(γ) − ψ(Σγ)", caught_by="gamma")
def logarithm_for_digamma(counts, alpha, expected_log_topics, gamma):
    shares = gamma.log().unsqueeze(1) + expected_log_topics.T
    return results(counts, alpha, shares.softmax(dim=2))


@mistake("uses gamma itself: use E[log θ] = ψ(γ) − ψ(Σγ)", caught_by="gamma")
def gamma_for_digamma(counts, alpha, expected_log_topics, gamma):
    shares = gamma.unsqueeze(1) + expected_log_topics.T
    return results(counts, alpha, shares.softmax(dim=2))


@mistake("uses lgamma, the logarithm of the gamma function: use its derivative ψ, torch.digamma", caught_by="gamma")
def lgamma_for_digamma(counts, alpha, expected_log_topics, gamma):
    shares = torch.lgamma(gamma).unsqueeze(1) + expected_log_topics.T
    return results(counts, alpha, shares.softmax(dim=2))


@mistake("computes ψ(Σγ) with a sum over documents: sum over the topics of one document", caught_by="gamma")
def sum_over_documents(counts, alpha, expected_log_topics, gamma):
    log_theta = torch.digamma(gamma) - torch.digamma(gamma.sum(dim=0))
    return results(counts, alpha, (log_theta.unsqueeze(1) + expected_log_topics.T).softmax(dim=2))


@mistake("leaves out the document's topic proportions: φ depends on gamma as well", caught_by="gamma")
def without_gamma(counts, alpha, expected_log_topics, gamma):
    phi = expected_log_topics.T.softmax(dim=1).expand(len(counts), -1, -1)
    return results(counts, alpha, phi)


@mistake("leaves out the words of the topics: φ depends on E[log β] as well", caught_by="gamma")
def without_topics(counts, alpha, expected_log_topics, gamma):
    phi = torch.digamma(gamma).softmax(dim=1).unsqueeze(1).expand(-1, counts.shape[1], -1)
    return results(counts, alpha, phi)


@mistake("uses alpha: use the document's gamma", caught_by="gamma")
def prior_for_gamma(counts, alpha, expected_log_topics, gamma):
    phi = (torch.digamma(alpha) + expected_log_topics.T).softmax(dim=1).expand(len(counts), -1, -1)
    return results(counts, alpha, phi)


@mistake("multiplies by E[log β] instead of its exponential", caught_by="gamma")
def expectation_not_exponentiated(counts, alpha, expected_log_topics, gamma):
    weights = torch.digamma(gamma).exp().unsqueeze(1) * expected_log_topics.T
    return results(counts, alpha, weights / weights.sum(dim=2, keepdim=True))


@mistake("takes E[log β] for probabilities, and their logarithm once more", caught_by="gamma")
def topics_normalised_again(counts, alpha, expected_log_topics, gamma):
    topics = expected_log_topics.log_softmax(dim=1)
    return results(counts, alpha, log_shares(topics, gamma).softmax(dim=2))


@mistake("normalises φ over words: for each word in a document, φ sums to one over topics", caught_by="gamma")
def normalised_over_words(counts, alpha, expected_log_topics, gamma):
    return results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=1))


@mistake("normalises φ over documents: for each word in a document, φ sums to one over topics", caught_by="gamma")
def normalised_over_documents(counts, alpha, expected_log_topics, gamma):
    return results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=0))


@mistake("does not normalise φ: it sums to one over topics", caught_by="gamma")
def not_normalised(counts, alpha, expected_log_topics, gamma):
    return results(counts, alpha, log_shares(expected_log_topics, gamma).exp())


@mistake("assigns each word to its likeliest topic: φ divides it among the topics", caught_by="gamma")
def hard_assignment(counts, alpha, expected_log_topics, gamma):
    best = log_shares(expected_log_topics, gamma).argmax(dim=2)
    phi = torch.nn.functional.one_hot(best, len(alpha)).to(counts)
    return results(counts, alpha, phi)


@mistake("forgets alpha: gamma is the prior's concentration plus expected counts", caught_by="gamma")
def without_alpha(counts, alpha, expected_log_topics, gamma):
    new, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    return new - alpha, expected


@mistake("adds to the old gamma: replace it", caught_by="gamma")
def added_to_the_old(counts, alpha, expected_log_topics, gamma):
    new, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    return gamma + new - alpha, expected


@mistake("sums φ over words without their counts: a word that occurs three times counts three times", caught_by="gamma")
def counts_forgotten(counts, alpha, expected_log_topics, gamma):
    phi = log_shares(expected_log_topics, gamma).softmax(dim=2)
    return results(torch.ones_like(counts), alpha, phi)


@mistake("counts each word that occurs as one: a word that occurs three times counts three times", caught_by="gamma")
def presence_for_counts(counts, alpha, expected_log_topics, gamma):
    phi = log_shares(expected_log_topics, gamma).softmax(dim=2)
    return results((counts > 0).to(counts), alpha, phi)


@mistake("averages over words: sum over them", caught_by="gamma")
def averaged_over_words(counts, alpha, expected_log_topics, gamma):
    phi = log_shares(expected_log_topics, gamma).softmax(dim=2)
    assigned = counts.unsqueeze(2) * phi
    return alpha + assigned.mean(dim=1), assigned.sum(dim=0).T


@mistake("normalises gamma: it is a concentration, not a probability", caught_by="gamma")
def gamma_normalised(counts, alpha, expected_log_topics, gamma):
    new, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    return new / new.sum(dim=1, keepdim=True), expected


@mistake("updates more than once: make one update", caught_by="gamma")
def twice(counts, alpha, expected_log_topics, gamma):
    for _ in range(2):
        gamma, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    return gamma, expected


@mistake("updates until nothing changes: make one update", caught_by="gamma")
def until_convergence(counts, alpha, expected_log_topics, gamma):
    for _ in range(300):
        gamma, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    return gamma, expected


@mistake("multiplies the counts into the softmax: multiply φ by them afterwards", caught_by="gamma")
def counts_inside(counts, alpha, expected_log_topics, gamma):
    shares = log_shares(expected_log_topics, gamma) + torch.log(counts.clamp(min=1e-6)).unsqueeze(2)
    phi = shares.flatten(1).softmax(dim=1).reshape(shares.shape)
    return results(counts, alpha, phi)


@mistake("returns the two results in the wrong order: gamma first", caught_by="gamma")
def wrong_order(counts, alpha, expected_log_topics, gamma):
    new, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    return expected, new


@mistake("sums φ over documents without the counts of its words", caught_by=COUNTS)
def expected_counts_unweighted(counts, alpha, expected_log_topics, gamma):
    phi = log_shares(expected_log_topics, gamma).softmax(dim=2)
    return results(counts, alpha, phi)[0], phi.sum(dim=0).T


@mistake("has words in rows and topics in columns: the shape should be (topics, words)", caught_by=COUNTS)
def transposed(counts, alpha, expected_log_topics, gamma):
    new, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    return new, expected.T


@mistake("uses φ of the new gamma: both results come from the same φ", caught_by=COUNTS)
def other_phi(counts, alpha, expected_log_topics, gamma):
    new, _ = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    return new, results(counts, alpha, log_shares(expected_log_topics, new).softmax(dim=2))[1]


@mistake("averages over documents: sum over them", caught_by=COUNTS)
def averaged_over_documents(counts, alpha, expected_log_topics, gamma):
    new, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    return new, expected / len(counts)


@mistake("normalises the expected counts: they are counts, not probabilities", caught_by=COUNTS)
def expected_counts_normalised(counts, alpha, expected_log_topics, gamma):
    new, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    return new, expected / expected.sum(dim=1, keepdim=True)


@mistake("keeps the documents apart: sum the expected counts over them", caught_by=COUNTS)
def documents_apart(counts, alpha, expected_log_topics, gamma):
    phi = log_shares(expected_log_topics, gamma).softmax(dim=2)
    return results(counts, alpha, phi)[0], (counts.unsqueeze(2) * phi).transpose(1, 2)


@mistake("returns the counts of the last document only: sum over all documents", caught_by=COUNTS)
def last_document_only(counts, alpha, expected_log_topics, gamma):
    phi = log_shares(expected_log_topics, gamma).softmax(dim=2)
    return results(counts, alpha, phi)[0], (counts[-1].unsqueeze(1) * phi[-1]).T


@mistake("adds alpha to the expected counts: return the counts alone", caught_by=COUNTS)
def alpha_in_both(counts, alpha, expected_log_topics, gamma):
    new, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    return new, expected + alpha.unsqueeze(1)


@mistake(SUMS_TO_NOTHING, caught_by=UNDERFLOW)
def exponentials(counts, alpha, expected_log_topics, gamma):
    weights = log_shares(expected_log_topics, gamma).exp()
    return results(counts, alpha, weights / weights.sum(dim=2, keepdim=True))


@mistake(SUMS_TO_NOTHING, caught_by=UNDERFLOW)
def exponentials_apart(counts, alpha, expected_log_topics, gamma):
    shares = (torch.digamma(gamma) - torch.digamma(gamma.sum(dim=1, keepdim=True))).exp()
    weights = shares.unsqueeze(1) * expected_log_topics.exp().T
    return results(counts, alpha, weights / weights.sum(dim=2, keepdim=True))


@mistake(
    "loses words that no topic expects: a small constant turns 0/0 into zero, but φ sums to one", caught_by=UNDERFLOW
)
def small_constant(counts, alpha, expected_log_topics, gamma):
    weights = log_shares(expected_log_topics, gamma).exp()
    return results(counts, alpha, weights / (weights.sum(dim=2, keepdim=True) + 1e-30))


@mistake(
    "loses words that no topic expects: a small constant turns 0/0 into zero, but φ sums to one", caught_by=UNDERFLOW
)
def as_matrix_products(counts, alpha, expected_log_topics, gamma):
    shares, topics = torch.digamma(gamma).exp(), expected_log_topics.exp()
    ratio = counts / (shares @ topics + 1e-30)
    return alpha + shares * (ratio @ topics.T), topics * (shares.T @ ratio)


@mistake(SUMS_TO_NOTHING, caught_by=UNDERFLOW)
def one_maximum_for_all(counts, alpha, expected_log_topics, gamma):
    shares = log_shares(expected_log_topics, gamma)
    weights = (shares - shares.max()).exp()
    return results(counts, alpha, weights / weights.sum(dim=2, keepdim=True))


@mistake(
    "keeps gamma away from small values: they are valid, and mean that a document has few topics", caught_by=UNDERFLOW
)
def gamma_clamped(counts, alpha, expected_log_topics, gamma):
    return results(counts, alpha, log_shares(expected_log_topics, gamma.clamp(min=0.3)).softmax(dim=2))


@mistake("changes `gamma` in place: work on a new tensor", caught_by=PRECISION_KEPT)
def in_place(counts, alpha, expected_log_topics, gamma):
    new, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    gamma.copy_(new)
    return gamma, expected


@mistake("changes `counts` in place: work on a new tensor", caught_by=PRECISION_KEPT)
def counts_changed(counts, alpha, expected_log_topics, gamma):
    new, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    counts /= counts.sum(dim=1, keepdim=True)
    return new, expected


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(counts, alpha, expected_log_topics, gamma):
    phi = log_shares(expected_log_topics.float(), gamma.float()).softmax(dim=2)
    return results(counts.float(), alpha.float(), phi)


@mistake("returns NumPy arrays: return tensors", caught_by=PRECISION_KEPT)
def numpy_arrays(counts, alpha, expected_log_topics, gamma):
    new, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    return new.numpy(), expected.numpy()


@mistake("uses log(gamma) for ψ(γ), and does not normalise φ", caught_by="gamma")
def two_slips(counts, alpha, expected_log_topics, gamma):
    return results(counts, alpha, (gamma.log().unsqueeze(1) + expected_log_topics.T).exp())


@mistake("forgets alpha, and counts each word that occurs as one", caught_by="gamma")
def neither_alpha_nor_counts(counts, alpha, expected_log_topics, gamma):
    phi = log_shares(expected_log_topics, gamma).softmax(dim=2)
    return results((counts > 0).to(counts), torch.zeros_like(alpha), phi)


@mistake("clamps very negative E[log β]: use it as it is", caught_by=UNDERFLOW)
def expectations_clamped(counts, alpha, expected_log_topics, gamma):
    return results(counts, alpha, log_shares(expected_log_topics.clamp(min=-100), gamma).softmax(dim=2))


@mistake(
    "multiplies counts and logarithms before the softmax, which sharpens φ: multiply φ by the counts afterwards",
    caught_by="gamma",
)
def counts_in_the_exponent(counts, alpha, expected_log_topics, gamma):
    phi = (counts.unsqueeze(2) * log_shares(expected_log_topics, gamma)).softmax(dim=2)
    return results(counts, alpha, phi)


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(counts, alpha, expected_log_topics, gamma):
    phi = log_shares(expected_log_topics, gamma).float().softmax(dim=2).to(counts.dtype)
    return results(counts, alpha, phi)


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(counts, alpha, expected_log_topics, gamma):
    phi = log_shares(expected_log_topics.double(), gamma.double()).softmax(dim=2)
    return results(counts.double(), alpha.double(), phi)


@mistake("adds the sum of alpha to every topic: add each topic's own alpha", caught_by="gamma")
def alpha_summed(counts, alpha, expected_log_topics, gamma):
    phi = log_shares(expected_log_topics, gamma).softmax(dim=2)
    return results(counts, alpha.sum().expand_as(alpha), phi)


@mistake("clamps the counts: a word that occurs hundreds of times counts hundreds of times", caught_by=COUNTS)
def counts_bounded(counts, alpha, expected_log_topics, gamma):
    phi = log_shares(expected_log_topics, gamma).softmax(dim=2)
    return results(counts, alpha, phi)[0], results(counts.clamp(max=50), alpha, phi)[1]


@mistake("repeats the update: make one update of all documents", caught_by="gamma")
def repeated(counts, alpha, expected_log_topics, gamma):
    for _ in range(20):
        gamma, expected = results(counts, alpha, log_shares(expected_log_topics, gamma).softmax(dim=2))
    return gamma, expected


@mistake("takes the exponential of E[log β] twice: the softmax takes it already", caught_by="gamma")
def exponential_twice(counts, alpha, expected_log_topics, gamma):
    return results(counts, alpha, log_shares(expected_log_topics.exp(), gamma).softmax(dim=2))
