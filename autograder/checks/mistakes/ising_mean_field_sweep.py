"""Wrong ways to write ``ising_mean_field_sweep``."""

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

STRONG = "strong couplings and fields"
PARALLEL = "updates all spins at once from the old means: each update must use the newest values of the others"
OLD_MEANS = "ignores spins of larger index: use their means as they were passed in"
OVERFLOWS = "the exponentials overflow, and ∞/∞ is NaN: use torch.tanh, or a form that cannot overflow"


def sweep(means, update, order=None):
    """The means after setting each spin in turn to ``update(i, means)``."""
    means = means.clone()
    for i in order if order is not None else range(len(means)):
        means[i] = update(i, means)
    return means


@mistake(PARALLEL, caught_by="values")
def parallel(means, coupling, field):
    return torch.tanh(field + coupling @ means)


@mistake(PARALLEL, caught_by="values")
def old_means_in_a_loop(means, coupling, field):
    return torch.stack([torch.tanh(field[i] + coupling[i] @ means) for i in range(len(means))])


@mistake("goes through the spins backwards: update them in index order", caught_by="values")
def backwards(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m), reversed(range(len(means))))


@mistake("updates even spins first, then odd ones: update them in index order", caught_by="values")
def checkerboard(means, coupling, field):
    order = [*range(0, len(means), 2), *range(1, len(means), 2)]
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m), order)


@mistake("makes two sweeps: make one", caught_by="values")
def two_sweeps(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m), 2 * [*range(len(means))])


@mistake("sweeps until nothing changes: make one sweep", caught_by="values")
def until_convergence(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m), 300 * [*range(len(means))])


@mistake("leaves out the field in the update", caught_by="values")
def without_field(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(coupling[i] @ m))


@mistake("leaves out the neighbours in the update", caught_by="values")
def without_coupling(means, coupling, field):
    return torch.tanh(field)


@mistake("reverses the sign of the field", caught_by="values")
def opposite_field(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(coupling[i] @ m - field[i]))


@mistake("reverses the sign of the coupling", caught_by="values")
def opposite_coupling(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] - coupling[i] @ m))


@mistake("has the opposite sign: the mean follows what the spin feels", caught_by="values")
def opposite_sign(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(-field[i] - coupling[i] @ m))


@mistake("halves the coupling: the ½ of the energy disappears, since each pair occurs in it twice", caught_by="values")
def half_the_coupling(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + 0.5 * coupling[i] @ m))


@mistake("counts every coupling twice: J_ij and J_ji are the same edge", caught_by="values")
def every_edge_twice(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m + coupling[:, i] @ m))


@mistake("doubles the argument: p(s = 1) is σ(2a), but the mean is tanh(a)", caught_by="values")
def doubled_argument(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(2 * (field[i] + coupling[i] @ m)))


@mistake("returns 2σ(a) − 1 = tanh(a/2): the 2 in σ(2a) is missing", caught_by="values")
def half_argument(means, coupling, field):
    return sweep(means, lambda i, m: 2 * torch.sigmoid(field[i] + coupling[i] @ m) - 1)


@mistake("returns the probability of +1, between 0 and 1: return the mean, between −1 and 1", caught_by="values")
def probability(means, coupling, field):
    return sweep(means, lambda i, m: torch.sigmoid(2 * (field[i] + coupling[i] @ m)))


@mistake("the tanh is missing: the means leave [−1, 1]", caught_by="values")
def no_tanh(means, coupling, field):
    return sweep(means, lambda i, m: field[i] + coupling[i] @ m)


@mistake("sets spins to −1 or 1: the mean is the tanh of the field on the spin, not its sign", caught_by="values")
def hard_decision(means, coupling, field):
    return sweep(means, lambda i, m: torch.sign(field[i] + coupling[i] @ m))


@mistake("adds the field after the tanh: add it inside the tanh", caught_by="values")
def field_outside(means, coupling, field):
    return sweep(means, lambda i, m: field[i] + torch.tanh(coupling[i] @ m))


@mistake(OLD_MEANS, caught_by="values")
def earlier_only(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i, :i] @ m[:i]))


@mistake("uses only spins of larger index: use all other spins", caught_by="values")
def later_only(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i, i:] @ m[i:]))


@mistake("uses only the spins next in index: J says which spins are coupled", caught_by="values")
def adjacent_only(means, coupling, field):
    coupling = coupling.triu(-1).tril(1)
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m))


@mistake("averages over the neighbours: sum over them", caught_by="values")
def average_neighbour(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m / len(m)))


