"""Wrong ways to write ``area_under_roc``."""

import math

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

TIES = "ties count half"
ANY_SIZE = "single scores, near and far ones"
MANY = "many scores"
PAIRS = "no list of all pairs"
TIES_COUNT_NOTHING = "ties count 0 (>, or a curve with a step for each score): each tied pair should count 1/2"
TIES_COUNT_WHOLE = "ties count 1 (>=, or ranks in the order of the list): each tied pair should count 1/2"
WRONG_WAY = (
    "is the wrong way round: higher means outside, so count the pairs in which the outside score is the higher one"
)
ALL_PAIRS = "makes a tensor of all pairs: its memory grows with n·m; sort the scores instead"


def halves(inside, outside):
    """Twice the number of pairs in the right order, with ties counted once."""
    ordered = inside.sort().values
    return torch.searchsorted(ordered, outside) + torch.searchsorted(ordered, outside, right=True)


def area(inside, outside):
    return (halves(inside, outside).double().mean() / (2 * len(inside))).to(inside.dtype)


def mean_ranks(scores):
    """Ranks from 1; tied scores get the mean of their ranks."""
    ordered = scores.sort().values
    return (torch.searchsorted(ordered, scores) + torch.searchsorted(ordered, scores, right=True) + 1).double() / 2


def share_at_or_above(scores, thresholds):
    return 1 - torch.searchsorted(scores.sort().values, thresholds).double() / len(scores)


def curve(inside, outside, thresholds):
    """False and true positive rates if scores at or above a threshold are classified as outside."""
    return share_at_or_above(inside, thresholds), share_at_or_above(outside, thresholds)


def falling(inside, outside):
    """All different scores, the highest first."""
    return torch.cat([inside, outside]).unique().flip(0)


# values


@mistake(WRONG_WAY, caught_by="values")
def exchanged(inside, outside):
    return area(outside, inside)


@mistake(
    "is never below 1/2: taking the larger of A and 1 − A hides a score that is the wrong way round", caught_by="values"
)
def never_below_a_half(inside, outside):
    found = area(inside, outside)
    return torch.maximum(found, 1 - found)


@mistake("compares scores at equal positions: compare every outside score with every inside score", caught_by="values")
def place_by_place(inside, outside):
    return (outside > inside).to(inside.dtype).mean()


@mistake(
    "compares only as many scores as the shorter list has: compare every outside score with every inside score",
    caught_by="values",
)
def zipped(inside, outside):
    fewer = min(len(inside), len(outside))
    return (outside[:fewer] > inside[:fewer]).to(inside.dtype).mean()


@mistake("returns the number of pairs: divide by n·m", caught_by="values")
def pairs_counted(inside, outside):
    return (halves(inside, outside).sum() / 2).to(inside.dtype)


@mistake("divides by m²: divide by n·m", caught_by="values")
def divided_by_outside_twice(inside, outside):
    return (halves(inside, outside).sum() / (2 * len(outside) ** 2)).to(inside.dtype)


@mistake(
    "divides by the number of pairs of all scores: count only pairs of one inside and one outside score, n·m",
    caught_by="values",
)
def divided_by_pairs_of_all(inside, outside):
    return (halves(inside, outside).sum() / 2 / math.comb(len(inside) + len(outside), 2)).to(inside.dtype)


@mistake("returns 2A − 1, the Gini coefficient: return A itself, which is 1/2 for chance", caught_by="values")
def gini(inside, outside):
    return 2 * area(inside, outside) - 1


@mistake(
    "returns the area under the precision–recall curve: use the false positive rate against the true positive rate",
    caught_by="values",
)
def average_precision(inside, outside):
    scores, order = torch.cat([inside, outside]).sort(descending=True)
    is_outside = (order >= len(inside)).double()
    precision = is_outside.cumsum(0) / torch.arange(1, len(scores) + 1)
    return ((precision * is_outside).sum() / len(outside)).to(inside.dtype)


