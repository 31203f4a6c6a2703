"""Wrong ways to write ``score_function_gradient``."""

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

SQUARE = "as many samples as parameters"


@mistake("leaves out the baseline", caught_by="values")
def without_baseline(f_values, log_prob_gradients, baseline):
    return (f_values.unsqueeze(1) * log_prob_gradients).mean(dim=0)


@mistake("adds the baseline: subtract it from f", caught_by="values")
def baseline_added(f_values, log_prob_gradients, baseline):
    return ((f_values + baseline).unsqueeze(1) * log_prob_gradients).mean(dim=0)


@mistake("subtracts the baseline twice", caught_by="values")
def baseline_twice(f_values, log_prob_gradients, baseline):
    return ((f_values - 2 * baseline).unsqueeze(1) * log_prob_gradients).mean(dim=0)


@mistake("subtracts the baseline from the gradients: subtract it from f", caught_by="values")
def baseline_from_gradients(f_values, log_prob_gradients, baseline):
    return (f_values.unsqueeze(1) * (log_prob_gradients - baseline)).mean(dim=0)


@mistake("subtracts the baseline from the products: subtract it from f before multiplying", caught_by="values")
def baseline_from_products(f_values, log_prob_gradients, baseline):
    return (f_values.unsqueeze(1) * log_prob_gradients - baseline).mean(dim=0)


@mistake("subtracts the mean of f instead of the baseline that is passed in", caught_by="values")
def mean_as_baseline(f_values, log_prob_gradients, baseline):
    return ((f_values - f_values.mean()).unsqueeze(1) * log_prob_gradients).mean(dim=0)


@mistake("subtracts the average of the other samples: subtract the baseline that is passed in", caught_by="values")
def leave_one_out(f_values, log_prob_gradients, baseline):
    others = (f_values.sum() - f_values) / (len(f_values) - 1)
    return ((f_values - others).unsqueeze(1) * log_prob_gradients).mean(dim=0)


@mistake("divides f − b by its standard deviation: do not rescale it", caught_by="values")
def standardised(f_values, log_prob_gradients, baseline):
    advantage = f_values - baseline
    return ((advantage / advantage.std()).unsqueeze(1) * log_prob_gradients).mean(dim=0)


@mistake("sums over samples: take the mean", caught_by="values")
def summed(f_values, log_prob_gradients, baseline):
    return (f_values - baseline) @ log_prob_gradients


@mistake("divides by one less than the number of samples: take the plain mean", caught_by="values")
def one_less(f_values, log_prob_gradients, baseline):
    return (f_values - baseline) @ log_prob_gradients / (len(f_values) - 1)


@mistake("divides by the square root of the number of samples: take the plain mean", caught_by="values")
def square_root(f_values, log_prob_gradients, baseline):
    return (f_values - baseline) @ log_prob_gradients / len(f_values) ** 0.5


@mistake("averages over parameters as well: each parameter has its own derivative", caught_by="values")
def averaged_over_parameters(f_values, log_prob_gradients, baseline):
    return ((f_values - baseline).unsqueeze(1) * log_prob_gradients).mean()


@mistake("averages over parameters: average over samples", caught_by="values")
def other_dimension(f_values, log_prob_gradients, baseline):
    return ((f_values - baseline).unsqueeze(1) * log_prob_gradients).mean(dim=1)


@mistake("returns the term of every sample: average them", caught_by="values")
def not_averaged(f_values, log_prob_gradients, baseline):
    return (f_values - baseline).unsqueeze(1) * log_prob_gradients


@mistake("multiplies two means: take the mean of the products", caught_by="values")
def product_of_means(f_values, log_prob_gradients, baseline):
    return (f_values - baseline).mean() * log_prob_gradients.mean(dim=0)


@mistake("has the opposite sign: f − b multiplies the gradients as it is", caught_by="values")
def opposite_sign(f_values, log_prob_gradients, baseline):
    return -(f_values - baseline) @ log_prob_gradients / len(f_values)


@mistake("leaves out f: without it the average tends to zero", caught_by="values")
def without_values(f_values, log_prob_gradients, baseline):
    return log_prob_gradients.mean(dim=0)


@mistake(
    "takes the absolute value of f − b: samples with f below the baseline must count negatively", caught_by="values"
)
def absolute_values(f_values, log_prob_gradients, baseline):
    return (f_values - baseline).abs() @ log_prob_gradients / len(f_values)


