# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 05: Build a hierarchy
#
# A single latent vector has to describe an image all at once. A hierarchy describes it in steps: the first layers
# decide what is in the picture, and later ones add the details. You write the parts of a Very Deep VAE: two ways to
# combine the evidence of the image with the prediction of the layers above, the KL of each layer, the block that all
# its networks are built from, the step from one layer to the next, and the rule that skips a bad update. Then a
# hierarchy that runs *your* functions learns small colour photographs.
#
# | exercise | | difficulty | importance | time | points |
# |---|---|---|---|---|---|
# | 1 | `residual_gaussian` | 1 of 5 | 4 of 5 | 5 min | 2 |
# | 2 | `precision_weighted` | 3 of 5 | 3 of 5 | 20 min | 4 |
# | 3 | `gaussian_kl_per_layer` | 2 of 5 | 5 of 5 | 15 min | 4 |
# | 4 | `unpool_nearest` | 2 of 5 | 3 of 5 | 10 min | 3 |
# | 5 | `bottleneck_block` | 3 of 5 | 4 of 5 | 20 min | 5 |
# | 6 | `top_down_step` | 5 of 5 | 5 of 5 | 45 min | 10 |
# | 7 | `should_skip_update` | 2 of 5 | 3 of 5 | 10 min | 4 |
# | | pictures and question 1 | | | 35 min | 4 |
#
# **You need** lecture 05, and unit 00 for how an exercise works. **Conventions:** layers are counted from the top, so
# $z_1$ is drawn first; $q$ is the posterior, $p$ the prior. Feature maps are `(batch, channels, height, width)`. Standard
# deviations come as `log_std` $= \log \sigma$. Logarithms are natural and KLs are in *nats*. **Results have the dtype of
# the inputs** (float64 in, float64 out), and no function changes its inputs or the lists that hold them. You may
# compute in another dtype on the way.

# %% [markdown]
# {{how to keep your work}}

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false}
# {{set-up}}

# %% [markdown]
# ## Exercise 1: `residual_gaussian`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | a posterior parameterised relative to its prior | 1 of 5 | 4 of 5 | 5 minutes |
#
# At layer $l$, the layers above have already given a prior with mean $\mu_p$ and standard deviation $\sigma_p$. The
# encoder then predicts only how the posterior differs from it: shifts $\Delta\mu$ and $\Delta\log\sigma$, each added to
# the prior's own parameter (Vahdat & Kautz, 2020). Where the image adds no information, both shifts are 0 and so is the
# layer's KL.
#
# ```python
# residual_gaussian(prior_mean, prior_log_std, mean_shift, log_std_shift)  # four tensors of one shape, any
# #                                                        →  (mean, log_std) of the posterior, same shape
# ```
#
# {{cases of residual_gaussian}}
#
# <details><summary>Hint 1: a question</summary>
#
# If the shift of the log standard deviation is $\log 2$, what has happened to the standard deviation?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Adding to a logarithm multiplies. Nothing is bounded here, neither the sum nor the shifts: a bound after the addition
# would give prior and posterior different parameters even where both shifts are 0.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `mean = prior_mean + mean_shift`
# </details>


# %% nbgrader={"grade": false, "grade_id": "residual_gaussian", "locked": false, "schema_version": 3, "solution": true}
@implements("residual_gaussian")
def residual_gaussian(prior_mean, prior_log_std, mean_shift, log_std_shift):
    """Mean and log standard deviation of a posterior parameterised relative to its prior.

    prior_mean, prior_log_std: parameters of the prior, tensors of one shape, finite.
    mean_shift, log_std_shift: what the evidence adds to each of them, same shape.
    Returns the tuple (mean, log_std), each in the shape and dtype of the inputs, which are not
    changed. Where both shifts are 0 they equal the prior's. Gradients reach all four.
    """
    ### BEGIN SOLUTION
    return prior_mean + mean_shift, prior_log_std + log_std_shift
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_residual_gaussian", "locked": true, "points": 2, "schema_version": 3, "solution": false}
check("residual_gaussian")