@mistake("does not sort the scores before adding up the curve", caught_by="values")
def unsorted(inside, outside):
    is_outside = torch.cat([torch.zeros(len(inside)), torch.ones(len(outside))]).double()
    true_positives = is_outside.cumsum(0) / len(outside)
    return (((1 - is_outside) * true_positives).sum() / len(inside)).to(inside.dtype)


@mistake("does not subtract m(m + 1)/2, the smallest possible sum of ranks, from the sum of ranks", caught_by="values")
def sum_of_ranks(inside, outside):
    ranks = mean_ranks(torch.cat([inside, outside]))[len(inside) :]
    return (ranks.sum() / (len(inside) * len(outside))).to(inside.dtype)


@mistake("counts ranks from 0 and subtracts m(m + 1)/2: for ranks from 0 subtract m(m − 1)/2", caught_by="values")
def ranks_from_zero(inside, outside):
    n, m = len(inside), len(outside)
    ranks = mean_ranks(torch.cat([inside, outside]))[n:] - 1
    return ((ranks.sum() - m * (m + 1) / 2) / (n * m)).to(inside.dtype)


@mistake("subtracts n(n + 1)/2 from the ranks of the m outside scores: subtract m(m + 1)/2", caught_by="values")
def smallest_ranks_of_the_others(inside, outside):
    n, m = len(inside), len(outside)
    ranks = mean_ranks(torch.cat([inside, outside]))[n:]
    return ((ranks.sum() - n * (n + 1) / 2) / (n * m)).to(inside.dtype)


@mistake("uses the sorting order as ranks: a second argsort, or scatter, gives each score its rank", caught_by="values")
def order_for_ranks(inside, outside):
    n, m = len(inside), len(outside)
    ranks = torch.cat([inside, outside]).argsort()[n:] + 1
    return ((ranks.sum() - m * (m + 1) / 2) / (n * m)).to(inside.dtype)


@mistake("compares absolute values: compare the scores with their signs", caught_by="values")
def absolute_scores(inside, outside):
    return area(inside.abs(), outside.abs())


@mistake("weights pairs by a sigmoid of their difference: a pair counts 1, 1/2 or 0", caught_by="values")
def soft_pairs(inside, outside):
    pieces = [torch.sigmoid(outside - score).mean() for score in inside[:1000]]
    return torch.stack(pieces).mean()


@mistake("returns the area for two Gaussians with the same means and variances: count the pairs", caught_by="values")
def of_gaussians(inside, outside):
    spread = (inside.var(correction=0) + outside.var(correction=0)).sqrt()
    return torch.special.ndtr((outside.mean() - inside.mean()) / spread)


@mistake(
    "returns the share of outside scores above the mean of the inside ones: compare with every inside score",
    caught_by="values",
)
def above_the_mean(inside, outside):
    return (outside > inside.mean()).to(inside.dtype).mean()


@mistake(
    "returns the share of outside scores above the median of the inside ones: compare with every inside score",
    caught_by="values",
)
def above_the_median(inside, outside):
    return (outside > inside.median()).to(inside.dtype).mean()


@mistake("returns the accuracy at the best threshold: the area counts every threshold", caught_by="values")
def best_accuracy(inside, outside):
    false_positives, true_positives = curve(inside, outside, falling(inside, outside))
    return ((1 - false_positives + true_positives) / 2).max().to(inside.dtype)


@mistake("connects ten thresholds only: use every score as a threshold", caught_by="values")
def ten_thresholds(inside, outside):
    scores = falling(inside, outside)
    thresholds = torch.linspace(1, 0, 10, dtype=inside.dtype) * (scores[0] - scores[-1]) + scores[-1]
    false_positives, true_positives = curve(inside, outside, thresholds)
    return torch.trapezoid(true_positives, false_positives).to(inside.dtype)