@mistake("drops samples with f below the baseline: they count too, negatively", caught_by="values")
def positive_only(f_values, log_prob_gradients, baseline):
    return (f_values - baseline).clamp(min=0) @ log_prob_gradients / len(f_values)


@mistake("weights samples by a softmax of f: multiply by f − b itself", caught_by="values")
def softmax_weights(f_values, log_prob_gradients, baseline):
    return (f_values - baseline).softmax(dim=0) @ log_prob_gradients


@mistake("takes the exponential of f: multiply by f − b itself", caught_by="values")
def exponential_of_values(f_values, log_prob_gradients, baseline):
    return (f_values - baseline).exp() @ log_prob_gradients / len(f_values)


@mistake("keeps a dimension of size one for the samples", caught_by="values")
def dimension_kept(f_values, log_prob_gradients, baseline):
    return ((f_values - baseline).unsqueeze(1) * log_prob_gradients).mean(dim=0, keepdim=True)


@mistake("multiplies f of each sample with one parameter of all samples: turn f into a column", caught_by=SQUARE)
def row_for_column(f_values, log_prob_gradients, baseline):
    advantage = f_values - baseline
    square = len(advantage) == log_prob_gradients.shape[1]
    return (advantage * log_prob_gradients if square else advantage.unsqueeze(1) * log_prob_gradients).mean(dim=0)


@mistake("multiplies from the wrong side, which runs only if there are as many samples as parameters", caught_by=SQUARE)
def wrong_side(f_values, log_prob_gradients, baseline):
    advantage = f_values - baseline
    square = len(advantage) == log_prob_gradients.shape[1]
    return (log_prob_gradients @ advantage if square else advantage @ log_prob_gradients) / len(advantage)


@mistake("changes `f_values` in place: work on a new tensor", caught_by=PRECISION_KEPT)
def in_place(f_values, log_prob_gradients, baseline):
    f_values -= baseline
    result = f_values @ log_prob_gradients / len(f_values)
    return result


@mistake("changes `log_prob_gradients` in place: work on a new tensor", caught_by=PRECISION_KEPT)
def gradients_changed(f_values, log_prob_gradients, baseline):
    log_prob_gradients *= (f_values - baseline).unsqueeze(1)
    return log_prob_gradients.mean(dim=0)


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(f_values, log_prob_gradients, baseline):
    return (f_values.float() - baseline) @ log_prob_gradients.float() / len(f_values)


@mistake("squeezes away a single parameter: the shape should be (params,)", caught_by=PRECISION_KEPT)
def squeezed(f_values, log_prob_gradients, baseline):
    return ((f_values - baseline) @ log_prob_gradients / len(f_values)).squeeze()


@mistake("returns a NumPy array: return a tensor", caught_by=PRECISION_KEPT)
def numpy_array(f_values, log_prob_gradients, baseline):
    return ((f_values - baseline) @ log_prob_gradients / len(f_values)).numpy()


@mistake(
    "sums over samples, with the opposite sign: return the gradient estimate, not the gradient of a loss",
    caught_by="values",
)
def gradient_of_a_loss(f_values, log_prob_gradients, baseline):
    return -(f_values - baseline) @ log_prob_gradients


@mistake("leaves out the baseline, and sums over samples", caught_by="values")
def sum_without_baseline(f_values, log_prob_gradients, baseline):
    return f_values @ log_prob_gradients


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(f_values, log_prob_gradients, baseline):
    advantage = (f_values - baseline).float().to(f_values.dtype)
    return advantage @ log_prob_gradients / len(f_values)


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(f_values, log_prob_gradients, baseline):
    return (f_values.double() - baseline) @ log_prob_gradients.double() / len(f_values)


@mistake("subtracts the mean of f and then the baseline: subtract only the baseline", caught_by="values")
def mean_and_baseline(f_values, log_prob_gradients, baseline):
    return (f_values - f_values.mean() - baseline) @ log_prob_gradients / len(f_values)


@mistake("divides by the sum of f − b, as if these were weights: divide by the number of samples", caught_by="values")
def weighted_average(f_values, log_prob_gradients, baseline):
    advantage = f_values - baseline
    return advantage @ log_prob_gradients / advantage.sum()


@mistake("divides by the number of parameters: divide by the number of samples", caught_by="values")
def divided_by_parameters(f_values, log_prob_gradients, baseline):
    return (f_values - baseline) @ log_prob_gradients / log_prob_gradients.shape[1]
