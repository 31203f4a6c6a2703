"""Wrong ways to write ``gibbs_sweep``."""

import math

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

STRONG = "strong couplings and fields"
EVEN = "even odds"
OLD_VALUES = "draws all spins from the old state: each draw must use the newest values of the others"
OVERFLOWS = "the exponentials overflow, and ∞/∞ is NaN: use torch.sigmoid"


def sweep(spins, probability, uniforms, order=None):
    """The state after a sweep in which spin i becomes 1 if its uniform number is below ``probability(i, spins)``."""
    spins = spins.clone()
    for i in order if order is not None else range(len(spins)):
        spins[i] = 1.0 if uniforms[i] < probability(i, spins) else -1.0
    return spins


def felt(spins, coupling, field, i):
    return field[i] + coupling[i] @ spins


@mistake(OLD_VALUES, caught_by="values")
def parallel(spins, coupling, field, uniforms):
    probability = torch.sigmoid(2 * (field + coupling @ spins))
    return torch.where(uniforms < probability, 1.0, -1.0)


@mistake(OLD_VALUES, caught_by="values")
def old_values_in_a_loop(spins, coupling, field, uniforms):
    old = spins.clone()
    return sweep(spins, lambda i, s: torch.sigmoid(2 * felt(old, coupling, field, i)), uniforms)


@mistake("goes through the spins backwards: draw them in index order", caught_by="values")
def backwards(spins, coupling, field, uniforms):
    order = reversed(range(len(spins)))
    return sweep(spins, lambda i, s: torch.sigmoid(2 * felt(s, coupling, field, i)), uniforms, order)


@mistake("forgets the 2 in σ(2a): the log odds of a spin are double the field on it", caught_by="values")
def two_forgotten(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(felt(s, coupling, field, i)), uniforms)


@mistake("reverses the comparison: the spin becomes 1 where the uniform number is below p", caught_by="values")
def comparison_reversed(spins, coupling, field, uniforms):
    drawn = [0.0] * len(spins)
    spins = spins.clone()
    for i in range(len(drawn)):
        spins[i] = 1.0 if uniforms[i] > torch.sigmoid(2 * felt(spins, coupling, field, i)) else -1.0
    return spins


@mistake("reverses the sign of the field on a spin", caught_by="values")
def opposite_sign(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(-2 * felt(s, coupling, field, i)), uniforms)


@mistake("reverses the sign of the field", caught_by="values")
def opposite_field(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * (coupling[i] @ s - field[i])), uniforms)


@mistake("reverses the sign of the coupling", caught_by="values")
def opposite_coupling(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * (field[i] - coupling[i] @ s)), uniforms)


@mistake("leaves out the field", caught_by="values")
def without_field(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * (coupling[i] @ s)), uniforms)


@mistake("leaves out the neighbours", caught_by="values")
def without_coupling(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * field[i]), uniforms)


@mistake("doubles the coupling but not the field: both appear twice in the exponent", caught_by="values")
def field_not_doubled(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(field[i] + 2 * coupling[i] @ s), uniforms)


@mistake("halves the coupling: the ½ of the energy disappears, since each pair occurs in it twice", caught_by="values")
def half_the_coupling(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * field[i] + coupling[i] @ s), uniforms)


@mistake("counts every coupling twice: J_ij and J_ji are the same edge", caught_by="values")
def every_edge_twice(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * field[i] + 4 * coupling[i] @ s), uniforms)


@mistake("takes the mean, tanh(a), for the probability of +1, which is (1 + tanh(a))/2", caught_by="values")
def mean_as_probability(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.tanh(felt(s, coupling, field, i)), uniforms)


@mistake("sets every spin to its likelier value: draw it, with the uniform numbers", caught_by="values")
def likelier_value(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * felt(s, coupling, field, i)), torch.full_like(uniforms, 0.5))