# %% [markdown]
# ## Exercise 2: `precision_weighted`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | merge two Gaussians for the same latent, each weighted by its precision | 3 of 5 | 3 of 5 | 20 minutes |
#
# The Ladder VAE has two Gaussians for the same latent: one from the image, $\mathcal{N}(\mu_1, \sigma_1^2)$, and one
# from the layer above, $\mathcal{N}(\mu_2, \sigma_2^2)$. Their product, normalised, is again a Gaussian. Its
# precision $1/\sigma^2$ is the sum of both precisions, and its mean weights the two means by their precisions
# (lecture 05):
#
# $$\frac{1}{\sigma^2} = \frac{1}{\sigma_1^2} + \frac{1}{\sigma_2^2}, \qquad \mu = \sigma^2 \Bigl(
# \frac{\mu_1}{\sigma_1^2} + \frac{\mu_2}{\sigma_2^2} \Bigr).$$
#
# Log standard deviations run from −12 to 8. In single precision the formula as printed still gives the result, but it
# adds numbers of $10^{10}$ to numbers of $10^{-7}$, so the smallest gradients are rounding noise; the hints lead to a
# form without such numbers. Both means may be near 1,000 and differ by 0.01; the result must lie between them.
#
# ```python
# precision_weighted(first_mean, first_log_std, second_mean, second_log_std)  # four tensors of one shape, any
# #                                                                  →  (mean, log_std), same shape
# ```
#
# {{cases of precision_weighted}}
#
# <details><summary>Hint 1: a question</summary>
#
# Which share of $\mu$ comes from the first mean? Write it as a function of $\log\sigma_1 - \log\sigma_2$ alone.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# The share of the first mean is $\frac{\sigma_2^2}{\sigma_1^2 + \sigma_2^2} = \frac{1}{1 + e^{2(\log\sigma_1 -
# \log\sigma_2)}}$: a sigmoid. Then move from the second mean towards the first by that share. For the new standard
# deviation, add the precisions on the scale of logarithms.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `share_of_first = torch.sigmoid(2 * (second_log_std - first_log_std))`
# </details>


# %% nbgrader={"grade": false, "grade_id": "precision_weighted", "locked": false, "schema_version": 3, "solution": true}
@implements("precision_weighted")
def precision_weighted(first_mean, first_log_std, second_mean, second_log_std):
    """The normalised product of two diagonal Gaussian densities.

    first_mean, first_log_std: parameters of the first, tensors of one shape.
    second_mean, second_log_std: parameters of the second, same shape.
    The means are finite and of comparable size; log standard deviations lie between -12 and 8.
    Returns the tuple (mean, log_std), each in the shape and dtype of the inputs, which are not
    changed. Gradients reach all four.
    """
    ### BEGIN SOLUTION
    share_of_first = torch.sigmoid(2 * (second_log_std - first_log_std))
    mean = second_mean + share_of_first * (first_mean - second_mean)
    log_std = -0.5 * torch.logaddexp(-2 * first_log_std, -2 * second_log_std)
    return mean, log_std
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_precision_weighted", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("precision_weighted")

# %% [markdown]
# ## Exercise 3: `gaussian_kl_per_layer`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the KL of every layer of a hierarchy, for every image | 2 of 5 | 5 of 5 | 15 minutes |
#
# The KL of a hierarchy is a sum over its layers, and the terms show where the information is. Layers may have
# latents of different shapes, say `(batch, 8, 1, 1)` at the top and `(batch, 8, 16, 16)` further down, so the parameters
# come as lists. For each layer $l$ and each image, sum over all latent dimensions:
#
# $$\mathrm{KL}_l = \sum_d \Bigl[ \log\frac{\sigma_p}{\sigma_q} + \frac{\sigma_q^2 + (\mu_q - \mu_p)^2}{2 \sigma_p^2} -
# \frac12 \Bigr].$$
#
# Log standard deviations run from −12 to 8, and means near 1,000 may differ by 0.01.
#
# ```python
# gaussian_kl_per_layer(q_means, q_log_stds, p_means, p_log_stds)  # four lists, top layer first, of (batch, …)
# #                                                        →  (batch, layers) nats
# ```
#
# {{cases of gaussian_kl_per_layer}}
#
# <details><summary>Hint 1: a question</summary>
#
# What is the shape of the result if there are three layers and a batch of 20 images? Over which dimensions of
# `(batch, 8, 16, 16)` do you sum?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Compute one KL for each layer, as in unit 01, after flattening everything but the batch; then stack the layers as
# columns. Work with differences of means and of log standard deviations rather than with the four numbers themselves.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `for q_mean, q_log_std, p_mean, p_log_std in zip(q_means, q_log_stds, p_means, p_log_stds):`
# </details>