@mistake("goes up the thresholds, so the false positive rate falls and the area is negative", caught_by="values")
def thresholds_rising(inside, outside):
    thresholds = torch.cat([falling(inside, outside).flip(0), inside.new_tensor([math.inf])])
    false_positives, true_positives = curve(inside, outside, thresholds)
    return torch.trapezoid(true_positives, false_positives).to(inside.dtype)


@mistake("leaves out the last piece of the curve: it ends at (1, 1)", caught_by="values")
def without_the_end(inside, outside):
    infinity = inside.new_tensor([math.inf])
    thresholds = torch.cat([infinity, falling(inside, outside)[:-1]])
    false_positives, true_positives = curve(inside, outside, thresholds)
    return torch.trapezoid(true_positives, false_positives).to(inside.dtype)


# ties count half


@mistake("leaves out the first piece of the curve: it starts at (0, 0)", caught_by=TIES)
def without_the_origin(inside, outside):
    false_positives, true_positives = curve(inside, outside, falling(inside, outside))
    return torch.trapezoid(true_positives, false_positives).to(inside.dtype)


@mistake(TIES_COUNT_NOTHING, caught_by=TIES)
def strictly_above(inside, outside):
    below = torch.searchsorted(inside.sort().values, outside)
    return (below.double().mean() / len(inside)).to(inside.dtype)


@mistake(TIES_COUNT_WHOLE, caught_by=TIES)
def tied_or_above(inside, outside):
    below_or_tied = torch.searchsorted(inside.sort().values, outside, right=True)
    return (below_or_tied.double().mean() / len(inside)).to(inside.dtype)


@mistake(TIES_COUNT_WHOLE, caught_by=TIES)
def ranks_as_they_stand(inside, outside):
    n, m = len(inside), len(outside)
    ranks = torch.cat([inside, outside]).argsort(stable=True).argsort()[n:] + 1
    return ((ranks.double().sum() - m * (m + 1) / 2) / (n * m)).to(inside.dtype)


@mistake(TIES_COUNT_NOTHING, caught_by=TIES)
def curve_of_single_scores(inside, outside):
    order = torch.cat([inside, outside]).argsort(descending=True, stable=True)
    is_outside = (order >= len(inside)).double()
    true_positives = is_outside.cumsum(0) / len(outside)
    return (((1 - is_outside) * true_positives).sum() / len(inside)).to(inside.dtype)


@mistake("counts equal scores once: every image counts", caught_by=TIES)
def repetitions_dropped(inside, outside):
    return area(inside.unique(), outside.unique())


@mistake("gives tied scores the smallest of their ranks: give them the mean", caught_by=TIES)
def smallest_rank_of_ties(inside, outside):
    n, m = len(inside), len(outside)
    scores = torch.cat([inside, outside])
    ranks = torch.searchsorted(scores.sort().values, outside) + 1
    return ((ranks.double().sum() - m * (m + 1) / 2) / (n * m)).to(inside.dtype)


@mistake("gives tied scores the largest of their ranks: give them the mean", caught_by=TIES)
def largest_rank_of_ties(inside, outside):
    n, m = len(inside), len(outside)
    scores = torch.cat([inside, outside])
    ranks = torch.searchsorted(scores.sort().values, outside, right=True)
    return ((ranks.double().sum() - m * (m + 1) / 2) / (n * m)).to(inside.dtype)


@mistake("ranks by the number of different scores (1, 2, 2, 3): a rank counts all scores below", caught_by=TIES)
def dense_ranks(inside, outside):
    n, m = len(inside), len(outside)
    ranks = torch.cat([inside, outside]).unique(return_inverse=True)[1][n:] + 1
    return ((ranks.double().sum() - m * (m + 1) / 2) / (n * m)).to(inside.dtype)


@mistake("leaves out tied pairs, also from the number of pairs: each counts 1/2", caught_by=TIES)
def ties_left_out(inside, outside):
    ordered = inside.sort().values
    below = torch.searchsorted(ordered, outside).sum()
    above = (len(inside) - torch.searchsorted(ordered, outside, right=True)).sum()
    return (below.double() / (below + above)).to(inside.dtype)