@mistake("draws its own random numbers: use `uniforms`", caught_by="values")
def own_random_numbers(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * felt(s, coupling, field, i)), torch.rand_like(uniforms))


@mistake(
    "makes a Metropolis step (a proposed flip, accepted or not): draw each spin given the others", caught_by="values"
)
def metropolis(spins, coupling, field, uniforms):
    spins = spins.clone()
    for i in range(len(spins)):
        gain = torch.exp(-2 * spins[i] * felt(spins, coupling, field, i))
        spins[i] = -spins[i] if uniforms[i] < gain else spins[i]
    return spins


@mistake("flips spins instead of setting them: below p the spin becomes 1, whatever it was before", caught_by="values")
def flips(spins, coupling, field, uniforms):
    spins = spins.clone()
    for i in range(len(spins)):
        up = torch.sigmoid(2 * felt(spins, coupling, field, i))
        spins[i] = -spins[i] if uniforms[i] < up else spins[i]
    return spins


@mistake("raises spins but never lowers them: otherwise set the spin to −1", caught_by="values")
def never_lowered(spins, coupling, field, uniforms):
    spins = spins.clone()
    for i in range(len(spins)):
        if uniforms[i] < torch.sigmoid(2 * felt(spins, coupling, field, i)):
            spins[i] = 1.0
    return spins


@mistake("returns 0 where it should be −1: spins are −1 or 1", caught_by="values")
def zeros_and_ones(spins, coupling, field, uniforms):
    return (sweep(spins, lambda i, s: torch.sigmoid(2 * felt(s, coupling, field, i)), uniforms) + 1) / 2


@mistake("uses 0 instead of −1 for the spins drawn so far: spins are −1 or 1", caught_by="values")
def zeros_on_the_way(spins, coupling, field, uniforms):
    spins = spins.clone()
    for i in range(len(spins)):
        spins[i] = 1.0 if uniforms[i] < torch.sigmoid(2 * felt(spins, coupling, field, i)) else 0.0
    return 2 * spins - 1


@mistake("returns probabilities: return spins, −1 or 1", caught_by="values")
def probabilities(spins, coupling, field, uniforms):
    spins, given = spins.clone(), spins.clone()
    for i in range(len(spins)):
        given[i] = torch.sigmoid(2 * felt(spins, coupling, field, i))
        spins[i] = 1.0 if uniforms[i] < given[i] else -1.0
    return given


@mistake("makes a mean-field sweep: draw each spin, −1 or 1, instead of averaging", caught_by="values")
def mean_field(spins, coupling, field, uniforms):
    means = spins.clone()
    for i in range(len(means)):
        means[i] = torch.tanh(felt(means, coupling, field, i))
    return means


@mistake("uses the first uniform number for all spins", caught_by="values")
def one_number_for_all(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * felt(s, coupling, field, i)), uniforms[:1].expand(len(spins)))


@mistake("makes two sweeps: make one", caught_by="values")
def two_sweeps(spins, coupling, field, uniforms):
    order = 2 * [*range(len(spins))]
    return sweep(spins, lambda i, s: torch.sigmoid(2 * felt(s, coupling, field, i)), uniforms, order)


@mistake("leaves out the last spin", caught_by="values")
def last_left_out(spins, coupling, field, uniforms):
    order = range(len(spins) - 1)
    return sweep(spins, lambda i, s: torch.sigmoid(2 * felt(s, coupling, field, i)), uniforms, order)


@mistake("counts the spin itself among its neighbours: its old value must not matter", caught_by="values")
def self_included(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * (felt(s, coupling, field, i) + s[i])), uniforms)


@mistake(OVERFLOWS, caught_by=STRONG)
def exponentials(spins, coupling, field, uniforms):
    def probability(i, s):
        a = felt(s, coupling, field, i)
        return torch.exp(a) / (torch.exp(a) + torch.exp(-a))

    return sweep(spins, probability, uniforms)