@mistake("counts the spin itself among its neighbours: J_ii must not matter", caught_by="values")
def self_included(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m + m[i]))


@mistake("averages new and old means: use the new ones", caught_by="values")
def damped(means, coupling, field):
    return sweep(means, lambda i, m: 0.5 * m[i] + 0.5 * torch.tanh(field[i] + coupling[i] @ m))


@mistake("leaves out the last spin", caught_by="values")
def last_left_out(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m), range(len(means) - 1))


@mistake("returns after the first spin: is the return inside the loop?", caught_by="values")
def first_only(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m), range(1))


@mistake(OLD_MEANS, caught_by="values")
def from_zero(means, coupling, field):
    return sweep(torch.zeros_like(means), lambda i, m: torch.tanh(field[i] + coupling[i] @ m))


@mistake("uses the field of the first spin for all", caught_by="values")
def same_field(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[0] + coupling[i] @ m))


@mistake(OVERFLOWS, caught_by=STRONG)
def quotient_of_exponentials(means, coupling, field):
    def tanh(a):
        return (torch.exp(a) - torch.exp(-a)) / (torch.exp(a) + torch.exp(-a))

    return sweep(means, lambda i, m: tanh(field[i] + coupling[i] @ m))


@mistake(OVERFLOWS, caught_by=STRONG)
def one_exponential(means, coupling, field):
    def tanh(a):
        return (torch.exp(2 * a) - 1) / (torch.exp(2 * a) + 1)

    return sweep(means, lambda i, m: tanh(field[i] + coupling[i] @ m))


@mistake("clamps the field on a spin: it may be of any size", caught_by=STRONG)
def clamped_argument(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh((field[i] + coupling[i] @ m).clamp(-3, 3)))


@mistake("keeps means away from −1 and 1: in a strong field they reach them", caught_by=STRONG)
def clamped_means(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m).clamp(-0.999, 0.999))


@mistake("changes `means` in place: work on a clone", caught_by=PRECISION_KEPT)
def in_place(means, coupling, field):
    for i in range(len(means)):
        means[i] = torch.tanh(field[i] + coupling[i] @ means)
    return means


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(means, coupling, field):
    coupling, field = coupling.float(), field.float()
    return sweep(means.float(), lambda i, m: torch.tanh(field[i] + coupling[i] @ m))


@mistake("returns a NumPy array: return a tensor", caught_by=PRECISION_KEPT)
def numpy_array(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m)).numpy()


@mistake(
    "uses (1 + m)/2 for the neighbours, as if spins were 0 or 1: spins are −1 or 1, so use m itself", caught_by="values"
)
def neighbours_as_bits(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ ((1 + m) / 2)))


@mistake(
    "updates all spins at once from the old means, and computes 2σ(a) − 1 = tanh(a/2) instead of tanh(a)",
    caught_by="values",
)
def parallel_half_argument(means, coupling, field):
    return 2 * torch.sigmoid(field + coupling @ means) - 1


@mistake("updates all spins at once from the old means, and adds the field outside the tanh", caught_by="values")
def parallel_field_outside(means, coupling, field):
    return field + torch.tanh(coupling @ means)


@mistake("returns a column: the shape should be (spins,)", caught_by="values")
def column(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m)).unsqueeze(1)


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(means, coupling, field):
    return sweep(means, lambda i, m: torch.tanh((field[i] + coupling[i] @ m).float()))


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(means, coupling, field):
    coupling, field = coupling.double(), field.double()
    return sweep(means.double(), lambda i, m: torch.tanh(field[i] + coupling[i] @ m))


@mistake("sets the mean anew for each neighbour: sum over the neighbours, then take one tanh", caught_by="values")
def one_neighbour_at_a_time(means, coupling, field):
    means = means.clone()
    for i in range(len(means)):
        for j in range(len(means)):
            if j != i:
                means[i] = torch.tanh(field[i] + coupling[i, j] * means[j])
    return means


@mistake("goes through the spins in random order: update them in index order", caught_by="values")
def random_order(means, coupling, field):
    order = torch.randperm(len(means)).tolist()
    return sweep(means, lambda i, m: torch.tanh(field[i] + coupling[i] @ m), order)


@mistake("uses the logistic function σ(a), between 0 and 1: use tanh(a)", caught_by="values")
def logistic_for_tanh(means, coupling, field):
    return sweep(means, lambda i, m: torch.sigmoid(field[i] + coupling[i] @ m))
