"""Wrong ways to write ``top_down_step``. Each is the right function with one stage replaced."""

import torch
from torch.distributions import Normal, kl_divergence

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.mistakes.precision import DOUBLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

WITH, WITHOUT, STREAM = "latent with evidence", "latent without evidence", "new stream"
KL, NO_KL = "kl", "kl without evidence"
GRADIENTS, FORM = "gradients", "gradients of kl, precision kept, inputs left alone"


def side_by_side(stream, evidence, h):
    return torch.cat([stream, evidence], dim=1)


def unchanged(q, p):
    return q


def drawn(mean, log_std, noise):
    return mean + log_std.exp() * noise


def joined(stream, h, z, parts):
    return parts.refine(stream + h + parts.project(z))


def kl_of_each(q, p):
    q, p = (Normal(mean, log_std.exp()) for mean, log_std in (q, p))
    return kl_divergence(q, p)


def kl_of_examples(q, p):
    return kl_of_each(q, p).sum(dim=(1, 2, 3))


def zeros_for_examples(stream, p):
    return stream.new_zeros(len(stream))


def step(
    inputs,
    sees=side_by_side,
    posterior=unchanged,
    draw=drawn,
    draw_prior=drawn,
    join=joined,
    kl=kl_of_examples,
    no_kl=zeros_for_examples,
):
    stream, evidence, parts, noise = inputs
    *p, h = parts.prior(stream)
    if evidence is None:
        z, divergence = draw_prior(*p, noise), no_kl(stream, p)
    else:
        q = posterior(parts.posterior(sees(stream, evidence, h)), p)
        z, divergence = draw(*q, noise), kl(q, p)
    return join(stream, h, z, parts), z, divergence


# the latent with evidence


@mistake(
    "gives the posterior the stream after h was added: posterior and prior both take it as it came in", caught_by=WITH
)
def posterior_after_h(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), sees=lambda x, e, h: torch.cat([x + h, e], dim=1))


@mistake(
    "concatenates the evidence before the stream: the posterior takes torch.cat([stream, evidence], dim=1)",
    caught_by=WITH,
)
def evidence_before_stream(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), sees=lambda x, e, h: torch.cat([e, x], dim=1))


@mistake("adds evidence and stream: concatenate them for the posterior", caught_by=WITH)
def evidence_added_to_stream(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), sees=lambda x, e, h: x + e)


@mistake("draws z from the prior although there is evidence: draw it from the posterior", caught_by=WITH)
def latent_of_the_prior(stream, evidence, parts, noise):
    _, _, kl = step((stream, evidence, parts, noise))
    mean, log_std, h = parts.prior(stream)
    z = mean + log_std.exp() * noise
    return parts.refine(stream + h + parts.project(z)), z, kl


@mistake("multiplies the noise by log_std: the standard deviation is exp(log_std)", caught_by=WITH)
def log_std_as_std(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), draw=lambda mean, log_std, noise: mean + log_std * noise)


@mistake(
    "uses exp(log_std / 2) for the standard deviation, as if log_std were a log-variance: use exp(log_std)",
    caught_by=WITH,
)
def log_std_as_log_variance(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), draw=lambda mean, log_std, noise: mean + (log_std / 2).exp() * noise)


@mistake("multiplies the noise by the variance: z = mean + exp(log_std)·noise", caught_by=WITH)
def variance_times_noise(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), draw=lambda mean, log_std, noise: mean + (2 * log_std).exp() * noise)


@mistake("returns the posterior's mean: the noise is missing", caught_by=WITH)
def posterior_mean_alone(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), draw=lambda mean, log_std, noise: mean)


@mistake("draws its own noise: use the noise that is passed in", caught_by=WITH)
def noise_of_its_own(stream, evidence, parts, noise):
    return step((stream, evidence, parts, torch.randn_like(noise)))


@mistake("uses the posterior's mean with the prior's standard deviation", caught_by=WITH)
def posterior_mean_with_prior_std(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), posterior=lambda q, p: (q[0], p[1]))


@mistake(
    "adds the posterior to the prior: parts.posterior returns mean and log_std themselves, not shifts",
    caught_by=WITH,
)
def posterior_as_residual(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), posterior=lambda q, p: (p[0] + q[0], p[1] + q[1]))


