"""Wrong ways to write ``residual_gaussian``."""

import torch
import torch.nn.functional as F

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import GRADIENTS_AND_PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

BOUNDED = "bounds log_std: return the plain sum, so that zero shifts give the prior itself"
CUT_OFF = "no gradient arrives: detach, no_grad, item or NumPy cuts it off"


@mistake("returns the shifts: the posterior is the prior plus the shifts", caught_by="values")
def shifts_alone(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return mean_shift.clone(), log_std_shift.clone()


@mistake("the prior's mean is missing: add mean_shift to it", caught_by="values")
def mean_absolute(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return mean_shift.clone(), prior_log_std + log_std_shift


@mistake("the prior's log_std is missing: add log_std_shift to it", caught_by="values")
def log_std_absolute(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, log_std_shift.clone()


@mistake("multiplies mean_shift by the prior's standard deviation: add it as it is", caught_by="values")
def shift_in_standard_deviations(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + prior_log_std.exp() * mean_shift, prior_log_std + log_std_shift


@mistake("multiplies mean_shift by the new standard deviation: add it as it is", caught_by="values")
def shift_in_new_standard_deviations(prior_mean, prior_log_std, mean_shift, log_std_shift):
    log_std = prior_log_std + log_std_shift
    return prior_mean + torch.exp(log_std) * mean_shift, log_std


@mistake("adds standard deviations: add their logarithms", caught_by="values")
def stds_added(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, torch.logaddexp(prior_log_std, log_std_shift)


@mistake("adds variances: add the logarithms of the standard deviations", caught_by="values")
def variances_added(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, 0.5 * torch.logaddexp(2 * prior_log_std, 2 * log_std_shift)


@mistake("multiplies the logarithms: add them", caught_by="values")
def logarithms_multiplied(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, prior_log_std * log_std_shift


@mistake("multiplies prior_log_std by exp(log_std_shift): add log_std_shift to it", caught_by="values")
def log_std_times_factor(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, prior_log_std * torch.exp(log_std_shift)


@mistake("adds exp(log_std_shift) to prior_log_std: the shift is a logarithm already", caught_by="values")
def exponential_of_shift_added(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, prior_log_std + log_std_shift.exp()


@mistake("returns the standard deviation: return its logarithm", caught_by="values")
def std_for_log_std(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, torch.exp(prior_log_std + log_std_shift)


@mistake("returns the logarithm of the variance: return that of the standard deviation", caught_by="values")
def log_variance(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, 2 * (prior_log_std + log_std_shift)


@mistake("treats log_std_shift as a shift of the log-variance: there is no factor 1/2", caught_by="values")
def half_the_log_std_shift(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, prior_log_std + 0.5 * log_std_shift


@mistake("subtracts the shifts: add them", caught_by="values")
def shifts_subtracted(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean - mean_shift, prior_log_std - log_std_shift


@mistake("subtracts the prior from the shifts: add the shifts to the prior", caught_by="values")
def prior_subtracted(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return mean_shift - prior_mean, log_std_shift - prior_log_std


@mistake("the two shifts are exchanged", caught_by="values")
def shifts_exchanged(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + log_std_shift, prior_log_std + mean_shift


@mistake("returns log_std first: the mean comes first", caught_by="values")
def results_exchanged(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_log_std + log_std_shift, prior_mean + mean_shift


@mistake(BOUNDED, caught_by="values")
def log_std_softly_bounded(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, 5 * torch.tanh((prior_log_std + log_std_shift) / 5)


@mistake(BOUNDED, caught_by="values")
def log_std_clamped(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, (prior_log_std + log_std_shift).clamp(-7.0, 7.0)


@mistake(BOUNDED, caught_by="values")
def log_std_clamped_above(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, torch.clamp(prior_log_std + log_std_shift, max=10.0)


@mistake("bounds the shift of log_std: add it as it is", caught_by="values")
def shift_bounded(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, prior_log_std + torch.tanh(log_std_shift)


@mistake("adds softplus(log_std_shift), so log_std can only grow: add the shift as it is", caught_by="values")
def softplus_of_shift(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, prior_log_std + F.softplus(log_std_shift)


@mistake("log_std_shift is not used", caught_by="values")
def log_std_of_the_prior(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, prior_log_std.clone()


@mistake("mean_shift is not used", caught_by="values")
def mean_of_the_prior(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean.clone(), prior_log_std + log_std_shift


@mistake("returns a draw instead of the mean: nothing here is random", caught_by="values")
def draws(prior_mean, prior_log_std, mean_shift, log_std_shift):
    log_std = prior_log_std + log_std_shift
    return prior_mean + mean_shift + torch.exp(log_std) * torch.randn_like(prior_mean), log_std


@mistake(
    "treats the prior as a constant: gradients must reach its mean and log_std too",
    caught_by=GRADIENTS_AND_PRECISION_KEPT,
)
def prior_detached(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean.detach() + mean_shift, prior_log_std.detach() + log_std_shift


@mistake("no gradient reaches prior_log_std: detach or .data cuts it off", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def prior_log_std_through_data(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift, prior_log_std.data + log_std_shift


@mistake(CUT_OFF, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def without_gradients(prior_mean, prior_log_std, mean_shift, log_std_shift):
    with torch.no_grad():
        return prior_mean + mean_shift, prior_log_std + log_std_shift


@mistake("changes the prior in place (+=): work on new tensors", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def prior_changed(prior_mean, prior_log_std, mean_shift, log_std_shift):
    prior_mean += mean_shift
    prior_log_std += log_std_shift
    return prior_mean, prior_log_std


@mistake("changes the shifts in place (add_): work on new tensors", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def shifts_changed(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return mean_shift.add_(prior_mean), log_std_shift.add_(prior_log_std)


@mistake(SINGLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def single_precision(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean.float() + mean_shift.float(), prior_log_std.float() + log_std_shift.float()


@mistake(SINGLE_INSIDE, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def single_inside(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean + mean_shift.float(), prior_log_std + log_std_shift.float()


@mistake(DOUBLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def double_out(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return prior_mean.double() + mean_shift, prior_log_std.double() + log_std_shift