# single scores, near and far ones


@mistake("treats nearly equal scores as ties: only equal scores are tied", caught_by=ANY_SIZE)
def tied_if_close(inside, outside):
    ordered, reach = inside.sort().values, 1e-8 + 1e-5 * outside.abs()
    below = torch.searchsorted(ordered, outside - reach) + torch.searchsorted(ordered, outside + reach, right=True)
    return (below.double().mean() / (2 * len(inside))).to(inside.dtype)


@mistake("applies a sigmoid first: far from zero, different scores become equal", caught_by=ANY_SIZE)
def sigmoid_first(inside, outside):
    return area(inside.sigmoid(), outside.sigmoid())


@mistake("rounds scores: different ones become equal", caught_by=ANY_SIZE)
def rounded(inside, outside):
    return area((inside * 1e5).round() / 1e5, (outside * 1e5).round() / 1e5)


@mistake(
    "standardises scores by the mean of both sets: beside very large scores, differences between small ones are lost",
    caught_by=ANY_SIZE,
)
def standardised(inside, outside):
    scores = torch.cat([inside, outside])
    centre, spread = scores.mean(), scores.std()
    return area((inside - centre) / spread, (outside - centre) / spread)


# many scores


@mistake("adds ranks in float32, whose 24 bits cannot hold the sum: use int64 or float64", caught_by=MANY)
def ranks_in_single(inside, outside):
    n, m = len(inside), len(outside)
    ranks = mean_ranks(torch.cat([inside, outside]))[n:].float()
    return ((ranks.sum() - m * (m + 1) / 2) / (n * m)).to(inside.dtype)


@mistake("adds ranks in int32, which overflows at 2³¹: use int64 or float64", caught_by=MANY)
def ranks_in_int32(inside, outside):
    n, m = len(inside), len(outside)
    twice = (2 * mean_ranks(torch.cat([inside, outside]))[n:]).to(torch.int32)
    return ((twice.sum(dtype=torch.int32).double() - m * (m + 1)) / (2 * n * m)).to(inside.dtype)


@mistake("uses a random part of the scores when there are many: use all of them", caught_by=MANY)
def first_thousand(inside, outside):
    return area(inside[:1000], outside[:301])


# no list of all pairs; precision kept, inputs left alone


@mistake(ALL_PAIRS, caught_by=PAIRS)
def matrix_of_pairs(inside, outside):
    above = (outside[:, None] > inside).to(inside.dtype)
    return (above + 0.5 * (outside[:, None] == inside)).mean()


@mistake(ALL_PAIRS, caught_by=PAIRS)
def signs_of_differences(inside, outside):
    return (1 + torch.sign(outside[None, :] - inside[:, None])).mean() / 2


@mistake(ALL_PAIRS, caught_by=PAIRS)
def matrix_of_numpy(inside, outside):
    ours, theirs = inside.detach().numpy(), outside.detach().numpy()
    above = (theirs[:, None] > ours).mean() + 0.5 * (theirs[:, None] == ours).mean()
    return torch.tensor(above, dtype=inside.dtype)


@mistake("sorts the inside scores in place: work on a copy", caught_by=PRECISION_KEPT)
def sorted_in_place(inside, outside):
    inside.copy_(inside.sort().values)
    return area(inside, outside)


@mistake("returns a Python float: return a scalar tensor in the scores' precision", caught_by=PRECISION_KEPT)
def python_number(inside, outside):
    return area(inside.double(), outside.double()).item()


@mistake("returns a tensor with a dimension: return a scalar tensor", caught_by="values")
def one_entry(inside, outside):
    return area(inside, outside).reshape(1)


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_out(inside, outside):
    return area(inside, outside).float()


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(inside, outside):
    return area(inside.double(), outside.double())


@mistake("compares in float32, where float64 scores that differ by 1e-10 are ties", caught_by=PRECISION_KEPT)
def compared_in_single(inside, outside):
    return area(inside.float(), outside.float()).to(inside.dtype)