@mistake(
    "adds the posterior's mean to the prior's: parts.posterior returns the mean itself, not a shift",
    caught_by=WITH,
)
def posterior_mean_as_shift(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), posterior=lambda q, p: (p[0] + q[0], q[1]))


@mistake(
    "merges posterior and prior by their precisions, as the Ladder VAE does: draw z from the posterior alone",
    caught_by=WITH,
)
def precision_weighted_latent(stream, evidence, parts, noise):
    def merged(q, p):
        q_weight, p_weight = (-2 * q[1]).exp(), (-2 * p[1]).exp()
        total = q_weight + p_weight
        return (q_weight * q[0] + p_weight * p[0]) / total, -0.5 * total.log()

    return step((stream, evidence, parts, noise), posterior=merged)


@mistake("uses a tensor as a truth value: write `if evidence is None`", caught_by=WITH)
def truth_of_a_tensor(stream, evidence, parts, noise):
    return step((stream, evidence if evidence else None, parts, noise))


@mistake("returns the new stream in place of z: the order of the results is (stream, z, kl)", caught_by=WITH)
def results_in_another_order(stream, evidence, parts, noise):
    new, z, kl = step((stream, evidence, parts, noise))
    return z, new, kl


@mistake("returns project(z): return z itself", caught_by=WITH)
def latent_after_projection(stream, evidence, parts, noise):
    new, z, kl = step((stream, evidence, parts, noise))
    return new, parts.project(z), kl


@mistake("adds z to the stream without parts.project", caught_by=WITH)
def latent_added_as_it_is(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), join=lambda x, h, z, parts: parts.refine(x + h + z))


# the latent without evidence


@mistake("returns the prior's mean without evidence: the noise is missing", caught_by=WITHOUT)
def prior_mean_alone(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), draw_prior=lambda mean, log_std, noise: mean)


@mistake("returns the noise as z without evidence: scale and shift it by the prior", caught_by=WITHOUT)
def standard_normal_prior(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), draw_prior=lambda mean, log_std, noise: noise)


@mistake(
    "uses exp(log_std / 2) for the prior's standard deviation, as if log_std were a log-variance: use exp(log_std)",
    caught_by=WITHOUT,
)
def prior_log_variance(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), draw_prior=lambda mean, log_std, e: mean + (log_std / 2).exp() * e)


@mistake("calls the posterior with zeros where there is no evidence: draw z from the prior", caught_by=WITHOUT)
def zeros_as_evidence(stream, evidence, parts, noise):
    if evidence is not None:
        return step((stream, evidence, parts, noise))
    new, z, _ = step((stream, torch.zeros_like(stream), parts, noise))
    return new, z, stream.new_zeros(len(stream))


@mistake(
    "draws z without evidence from the prior of stream + h: the prior takes the stream as it came in", caught_by=WITHOUT
)
def prior_asked_again_after_h(stream, evidence, parts, noise):
    if evidence is not None:
        return step((stream, evidence, parts, noise))
    h = parts.prior(stream)[2]
    mean, log_std, _ = parts.prior(stream + h)
    z = mean + log_std.exp() * noise
    return parts.refine(stream + h + parts.project(z)), z, stream.new_zeros(len(stream))


# the new stream


@mistake("forgets h: add the prior's third result to the stream", caught_by=STREAM)
def h_forgotten(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), join=lambda x, h, z, parts: parts.refine(x + parts.project(z)))


@mistake("adds h only where there is no evidence", caught_by=STREAM)
def h_forgotten_with_evidence(stream, evidence, parts, noise):
    def join(x, h, z, parts):
        return parts.refine(x + parts.project(z) + (h if evidence is None else 0))

    return step((stream, evidence, parts, noise), join=join)


@mistake("replaces the stream by h: add h to the stream", caught_by=STREAM)
def h_instead_of_the_stream(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), join=lambda x, h, z, parts: parts.refine(h + parts.project(z)))


@mistake("adds h twice", caught_by=STREAM)
def h_added_twice(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), join=lambda x, h, z, parts: joined(x + h, h, z, parts))