@mistake(OVERFLOWS, caught_by=STRONG)
def one_exponential(spins, coupling, field, uniforms):
    def probability(i, s):
        odds = torch.exp(2 * felt(s, coupling, field, i))
        return odds / (1 + odds)

    return sweep(spins, probability, uniforms)


@mistake("keeps probabilities too far from 0 and 1 for strong fields", caught_by=STRONG)
def clamped_probability(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * felt(s, coupling, field, i)).clamp(0.01, 0.99), uniforms)


@mistake("sets the spin to 1 also where the uniform number equals p: it must be below p", caught_by=EVEN)
def not_below(spins, coupling, field, uniforms):
    spins = spins.clone()
    for i in range(len(spins)):
        spins[i] = 1.0 if uniforms[i] <= torch.sigmoid(2 * felt(spins, coupling, field, i)) else -1.0
    return spins


@mistake("returns 0 where the uniform number equals p: torch.sign(0) is 0, but a spin is −1 or 1", caught_by=EVEN)
def sign_of_the_difference(spins, coupling, field, uniforms):
    spins = spins.clone()
    for i in range(len(spins)):
        spins[i] = torch.sign(torch.sigmoid(2 * felt(spins, coupling, field, i)) - uniforms[i])
    return spins


@mistake("compares with 1 − u: the probability is the same, but the spins differ", caught_by="values")
def other_tail(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * felt(s, coupling, field, i)), 1 - uniforms)


@mistake("changes `spins` in place: work on a clone", caught_by=PRECISION_KEPT)
def in_place(spins, coupling, field, uniforms):
    for i in range(len(spins)):
        spins[i] = 1.0 if uniforms[i] < torch.sigmoid(2 * felt(spins, coupling, field, i)) else -1.0
    return spins


@mistake("returns a NumPy array: return a tensor", caught_by=PRECISION_KEPT)
def numpy_array(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * felt(s, coupling, field, i)), uniforms).numpy()


@mistake("treats spins as 0 or 1: they are −1 or 1, so the log odds are 2 (h + J s)", caught_by="values")
def spins_as_bits(spins, coupling, field, uniforms):
    bits = sweep((1 + spins) / 2, lambda i, b: torch.sigmoid(field[i] + coupling[i] @ b.clamp(min=0)), uniforms)
    return bits


@mistake("reverses the comparison, and forgets the 2 in σ(2a)", caught_by="values")
def two_slips(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(-felt(s, coupling, field, i)), 1 - uniforms)


@mistake("draws all spins from the old state, and forgets the 2 in σ(2a)", caught_by="values")
def parallel_without_two(spins, coupling, field, uniforms):
    return torch.where(uniforms < torch.sigmoid(field + coupling @ spins), 1.0, -1.0)


@mistake("returns integers: return the dtype of `spins`", caught_by=PRECISION_KEPT)
def integers(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * felt(s, coupling, field, i)), uniforms).long()


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_out(spins, coupling, field, uniforms):
    drawn = sweep(spins, lambda i, s: torch.sigmoid(2 * felt(s, coupling, field, i)), uniforms)
    return torch.where(drawn > 0, 1.0, -1.0)


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(spins, coupling, field, uniforms):
    return sweep(spins, lambda i, s: torch.sigmoid(2 * felt(s, coupling, field, i)), uniforms).double()


@mistake("math.exp raises an error for large numbers: use torch.sigmoid", caught_by=STRONG)
def math_exp(spins, coupling, field, uniforms):
    def probability(i, s):
        return 1 / (1 + math.exp(-2 * felt(s, coupling, field, i)))

    return sweep(spins, probability, uniforms)


@mistake("sets spins to 0 where they should be −1, and later spins use that 0", caught_by="values")
def zeros_set(spins, coupling, field, uniforms):
    spins = spins.clone()
    for i in range(len(spins)):
        spins[i] = 1.0 if uniforms[i] < torch.sigmoid(2 * felt(spins, coupling, field, i)) else 0.0
    return spins