# %% nbgrader={"grade": false, "grade_id": "gaussian_kl_per_layer", "locked": false, "schema_version": 3, "solution": true}
@implements("gaussian_kl_per_layer")
def gaussian_kl_per_layer(q_means, q_log_stds, p_means, p_log_stds):
    """KL(q || p) of each stochastic layer and example, in nats, summed over the layer's latents.

    q_means, q_log_stds: parameters of the posteriors, lists with one tensor for each layer, top
        layer first; each (batch, ...) with one or more latent dimensions, which may differ from
        layer to layer. Log standard deviations lie between -12 and 8.
    p_means, p_log_stds: parameters of the priors, in the same form.
    Returns (batch, layers), in the dtype of the inputs. Neither the tensors nor the lists are
    changed. Gradients reach every tensor.
    """
    ### BEGIN SOLUTION
    from avae_lib.divergences import kl_diagonal_gaussian

    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    return torch.stack([kl_diagonal_gaussian(*(tensor.flatten(1) for tensor in layer)) for layer in layers], dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_gaussian_kl_per_layer", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("gaussian_kl_per_layer")

# %% [markdown]
# ## Exercise 4: `unpool_nearest`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | bring a coarse feature map to a finer grid without learning anything | 2 of 5 | 3 of 5 | 10 minutes |
#
# Going down, a Very Deep VAE doubles the resolution by repeating pixels: each one becomes a square of `factor` × `factor`
# equal pixels. An upper latent therefore influences the image from the very first training step; a learned upsampler
# would have to be trained first.
#
# ```python
# unpool_nearest(x, factor)  # (batch, channels, h, w), a whole number 1 … 32
# #                  →  (batch, channels, h · factor, w · factor)
# ```
#
# {{cases of unpool_nearest}}
#
# <details><summary>Hint 1: a question</summary>
#
# Which pixel of the coarse map does the fine pixel in row 5 and column 2 come from, with factor 4?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Repeat each row and each column `factor` times. *Repeat each*, not the whole picture again and again:
# `torch.repeat_interleave` and `Tensor.repeat` differ in exactly this. The gradient of a coarse pixel is then the sum
# over its square.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `rows = x.repeat_interleave(factor, dim=2)`
# </details>


# %% nbgrader={"grade": false, "grade_id": "unpool_nearest", "locked": false, "schema_version": 3, "solution": true}
@implements("unpool_nearest")
def unpool_nearest(x, factor):
    """Each pixel repeated as a square of factor x factor equal ones.

    x: feature maps, (batch, channels, h, w).
    factor: how many times larger height and width become, a Python int, 1 to 32.
    Returns (batch, channels, h * factor, w * factor), in the dtype of x, which is not changed.
    Gradients reach x.
    """
    ### BEGIN SOLUTION
    return x.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_unpool_nearest", "locked": true, "points": 3, "schema_version": 3, "solution": false}
check("unpool_nearest")

# %% [markdown]
# ## Exercise 5: `bottleneck_block`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the block that every network of a Very Deep VAE is built from | 3 of 5 | 4 of 5 | 20 minutes |
#
# Four convolutions, narrow in the middle, with a GELU *before* each of them (Child, 2021):
#
# $$x \to \mathrm{GELU} \to 1{\times}1 \to \mathrm{GELU} \to 3{\times}3 \to \mathrm{GELU} \to 3{\times}3 \to \mathrm{GELU}
# \to 1{\times}1 \to y.$$
#
# A residual block returns $x + y$, any other block $y$. GELU is $x\,\Phi(x)$ with the exact normal distribution
# function, not its tanh approximation. Zero padding keeps height and width. At resolutions 1 and 2 the middle kernels
# that you receive are 1×1 as well: take the size from the weights.
#
# Here the block is a *function*: the weights come from outside. A module would hold them; your function only computes.
#
# ```python
# bottleneck_block(x, weights, biases, residual)
# # (batch, channels, h, w); lists of four: (out, in, k, k) and (out,); bool
# #   →  (batch, out channels of the last, h, w)
# ```
#
# {{cases of bottleneck_block}}
#
# <details><summary>Hint 1: a question</summary>
#
# How many rows of zeros does a 3×3 convolution need on each side to keep the height? And a 1×1 convolution? Which formula
# covers both?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Loop over the four pairs of weight and bias: activate, convolve. You need the block's input again at the end, so keep
# it under its own name. `torch.nn.functional` has `gelu` and `conv2d`.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `y = x`, and then `for weight, bias in zip(weights, biases):`
# </details>


# %% nbgrader={"grade": false, "grade_id": "bottleneck_block", "locked": false, "schema_version": 3, "solution": true}
@implements("bottleneck_block")
def bottleneck_block(x, weights, biases, residual):
    """Four convolutions, each after a GELU: 1x1, 3x3, 3x3, 1x1 (Very Deep VAE).

    x: feature maps, (batch, channels, h, w).
    weights: list of four kernels, (out, in, k, k), where k is 1 or 3; k is 1 for the first and
        the last.
    biases: list of four, (out,).
    residual: whether to return the sum of x and the result; if so, both have the same number of
        channels.
    Returns (batch, out, h, w), in the dtype of x. Neither tensors nor lists are changed.
    Gradients reach x, every weight and every bias.
    """
    ### BEGIN SOLUTION
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = torch.nn.functional.gelu(y)
        y = torch.nn.functional.conv2d(y, weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_bottleneck_block", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("bottleneck_block")

# %% [markdown]
# ## Exercise 6: `top_down_step`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | one stochastic layer, from the stream that comes in to the stream that goes on | 5 of 5 | 5 of 5 | 45 minutes |
#
# This is the heart of the model. A *stream* of features comes down from the layers above. At each layer a latent is drawn
# and added to it. Your function gets the stream, the encoder's features of the same resolution (the *evidence*) and four
# networks as `parts`:
#
# | call | returns | with |
# |---|---|---|
# | `parts.posterior(torch.cat([stream, evidence], dim=1))` | `(mean, log_std)` | shaped like `noise`; absolute, not a residual |
# | `parts.prior(stream)` | `(mean, log_std, h)` | `h` shaped like the stream: what the prior's network adds to it |
# | `parts.project(z)` | a feature map | shaped like the stream |
# | `parts.refine(stream)` | the new stream | its residual sum is already included |
#
# 1. Posterior and prior both see the stream *as it came in*.
# 2. $z = \mu + e^{\log\sigma}\,\varepsilon$ with $\varepsilon$ = `noise`: from the posterior where there is evidence,
#    from the prior where `evidence` is `None` (this is how the model samples new images; `parts.posterior` must not be
#    called then).
# 3. Add $h$ and the projected latent to the stream, then refine.
#
# Return the new stream, $z$, and the KL of this layer for each image: $\mathrm{KL}(\text{posterior} \,\|\, \text{prior})$
# in nats, summed over channels and pixels. Without evidence it is 0 for every image, `(batch,)`, in the stream's dtype.
#
# ```python
# top_down_step(stream, evidence, parts, noise)
# # (batch, width, h, w); (batch, evidence_width, h, w) or None; four callables; (batch, latent, h, w)
# #   →  (stream (batch, width, h, w), z (batch, latent, h, w), kl (batch,) nats)
# ```
#
# {{cases of top_down_step}}
#
# <details><summary>Hint 1: a question</summary>
#
# Write down, for each of the four parts, which version of the stream it sees: as it came in, with $h$, or with $h$ and
# the latent? And which of the two Gaussians does the first argument of the KL come from?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Compute both Gaussians before you touch the stream. The pieces exist already: `reparameterize` (unit 03) draws,
# `gaussian_kl_per_layer` (exercise 3) gives the KL of a list of one layer. Import them *inside this cell*, from
# `avae_lib.gaussians`.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `prior_mean, prior_log_std, h = parts.prior(stream)`
# </details>


# %% nbgrader={"grade": false, "grade_id": "top_down_step", "locked": false, "schema_version": 3, "solution": true}
@implements("top_down_step")
def top_down_step(stream, evidence, parts, noise):
    """One layer of a Very Deep VAE: draw its latent and add it to the stream.

    stream: features from the layers above, (batch, width, h, w).
    evidence: features of the image, (batch, evidence_width, h, w), or None to draw from the
        prior.
    parts: object with four callables that may be called any number of times:
        posterior(cat of stream and evidence) -> (mean, log_std), each shaped like noise;
        prior(stream) -> (mean, log_std, h), h shaped like stream;
        project(z) -> shaped like stream; refine(stream) -> the new stream.
        posterior is not called without evidence.
    noise: standard normal numbers, (batch, latent, h, w).
    Returns the tuple (stream, z, kl): the new stream; the latent; KL(posterior || prior) of each
    example, (batch,), nats, summed over channels and pixels, zeros without evidence. All have
    the dtype of the stream. No input is changed.
    """
    ### BEGIN SOLUTION
    from avae_lib.gaussians import gaussian_kl_per_layer, reparameterize

    prior_mean, prior_log_std, h = parts.prior(stream)
    if evidence is None:
        z = reparameterize(prior_mean, prior_log_std, noise)
        kl = stream.new_zeros(len(stream))
    else:
        mean, log_std = parts.posterior(torch.cat([stream, evidence], dim=1))
        z = reparameterize(mean, log_std, noise)
        kl = gaussian_kl_per_layer([mean], [log_std], [prior_mean], [prior_log_std])[:, 0]
    return parts.refine(stream + h + parts.project(z)), z, kl
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_top_down_step", "locked": true, "points": 10, "schema_version": 3, "solution": false}
check("top_down_step")

# %% [markdown]
# ## Exercise 7: `should_skip_update`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | keep one bad batch from ruining a week of training | 2 of 5 | 3 of 5 | 10 minutes |
#
# When very deep hierarchies are trained, a rare batch has a gradient far longer than usual. Clipping alone still takes
# a full step in a bad direction. The Very Deep VAE skips such an update: if the norm of the gradient is **not below** a
# threshold, or if the loss or the norm is not finite, the weights stay as they are.
#
# On a GPU the result must stay on the GPU. Turning a tensor into a Python truth value (`if`, `and`, `not`, `bool(…)`,
# `.item()`) makes the program wait for the GPU in every step.
#
# ```python
# should_skip_update(loss, gradient_norm, threshold)
# # two scalar tensors; a number, a scalar tensor, or None for no threshold
# #   →  scalar bool tensor, on the same device
# ```
#
# {{cases of should_skip_update}}
#
# <details><summary>Hint 1: a question</summary>
#
# What is `torch.tensor(float('nan')) >= 400`? And `not (nan < 400)`? Which threshold does `if threshold:` mistake for
# None?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Collect the reasons to skip with `|`, and negate with `~`: both work on tensors, on the device. `torch.isfinite`
# detects NaN and both infinities. `threshold is None` only looks at the Python object, so nothing has to wait.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))`
# </details>


# %% nbgrader={"grade": false, "grade_id": "should_skip_update", "locked": false, "schema_version": 3, "solution": true}
@implements("should_skip_update")
def should_skip_update(loss, gradient_norm, threshold):
    """Whether to skip an update of the weights.

    loss: the loss of the batch, a scalar tensor; may be NaN or infinite.
    gradient_norm: norm of the gradient, a scalar tensor; may be NaN or infinite.
    threshold: an update is skipped if its norm equals or exceeds this; a number or a scalar
        tensor, possibly 0.0; None for no threshold.
    Returns a scalar bool tensor on the device of the loss: true where the norm is not below the
    threshold, or where loss or norm is not finite. The host does not wait for the device.
    """
    ### BEGIN SOLUTION
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    if threshold is not None:
        skip = skip | (gradient_norm >= threshold)
    return skip
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_should_skip_update", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("should_skip_update")

# %% [markdown]
# ## A hierarchy made of your functions
#
# The rest is a reward. The library's Very Deep VAE calls your functions wherever it needs them. A small one, with 11
# stochastic layers from 1×1 to 32×32, learns patches of two colour photographs (on Colab: the photographs of
# CIFAR-10). On a laptop it takes a minute or two.

# %% fast="steps = 20"
steps = 600
minutes = 10  # training stops after this time; run its cell again to continue
run = "05_first"  # another name begins another model

# %%
from dataclasses import replace

from avae_lib import components, data, notebook_setup, plotting
from avae_lib.data import DataConfig
from avae_lib.notebook_setup import choose
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.training.training_config import TrainingConfig

preset = find_preset("photos32-vdvae")
images = DataConfig(choose("photos32", colab="cifar10"), validation=500)
training = derive(
    TrainingConfig(steps=steps, batch_size=8),
    learning_rate={"peak": 1e-2}, optimizer={"ema_decay": 0.98},
    skipping={"threshold": 1e5}, logging={"evaluation_images": 100},
)
experiment = replace(preset, data=images, model=replace(preset.model, width=16, latent_channels=4), training=training)
print(components.report(experiment.build_model()))

# %% [markdown]
# The table shows whose code each part of the model runs: *yours* once its cell has run, or once you have kept it in
# `my_components.py`. Functions of units 00, 03 and 04 are used here too.
#
# `watched` monitors your functions while they run. If one raises an error or returns NaN, one line says which, and
# where to look. It also compares functions of earlier units with the library's.

# %% tags=["picture-training"]
import functools

from avae_lib.component_health import watched
from avae_lib.training.notebook_training import train_in_notebook

runs = notebook_setup.keep_runs_on_drive(False)  # True keeps them on your Google Drive


@functools.cache  # run this cell again to go on, or with changed functions and another name of the run
def trained():
    with watched("05_hierarchical_vae"):
        return train_in_notebook(experiment, runs / run, minutes)


model = trained().model

# %% tags=["build-check"]
assert trained().step == steps
assert not [entry.name for entry in components.listing("05_hierarchical_vae") if not entry.is_replaced]

# %% [markdown]
# **What you should see** (bits per dimension; a model that has learnt nothing needs 8). The validation images need
# fewer than the training images because they have less contrast:
#
# ![A falling learning curve, and below it eight samples, speckled in the colours of the photographs](pictures/training.png)

# %% [markdown]
# ### Which layers carry the information?
#
# Your `gaussian_kl_per_layer` gives each layer's KL. The curve adds them up from the top: it shows how many nats an
# image has cost down to each layer. Test images are used here for the first time.

# %% tags=["picture-cumulative"]
model = trained().model
test = data.load(images.name).pixels("test")
test = test[:: len(test) // 64][:64].to(next(model.parameters()).device)  # from all over the photographs
with torch.no_grad():
    elbo = model(test)
kl = elbo.kl.mean(0).tolist()
resolutions = [step.resolution for step in experiment.model.decoder]
plotting.show(plotting.cumulative_kl({"your hierarchy": [kl]}, resolutions))

# %% tags=["build-check"]
assert min(kl) >= 0 and sum(kl[:6]) > 0.9 * sum(kl), "the layers down to 8×8 carry nearly all"

# %% [markdown]
# **What you should see** (your numbers will differ: after a few hundred updates much is still due to chance). So early
# in training, the layers at 16×16 and 32×32 carry hardly any information yet:
#
# ![A rising curve of the KL against the layers, with the resolution of each below the axis](pictures/cumulative.png)

# %% [markdown]
# ### Keep the top layers, resample the rest
#
# Now keep the latents of the top $k$ layers as drawn from the posterior of a test image, and resample all layers below
# from the prior. What stays the same in the image is the information in the top $k$ layers.

# %% tags=["picture-resampled"]
model = trained().model
torch.manual_seed(0)
depths = [0, 1, 3, 6, 9, len(kl)]
rows = {f"top {k} kept": model.reconstruct(test[:8], keep_layers=k) for k in depths}
plotting.show(plotting.image_rows({"test images": test[:8]} | rows))

# %% tags=["build-check"]
targets = test.float()
errors = {k: (model.reconstruct(test, keep_layers=k).float() - targets).square().mean().item() for k in depths}
assert errors[6] < errors[3] < errors[1] < errors[0] and errors[11] > 0.8 * errors[6], errors

# %% [markdown]
# **What you should see:**
#
# ![Rows of photographs: the real ones, then reconstructions that keep more and more layers](pictures/resampled.png)
#
# The first three layers, at 1×1 and 4×4, decide colour and brightness. After the sixth hardly anything changes, as the
# curve above predicts: it is nearly flat there.

# %% [markdown]
# ## Question 1
#
# Four friends have each changed one thing in the hierarchy; all four models train without an error.
#
# * (a) Ada's posterior sees the stream *after* $h$ has been added to it.
# * (b) Ben's prior sees the stream *after* the projected latent has been added to it.
# * (c) Cleo draws $z = \mu + \tfrac12 e^{\log\sigma} \varepsilon$ from the posterior, for sharper reconstructions, and
# leaves the KL as it is.
# * (d) Dan's residual posterior can only be narrower than its prior: $\Delta\log\sigma$ is replaced by
# $-|\Delta\log\sigma|$.
#
# For each: is minus the loss still a lower bound on $\log p(x)$ on average over the noise? Give the reason in one or two
# sentences. Where it is not a bound, say how you would notice. (4 points)

# %% [markdown] nbgrader={"grade": true, "grade_id": "question_1", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# (a) A bound: q(z_l | z_<l, x) may be any function of the image and of the latents above, and h is a function of the
# latents above. (b) None: a prior that is computed from z_l itself is not p(z_l | z_<l). It can agree with the posterior
# at no cost, so the KLs go towards 0 while reconstructions are perfect; and samples show it, since there is no z_l to
# begin with when one draws from the prior. (c) None: z is drawn from a distribution of half the width, while the KL is
# that of the full width, so the expectation and the KL belong to different q. With σ halved in both places the KL would
# be larger by log 2 − 3/8 · σ²/σ_p² per latent (an increase wherever σ < 1.36 σ_p). One notices it when the bound is
# computed again with the right draw, or by importance weights with the true density of the draws: the value falls. (d) A
# bound: a family of posteriors that is smaller is still a family of posteriors. It can only be looser, where the true
# posterior is wider than the prior.
#
# *Rubric.* One point for each part, half of it for the right verdict and half for the reason. (a) q may depend on x and
# z_<l in any way. (b) p may not depend on z_l; and how one notices (samples, or KL near 0 beside perfect
# reconstructions). (c) the draw and the KL belong to different distributions; and how one notices. (d) a smaller family,
# looser at worst.
# ### END SOLUTION

# %% [markdown]
# ## Going further
#
# * On Colab, give the model a GPU and CIFAR-10: more blocks, `width=64`, and the threshold of the published run, 400
#   times the number of dimensions (its loss is counted per dimension, ours per image).
# * Double the blocks at 32×32 and halve those at 8×8. Which of the two changes shows in the cumulative rate?
# * Swap `unpool_nearest` for bilinear interpolation with `components.using`. What happens to the first layers?
# * Hand in `05_hierarchical_vae.ipynb` as unit 00 explains.