@mistake("adds h after refine: add it before", caught_by=STREAM)
def h_after_refine(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), join=lambda x, h, z, parts: parts.refine(x + parts.project(z)) + h)


@mistake("forgets project(z): the latent never reaches the stream", caught_by=STREAM)
def projection_forgotten(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), join=lambda x, h, z, parts: parts.refine(x + h))


@mistake("replaces stream and h by project(z): add it to their sum", caught_by=STREAM)
def projection_alone(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), join=lambda x, h, z, parts: parts.refine(parts.project(z)))


@mistake("forgets parts.refine at the end", caught_by=STREAM)
def refine_forgotten(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), join=lambda x, h, z, parts: x + h + parts.project(z))


@mistake("adds the stream to refine(stream): refine contains the residual sum already", caught_by=STREAM)
def refine_added(stream, evidence, parts, noise):
    def join(x, h, z, parts):
        x = x + h + parts.project(z)
        return x + parts.refine(x)

    return step((stream, evidence, parts, noise), join=join)


@mistake("refines before project(z) is added: refine comes last", caught_by=STREAM)
def refine_before_projection(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), join=lambda x, h, z, parts: parts.refine(x + h) + parts.project(z))


@mistake("refines twice: after h and again after project(z)", caught_by=STREAM)
def refined_twice(stream, evidence, parts, noise):
    def join(x, h, z, parts):
        return parts.refine(parts.refine(x + h) + parts.project(z))

    return step((stream, evidence, parts, noise), join=join)


@mistake("refines project(z) alone: refine the sum of stream, h and project(z)", caught_by=STREAM)
def projection_refined_alone(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), join=lambda x, h, z, parts: x + h + parts.refine(parts.project(z)))


# kl


@mistake("is KL(prior‖posterior): return KL(posterior‖prior)", caught_by=KL)
def kl_reversed(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), kl=lambda q, p: kl_of_examples(p, q))


@mistake("averages kl over channels and pixels: sum over them", caught_by=KL)
def kl_averaged_over_elements(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), kl=lambda q, p: kl_of_each(q, p).mean(dim=(1, 2, 3)))


@mistake("averages kl over pixels: sum over channels and pixels", caught_by=KL)
def kl_averaged_over_pixels(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), kl=lambda q, p: kl_of_each(q, p).sum(dim=1).mean(dim=(1, 2)))


@mistake("sums kl over channels only: return one number per example", caught_by=KL)
def kl_of_each_pixel(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), kl=lambda q, p: kl_of_each(q, p).sum(dim=1))


@mistake("sums kl over the batch too: return one number per example", caught_by=KL)
def kl_of_the_batch(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), kl=lambda q, p: kl_of_each(q, p).sum())


@mistake("averages kl over the batch: return one number per example", caught_by=KL)
def kl_averaged_over_the_batch(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), kl=lambda q, p: kl_of_examples(q, p).mean())


@mistake("is log q(z) − log p(z) at the z that was drawn: return the KL itself, in closed form", caught_by=KL)
def kl_of_one_sample(stream, evidence, parts, noise):
    def kl(q, p):
        z = drawn(*q, noise)
        log_q, log_p = (Normal(mean, log_std.exp()).log_prob(z) for mean, log_std in (q, p))
        return (log_q - log_p).sum(dim=(1, 2, 3))

    return step((stream, evidence, parts, noise), kl=kl)


@mistake("is the KL to N(0, 1): use the prior that parts.prior gives", caught_by=KL)
def kl_to_the_standard_normal(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), kl=lambda q, p: kl_of_examples(q, (0 * p[0], 0 * p[1])))


@mistake("takes log_std for log-variances in the KL", caught_by=KL)
def kl_with_log_variances(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), kl=lambda q, p: kl_of_examples((q[0], q[1] / 2), (p[0], p[1] / 2)))


@mistake("is the KL to the prior of stream + h: the prior takes the stream as it came in", caught_by=KL)
def kl_to_the_prior_after_h(stream, evidence, parts, noise):
    def kl(q, p):
        return kl_of_examples(q, parts.prior(stream + parts.prior(stream)[2])[:2])

    return step((stream, evidence, parts, noise), kl=kl)


@mistake("the −1/2 in each term of the KL is missing", caught_by=KL)
def kl_without_the_constant(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), kl=lambda q, p: (kl_of_each(q, p) + 0.5).sum(dim=(1, 2, 3)))


# kl without evidence


@mistake("kl is None without evidence: return zeros, one per example", caught_by=NO_KL)
def no_kl_at_all(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), no_kl=lambda x, p: None)


@mistake("kl is a Python number without evidence: return zeros, one per example", caught_by=NO_KL)
def kl_python_zero(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), no_kl=lambda x, p: 0.0)


@mistake("kl is a single zero without evidence: return one per example", caught_by=NO_KL)
def kl_single_zero(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), no_kl=lambda x, p: x.new_zeros(()))


@mistake("kl has the shape of the latent without evidence: return one zero per example", caught_by=NO_KL)
def kl_zeros_of_each_element(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), no_kl=lambda x, p: torch.zeros_like(p[0]))


@mistake("kl is float32 without evidence, whatever the stream is: return zeros of the stream's dtype", caught_by=NO_KL)
def kl_float32_zeros(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), no_kl=lambda x, p: torch.zeros(len(x)))


@mistake("kl is that of the prior to N(0, 1) without evidence: return zeros", caught_by=NO_KL)
def kl_of_the_prior(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), no_kl=lambda x, p: kl_of_examples(p, (0 * p[0], 0 * p[1])))


# gradients, form


@mistake("projects the mean into the stream: use project(z)", caught_by=GRADIENTS)
def mean_projected(stream, evidence, parts, noise):
    _, z, kl = step((stream, evidence, parts, noise))
    mean, _, h = parts.prior(stream)
    if evidence is not None:
        mean, _ = parts.posterior(torch.cat([stream, evidence], dim=1))
    return parts.refine(stream + h + parts.project(mean)), z, kl


@mistake("cuts the gradient between z and the stream: detach or no_grad does that", caught_by=GRADIENTS)
def latent_detached(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), join=lambda x, h, z, parts: joined(x, h, z.detach(), parts))


@mistake("cuts the gradient at h, through which the stream's gradient reaches the prior", caught_by=GRADIENTS)
def h_detached(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), join=lambda x, h, z, parts: joined(x, h.detach(), z, parts))


@mistake("cuts the gradient at the standard deviation: it is learnt too", caught_by=GRADIENTS)
def std_detached(stream, evidence, parts, noise):
    def draw(mean, log_std, noise):
        return mean + log_std.detach().exp() * noise

    return step((stream, evidence, parts, noise), draw=draw, draw_prior=draw)


@mistake("cuts the gradient between the stream and the posterior", caught_by=GRADIENTS)
def stream_detached_for_the_posterior(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), sees=lambda x, e, h: torch.cat([x.detach(), e], dim=1))


@mistake("cuts the gradient of kl: detach, item or no_grad does that", caught_by=FORM)
def kl_detached(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), kl=lambda q, p: kl_of_examples(q, p).detach())


@mistake("cuts the gradient of kl at the prior, which must be learnt too", caught_by=FORM)
def kl_with_the_prior_detached(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), kl=lambda q, p: kl_of_examples(q, [part.detach() for part in p]))


@mistake("changes `stream` in place with +=: work on a new tensor", caught_by=FORM)
def stream_changed_in_place(stream, evidence, parts, noise):
    return step(
        (stream, evidence, parts, noise), join=lambda x, h, z, parts: parts.refine(x.add_(h + parts.project(z)))
    )


@mistake("changes `noise` in place: work on a new tensor", caught_by=FORM)
def noise_changed_in_place(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), draw=lambda mean, log_std, e: e.mul_(log_std.exp()).add_(mean))


@mistake(DOUBLE_OUT, caught_by=FORM)
def kl_in_double(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), kl=lambda q, p: kl_of_examples(q, p).double())


@mistake(
    "computes in float32 on the way: for float64 inputs the results are only as accurate as float32", caught_by=FORM
)
def noise_in_single(stream, evidence, parts, noise):
    return step((stream, evidence, parts, noise), draw=lambda mean, log_std, e: mean + log_std.exp() * e.float())
