# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 07: Judge deep latent models
#
# A single number, bits per dimension, often decides which of two models is called better. You write the functions that
# compute this number and those that test it. Then two friends give you trained hierarchies, each with a card that
# states what the model achieves. One of the cards claims too much. You find out which one, by how much, and why.
#
# **What you will be able to do**
#
# 1. Turn nats into bits per dimension, and estimate $\log p(x)$ from any number of draws with the memory of a few.
# 2. Say how many draws an estimate effectively rests on, and what this means for the number.
# 3. Compute the area under a ROC curve over millions of pairs without going through the pairs.
# 4. Measure which layers and units of a hierarchy carry information, and sample at a chosen temperature.
# 5. Check a claimed number: units, bound, images, and how the mean was taken.
#
# | exercise | | difficulty | importance | time | points |
# |---|---|---|---|---|---|
# | 1 | `bits_per_dim` | 1 of 5 | 5 of 5 | 5 min | 2 |
# | 2 | `marginal_log_likelihood` | 4 of 5 | 5 of 5 | 40 min | 8 |
# | 3 | `effective_sample_size` | 2 of 5 | 5 of 5 | 15 min | 4 |
# | 4 | `active_units` | 2 of 5 | 3 of 5 | 10 min | 3 |
# | 5 | `area_under_roc` | 4 of 5 | 4 of 5 | 35 min | 6 |
# | 6 | `temperature_sample` | 1 of 5 | 3 of 5 | 5 min | 3 |
# | 7 | `keep_top_layers` | 1 of 5 | 3 of 5 | 10 min | 3 |
# | | two cards, pictures and question 1 | | | 50 min | 4 |
#
# **You need** lecture 07, and unit 00 for how an exercise works. **Conventions:** layers are counted from the top.
# Logarithms are natural, so likelihoods are in *nats*, summed over one image. Standard deviations come as `log_std`
# $= \log \sigma$. **Results have the dtype of the inputs** (float64 in, float64 out), and no function changes its
# inputs or the lists that hold them. You may compute in another dtype on the way.

# %% [markdown]
# {{how to keep your work}}

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false}
# {{set-up}}

# %% [markdown]
# ## Exercise 1: `bits_per_dim`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | from nats per image to the number that tables print | 1 of 5 | 5 of 5 | 5 minutes |
#
# A loss comes in nats, summed over an image. Tables print *bits per dimension*: bits instead of nats, divided by the
# number $D$ of values in an image. A colour image of 32×32 pixels has $D = 3 \cdot 32 \cdot 32$ values. For sentences
# $D$ is the mean number of tokens, which need not be whole.
#
# An example: 64 pixels, each of 16 equally likely levels, have a code length of $64 \log 16 = 177.4$ nats, and that is 4
# bits per dimension.
#
# ```python
# bits_per_dim(nats, num_dims)  # float or tensor of any shape; number, at least 1
# #   →  a float for a float, a tensor of the same shape and dtype for a tensor
# ```
#
# {{cases of bits_per_dim}}
#
# <details><summary>Hint 1: a question</summary>
#
# How many nats is one bit? (A fair coin: $-\log_2 \tfrac12 = 1$ bit. And in nats?)
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# You need two divisions. Take the constant from `math`, as a Python number in full precision: a float32 tensor in its
# place would make float64 results inaccurate, and turn a float into a tensor.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `import math`, *inside* the cell.
# </details>


# %% nbgrader={"grade": false, "grade_id": "bits_per_dim", "locked": false, "schema_version": 3, "solution": true}
@implements("bits_per_dim")
def bits_per_dim(nats, num_dims):
    """Nats per example as bits per dimension.

    nats: a float or a tensor of any shape, summed over each example; may be negative.
    num_dims: number of values in one example, at least 1; not always whole.
    Returns a float for a float, and for a tensor a tensor of its shape and dtype, through which
    gradients reach nats.
    """
    ### BEGIN SOLUTION
    import math

    return nats / (num_dims * math.log(2))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_bits_per_dim", "locked": true, "points": 2, "schema_version": 3, "solution": false}
check("bits_per_dim")

# %% [markdown]
# ## Exercise 2: `marginal_log_likelihood`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | log p(x) from thousands of draws, with the memory of a few | 4 of 5 | 5 of 5 | 40 minutes |
#
# From $K$ draws $z_k \sim q(z \mid x)$ with weights $w_k = p(x, z_k) / q(z_k \mid x)$, importance sampling estimates
#
# $$\log p(x) \approx \log \frac1K \sum_{k=1}^K w_k .$$
#
# Thousands of draws of a deep model do not fit into memory at once, so the *log* weights come in chunks, `(samples,
# batch)` each. Chunks may hold different numbers of samples. They may come from a list, or from a generator that makes
# each chunk when you ask for it and can be run through only once. Memory must not grow with the number of chunks: never
# collect them.
#
# First derive, on paper, how the logarithm $S$ of a sum of weights changes when the weights of a new chunk, whose sum has
# the logarithm $C$, are added: write $\log(e^S + e^C)$ so that no exponential can overflow. Log weights of $\pm 4000$ are
# common here, and a log weight of $-\infty$ is a weight of 0 that counts as a sample. If all weights of an image are 0,
# the result is $-\infty$.
#
# An example, one image and two chunks with the weights $(1, 3)$ and $(5)$: the mean weight is 3, so the result is
# $\log 3 = 1.0986$. The mean of the two means, $\log 3.5$, is wrong, and so is the mean of the logarithms, $0.90$.
#
# ```python
# marginal_log_likelihood(chunks)  # iterable of log weights (samples, batch); at least one chunk, each with a sample
# #   →  (batch,) nats; no gradient is needed
# ```
#
# {{cases of marginal_log_likelihood}}
#
# <details><summary>Hint 1: a question</summary>
#
# What must you remember about the chunks seen so far, so that you can throw them away? (It is one number for each
# image, and one number for all of them.)
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Remember the logarithm of the sum of weights, and how many there were. With $M$ the larger of $S$ and $C$, $\log(e^S +
# e^C) = M + \log(1 + e^{-|S - C|})$; that is `torch.logaddexp`, and `torch.logsumexp` does the same within a chunk. Both
# handle $-\infty$, where the formula written out would subtract $-\infty$ from $-\infty$. Divide by the number of
# samples once, at the very end. With many chunks rounding errors add up: sum in float64 and convert the result.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `log_sum, samples = None, 0`
# </details>


# %% nbgrader={"grade": false, "grade_id": "marginal_log_likelihood", "locked": false, "schema_version": 3, "solution": true}
@implements("marginal_log_likelihood")
def marginal_log_likelihood(chunks):
    """The logarithm of the mean importance weight of each image, from chunks that are read once.

    chunks: iterable (list, tuple or generator) of log weights, (samples, batch) each, nats; at
        least one chunk, each with at least one sample. Log weights may lie thousands apart, or be
        -inf.
    Returns (batch,) nats, in the dtype of the chunks; -inf where all weights are 0. The chunks are
    not changed, and no more than one is held at a time. No gradient is needed.
    """
    ### BEGIN SOLUTION
    import math

    log_sum, samples = None, 0
    for chunk in chunks:
        of_chunk = torch.logsumexp(chunk.detach().double(), dim=0)
        log_sum = of_chunk if log_sum is None else torch.logaddexp(log_sum, of_chunk)
        samples += len(chunk)
    return (log_sum - math.log(samples)).to(chunk.dtype)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_marginal_log_likelihood", "locked": true, "points": 8, "schema_version": 3, "solution": false}
check("marginal_log_likelihood")

# %% [markdown]
# ## Exercise 3: `effective_sample_size`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | how many draws an estimate effectively rests on | 2 of 5 | 5 of 5 | 15 minutes |
#
# A mean of a thousand weights is not worth much if one of them is a million times larger than all others. The *effective
# sample size* of an image,
#
# $$\frac{\bigl(\sum_k w_k\bigr)^2}{\sum_k w_k^2},$$
#
# is $K$ if all weights are equal, and 1 if one of them makes the whole sum. Again you get *log* weights, finite and as
# large as $\pm 10^{30}$, and images may lie thousands of nats apart.
#
# Two examples: the weights $(1, 1, 2)$ give $4^2 / 6 = 2.67$, and so do the weights $e^{500} \cdot (1, 1, 2)$.
#
# ```python
# effective_sample_size(log_weights)  # (samples, batch)  →  (batch,), from 1 to the number of samples
# ```
#
# {{cases of effective_sample_size}}
#
# <details><summary>Hint 1: a question</summary>
#
# What happens to the ratio if all weights of an image are multiplied by the same number? Which number keeps the largest
# weight from overflowing?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Subtract the largest log weight of *each image*, not of the whole batch, and take the exponential after that. A
# difference of two `logsumexp` is correct on paper, but for log weights near $10^{30}$ it loses every digit.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `relative = log_weights - log_weights.amax(dim=0)`
# </details>


# %% nbgrader={"grade": false, "grade_id": "effective_sample_size", "locked": false, "schema_version": 3, "solution": true}
@implements("effective_sample_size")
def effective_sample_size(log_weights):
    """How many equally weighted draws the importance weights of each image are worth.

    log_weights: (samples, batch), nats; finite, of any size.
    Returns (batch,), each from 1 to the number of samples, in the dtype of the log weights, which
    are not changed. Gradients reach them.
    """
    ### BEGIN SOLUTION
    weights = (log_weights - log_weights.amax(dim=0)).exp()
    return weights.sum(dim=0).square() / weights.square().sum(dim=0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_effective_sample_size", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("effective_sample_size")

# %% [markdown]
# ## Exercise 4: `active_units`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | count the latent units that depend on the image | 2 of 5 | 3 of 5 | 10 minutes |
#
# A unit whose posterior mean is the same for all images carries no information. Count the units $u$ whose mean
# $\mu_{nu}$ varies over the $N$ images by more than a threshold:
#
# $$\frac1N \sum_n (\mu_{nu} - \bar\mu_u)^2 > \text{threshold}.$$
#
# The latents of a layer may have any shape; every element of it is a unit. Note the $1/N$, and that a variance equal to
# the threshold does not count. Means may lie near 1,000 and differ by 0.01.
#
# An example, two images and three units with the means $(5, 1, 2)$ and $(5, -1, -2)$: the variances are 0, 1 and 4, so
# with the threshold 1 the count is 1.
#
# ```python
# active_units(posterior_means, threshold)  # (examples, *latent), float  →  scalar int64 tensor
# ```
#
# {{cases of active_units}}
#
# <details><summary>Hint 1: a question</summary>
#
# Over which dimension is the variance taken, and what shape is left? And what does `torch.var` divide by, by default?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Centre first and square afterwards: $\overline{\mu^2} - \bar\mu^2$ loses all digits near 1,000. Compare with the
# threshold; the sum of a tensor of booleans is a count of int64.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `deviations = posterior_means - posterior_means.mean(dim=0)`
# </details>


# %% nbgrader={"grade": false, "grade_id": "active_units", "locked": false, "schema_version": 3, "solution": true}
@implements("active_units")
def active_units(posterior_means, threshold):
    """How many units of a layer have posterior means that vary from image to image.

    posterior_means: (examples, *latent), with any number of latent dimensions; may lie far from 0.
    threshold: a float; a unit counts if its variance over the examples, with 1/N, is above this.
    Returns the count, a scalar int64 tensor. The means are not changed.
    """
    ### BEGIN SOLUTION
    deviations = posterior_means - posterior_means.mean(dim=0)
    return (deviations.square().mean(dim=0) > threshold).sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_active_units", "locked": true, "points": 3, "schema_version": 3, "solution": false}
check("active_units")

# %% [markdown]
# ## Exercise 5: `area_under_roc`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | measure how well a score separates two sets, from ranks | 4 of 5 | 4 of 5 | 35 minutes |
#
# A score should be high for images from *outside*, which the model was not trained on. As lecture 07 derives,
# the area under its ROC curve is a share of pairs: how often does an outside score $t_j$ exceed an inside score $s_i$?
#
# $$\frac{1}{nm} \sum_{i=1}^n \sum_{j=1}^m \Bigl( \mathbb 1[t_j > s_i] + \tfrac12\, \mathbb 1[t_j = s_i] \Bigr)$$
#
# Equal scores count half. With 10,000 images on each side there are $10^8$ pairs, too many to compare one by one: memory
# may grow with $n + m$, not with $n \cdot m$. Find an algorithm that takes about $(n + m) \log n$ steps.
#
# An example: inside $(1, 3)$, outside $(3, 2)$. Of the four pairs $3 > 1$ and $2 > 1$ are in order, $3 = 3$ counts half, and
# $2 < 3$ counts nothing: $2.5 / 4 = 0.625$.
#
# ```python
# area_under_roc(inside, outside)  # (n,), (m,), finite, at least one each  →  scalar tensor, in [0, 1]
# #   scores of any size; no gradient is needed
# ```
#
# {{cases of area_under_roc}}
#
# <details><summary>Hint 1: a question</summary>
#
# Take one outside score. You want to know how many inside scores lie below it, and how many are equal to it. In which
# order should the inside scores be, so that you need not look at all of them?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# `torch.searchsorted(ordered, scores)` finds for all scores at once the place where each would be inserted, which is
# the number of scores below it. Its argument `right` decides whether equal scores are included. So two calls give two
# counts; which combination of them counts ties half? Counts are int64: add them up before you divide, since float32 has
# seven digits and there may be $10^8$ pairs. And int64 divided by a whole number is float32, whatever the dtype of the
# scores: divide in float64, then convert.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `ordered = inside.sort().values`
# </details>


# %% nbgrader={"grade": false, "grade_id": "area_under_roc", "locked": false, "schema_version": 3, "solution": true}
@implements("area_under_roc")
def area_under_roc(inside, outside):
    """The area under the ROC curve of a score that should be higher for outside images.

    inside: scores of images of the model's own kind, (n,), finite, at least one.
    outside: scores of other images, (m,), finite, at least one.
    Returns the share of all pairs in which the outside score is the higher one, counting pairs of
    equal scores half: a scalar tensor, in the dtype of the scores. Memory does not grow with
    n * m, which may be 1e8. The scores are not changed. No gradient is needed.
    """
    ### BEGIN SOLUTION
    ordered = inside.sort().values
    below = torch.searchsorted(ordered, outside)
    below_or_equal = torch.searchsorted(ordered, outside, right=True)
    halves = (below + below_or_equal).sum()
    return (halves.double() / (2 * len(inside) * len(outside))).to(inside.dtype)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_area_under_roc", "locked": true, "points": 6, "schema_version": 3, "solution": false}
check("area_under_roc")

# %% [markdown]
# ## Exercise 6: `temperature_sample`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | draw from a Gaussian that is narrower, or wider, than the trained one | 1 of 5 | 3 of 5 | 5 minutes |
#
# Papers rarely show samples of the model itself. They show samples at a *temperature* $t < 1$: every standard deviation of the
# prior is multiplied by $t$. Write the draw. With $t = 1$ it is the draw of unit 03; with $t = 0$ it is exactly the mean.
#
# An example: mean 2, $\sigma = 3$, $t = 0.5$ and noise 1 give 3.5.
#
# ```python
# temperature_sample(mean, log_std, temperature, noise)
# # three tensors of one shape, any, log_std from −12 to 8; temperature a Python float ≥ 0  →  the draw, same shape
# ```
#
# {{cases of temperature_sample}}
#
# <details><summary>Hint 1: a question</summary>
#
# What should the standard deviation of the draw be, and what its variance? Which of the two does the temperature
# multiply?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# It is the draw of unit 03 with one more factor. Do not use $\log t$: at $t = 0$ it is $-\infty$.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `std = log_std.exp()`
# </details>


# %% nbgrader={"grade": false, "grade_id": "temperature_sample", "locked": false, "schema_version": 3, "solution": true}
@implements("temperature_sample")
def temperature_sample(mean, log_std, temperature, noise):
    """A draw from a diagonal Gaussian whose standard deviation is multiplied by a temperature.

    mean, log_std: tensors of one shape, finite; log_std from -12 to 8.
    temperature: the factor, a Python float of 0 or more; 0 gives exactly the mean.
    noise: standard normal numbers of the same shape; the only source of randomness.
    Returns the draw, in the shape and dtype of the inputs, which are not changed. Gradients reach
    the three tensors.
    """
    ### BEGIN SOLUTION
    return mean + temperature * log_std.exp() * noise
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_temperature_sample", "locked": true, "points": 3, "schema_version": 3, "solution": false}
check("temperature_sample")

# %% [markdown]
# ## Exercise 7: `keep_top_layers`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the top of a hierarchy from the image, the rest from the prior | 1 of 5 | 3 of 5 | 10 minutes |
#
# To see what the top $k$ layers encode of an image, keep their latents as drawn from the posterior and take all below from
# the prior. You get two lists, top layer first, and the number `keep`, from 0 to the number of layers. Return a *new* list
# that holds the same objects. They may be tensors of different shapes, records, text or `None`: do not look inside them.
#
# An example: `keep_top_layers(["q1", "q2", "q3"], ["p1", "p2", "p3"], 1)` is `["q1", "p2", "p3"]`.
#
# ```python
# keep_top_layers(posterior_draws, prior_draws, keep)  # two lists of one length, int  →  new list of that length
# ```
#
# {{cases of keep_top_layers}}
#
# <details><summary>Hint 1: a question</summary>
#
# With `keep` 0 and with `keep` equal to the number of layers, which list is the result a copy of?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Join a slice of each list. Negative indices are a trap: what is `draws[-0:]`?
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `kept = posterior_draws[:keep]`
# </details>


# %% nbgrader={"grade": false, "grade_id": "keep_top_layers", "locked": false, "schema_version": 3, "solution": true}
@implements("keep_top_layers")
def keep_top_layers(posterior_draws, prior_draws, keep):
    """Latents of which the top ones come from the posterior and those below from the prior.

    posterior_draws: list with one object for each layer, top first.
    prior_draws: list of the same length, in the same order.
    keep: number of layers, from the top, to take from the posterior; 0 to the number of layers.
    Returns a new list of the same objects. The two lists stay as they were.
    """
    ### BEGIN SOLUTION
    return [*posterior_draws[:keep], *prior_draws[keep:]]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_keep_top_layers", "locked": true, "points": 3, "schema_version": 3, "solution": false}
check("keep_top_layers")

# %% [markdown]
# ## Two checkpoints, and what is claimed for them
#
# Two friends have each trained a hierarchy on crops of the same two photographs, and tested it on the same 64 crops of
# 32×32 pixels, from a part of the photographs that neither model has seen. Ada's is a Very Deep VAE of 11 layers, Ben's
# a local hierarchy of 8. Each comes with a card:

# %% fast="crops, draws = crops[:16], 4"
import functools

from avae_lib import components, data, evaluation, plotting

torch.set_num_threads(1)  # networks this small are faster on one thread than on several
crops = data.load("photos32").test[:64]  # whole levels 0 … 255
draws = 64  # of the latents, for each crop

# %%
ada = {
    "checkpoint": "hierarchy-photos32",
    "kind of number": "−ELBO, mean of 64 draws",
    "bits per dimension": 4.923,
    "nats per crop": 10482.2,
    "active units": "395 of 12,164",
}
ben = {
    "checkpoint": "local-photos32",
    "kind of number": "−log p(x), importance-weighted, 64 draws",
    "bits per dimension": 4.551,
    "nats per crop": 9690.1,
    "nats per crop in each batch of 8 crops": [9326.9, 9759.1, 9271.6, 8937.4, 8935.2, 11761.9, 9865.4, 9663.5],
    "active units": "862 of 1,024",
}
cards = {"Ada": ada, "Ben": ben}

# %% [markdown]
# Ben's card looks better in every line: fewer bits, a tighter kind of number, and nearly all of his units are in use,
# while Ada uses one in thirty. One of the two cards claims too much. There are four suspects; we take one after the
# other.

# %% [markdown]
# ### Suspect 1: the units
#
# The commonest slip is a wrong unit: nats reported as bits, or 1,024 pixels in place of 3,072 values. Check with your
# `bits_per_dim`.

# %%
for name, card in cards.items():
    converted = bits_per_dim(card["nats per crop"], 3 * 32 * 32)
    print(f"{name}: {converted:.3f} from the nats, {card['bits per dimension']:.3f} claimed")

# %% tags=["build-check"]
assert all(abs(bits_per_dim(c["nats per crop"], 3072) - c["bits per dimension"]) < 6e-4 for c in cards.values())

# %% [markdown]
# Both cards have the right units, so the units are not to blame.

# %% [markdown]
# ### Suspect 2: the bound
#
# Ada states a bound, Ben an importance-weighted estimate, which is tighter. That alone makes them hard to compare. So draw the log
# weights of both models, 64 for each crop, and compute both kinds of number for both. (This cell takes about a minute.)

# %%
@functools.cache
def log_weights(checkpoint):
    """log p(x, z) − log q(z | x), nats, (draws, crops)."""
    model = data.recorded_model(checkpoint)
    with evaluation.measuring(model, seed=0):  # no gradients; the same draws each time
        return torch.stack([model.log_weight(crops) for _ in range(draws)]).double()


for name, card in cards.items():
    weights = log_weights(card["checkpoint"])
    bound, estimate = -weights.mean(), -marginal_log_likelihood(weights.split(16)).mean()
    size = effective_sample_size(weights).mean()
    print(f"{name}: −ELBO {bits_per_dim(bound, 3072):.3f}, −log p(x) {bits_per_dim(estimate, 3072):.3f} bits/dim,", end=" ")
    print(f"effective sample size {size:.2f} of {draws}")


# %% tags=["build-check"]
def both_numbers(card):
    weights = log_weights(card["checkpoint"])
    estimate = -marginal_log_likelihood(weights.split(16)).mean()
    return bits_per_dim(-weights.mean(), 3072), bits_per_dim(estimate, 3072), effective_sample_size(weights).mean()


(ada_bound, ada_estimate, ada_size), (ben_bound, ben_estimate, ben_size) = map(both_numbers, cards.values())
assert abs(ada_bound - ada["bits per dimension"]) < 0.003, "Ada's card is right"
assert abs(-log_weights(ada["checkpoint"]).mean() - ada["nats per crop"]) < 6
assert abs(ada_estimate - 4.85) < 0.01 and abs(ben_bound - 5.34) < 0.01 and abs(ben_estimate - 5.28) < 0.01
assert ada_size < 1.3 and ben_size < 1.3

# %% [markdown]
# Ada's claim holds. Ben's does not: your estimate, of the same kind and from as many draws, is 5.28, and he claims 4.55.
#
# Look at the effective sample sizes: about 1 of 64, for both. A single draw makes the whole estimate for most crops, so neither of
# the two numbers has settled. Could Ben's card be explained by more draws than he states? The next picture shows how much more
# draws gain.

# %% tags=["picture-claims"]
numbers = [1, 4, 16, 64]


def bits_against_draws(checkpoint):
    weights = log_weights(checkpoint)
    estimates = [torch.stack([marginal_log_likelihood([g]) for g in weights.split(k)]).mean() for k in numbers]
    return [bits_per_dim(-estimate.item(), 3072) for estimate in estimates]


curves = {name: bits_against_draws(card["checkpoint"]) for name, card in cards.items()}
claims = {name: card["bits per dimension"] for name, card in cards.items()}
plotting.show(plotting.claims_against_draws(numbers, curves, claims))

# %% tags=["build-check"]
for curve in curves.values():
    steps = [curve[i] - curve[i + 1] for i in range(3)]
    assert all(0.01 < step < 0.04 for step in steps), steps
assert curves["Ben"][-1] - claims["Ben"] > 0.7 and abs(curves["Ada"][0] - claims["Ada"]) < 0.003
further = (curves["Ben"][-1] - claims["Ben"]) / (curves["Ben"][-2] - curves["Ben"][-1])
assert 40 < further < 90, "about sixty more fourfoldings"

# %% [markdown]
# **What you should see:**
#
# ![Two slowly falling curves of bits per dimension against the number of draws; Ada's begins at her claim, Ben's lies far above his](pictures/claims.png)
#
# Four times as many draws save Ben between 0.01 and 0.03 bits. Even if the curve kept its last slope, he would have to
# quadruple the draws about sixty times. And a low effective sample size errs in the other direction: on average, too
# few draws make $\log p(x)$ too *small*, and the number of bits too large. The bound explains 0.05 of the 0.79 bits
# between Ben's −ELBO and his claim, so it is not to blame either.

# %% [markdown]
# ### Suspect 3: the images
#
# Are some crops easier than others, and did Ben keep only those? His card gives a number for each batch of 8, in the
# order of the crops. Compare them with your own.

# %%
nats = -marginal_log_likelihood(log_weights(ben["checkpoint"]).split(16))
claimed = ben["nats per crop in each batch of 8 crops"]
print("batch  claimed  your mean  your smallest  your largest")
for number, (claim, batch) in enumerate(zip(claimed, nats.split(8), strict=False), start=1):
    print(f"{number:5}  {claim:7.1f}  {batch.mean():9.1f}  {batch.min():13.1f}  {batch.max():12.1f}")

# %% tags=["build-check"]
assert all(abs(claim - batch.min() - 2.08) < 3 for claim, batch in zip(claimed, nats.split(8), strict=True))

# %% tags=["picture-batches"]
nats = -marginal_log_likelihood(log_weights(ben["checkpoint"]).split(16))
claimed = ben["nats per crop in each batch of 8 crops"]
batches = [batch.tolist() for batch in nats.split(8)]
plotting.show(plotting.images_of_batches(batches, claimed[: len(batches)]))

# %% tags=["build-check"]
assert all(abs(claim - min(batch)) < 6 < 500 < sum(batch) / 8 - claim for claim, batch in zip(claimed, batches, strict=True))

# %% [markdown]
# **What you should see:**
#
# ![Eight columns of dots, one for each crop; a ring for the claimed number lies around the lowest dot of every column](pictures/batches.png)
#
# All 64 crops are there. But the number of each batch is not the mean over its crops: it is the number of the *easiest*
# crop, plus 2.08.
#
# **Before you read on:** $2.08 = \log 8$. Which one call of your `marginal_log_likelihood` gives the first number of the
# card, 9326.9? (You have `log_weights(ben["checkpoint"])[:, :8]`, with 64 draws of 8 crops. Which mean did Ben take?)
#
# <details><summary>Hint</summary>
#
# The mean weight of *one* crop is a mean over its 64 draws. What if you pass all 512 numbers as draws of a single crop?
# </details>

# %% [markdown]
# ### Suspect 4: the mean
#
# Ben's code flattened the log weights of a batch before it took the mean. So he averaged the weights of *different crops* inside
# the logarithm:
#
# $$\log \frac{1}{8 \cdot 64} \sum_{n=1}^{8} \sum_{k=1}^{64} w_{nk} \quad\text{instead of}\quad
# \frac18 \sum_{n=1}^{8} \log \frac1{64} \sum_{k=1}^{64} w_{nk} .$$

# %%
flat = [batch.reshape(-1, 1) for batch in log_weights(ben["checkpoint"]).split(8, dim=1)]  # "draws" of one "crop"
recomputed = torch.stack([-marginal_log_likelihood([weights])[0] for weights in flat])
sizes = torch.cat([effective_sample_size(weights) for weights in flat])
print("nats of each batch:    ", [round(value, 1) for value in recomputed.tolist()])
print("claimed:               ", ben["nats per crop in each batch of 8 crops"])
print("effective sample sizes:", [round(value, 2) for value in sizes.tolist()], f"of {len(flat[0])}")
print(f"bits per dimension:     {bits_per_dim(recomputed.mean(), 3072):.3f}, claimed {ben['bits per dimension']}")

# %% tags=["build-check"]
for value, claim in zip(recomputed.tolist(), ben["nats per crop in each batch of 8 crops"], strict=True):
    assert abs(value - claim) < 10, "the card is what the flawed protocol gives"
assert abs(bits_per_dim(recomputed.mean(), 3072) - ben["bits per dimension"]) < 0.003
assert abs(sum(ben["nats per crop in each batch of 8 crops"]) / 8 - ben["nats per crop"]) < 0.1
assert sizes.max() < 1.3

# %% [markdown]
# This reproduces the card. The effective sample size is about 1 of 512, so a single draw of *one crop* determines the
# number of all eight. The size alone would not have raised suspicion, since the honest estimate had a size near 1 as
# well. You found the fault by recomputing the claim; the sizes then show what the claimed number rests on.

# %% [markdown]
# ### The verdict
#
# Compare the same kind of number on the same crops, and take the difference crop by crop, with its standard error.

# %%
bits = {name: bits_per_dim(-marginal_log_likelihood(log_weights(card["checkpoint"]).split(16)), 3072) for name, card in cards.items()}
for name, values in bits.items():
    print(f"{name}: −log p(x), {draws} draws: {evaluation.Estimate.over(values)} bits/dim")
print(f"Ben − Ada, crop by crop:        {evaluation.Estimate.over(bits['Ben'] - bits['Ada'])} bits/dim")

# %% tags=["build-check"]
difference = evaluation.Estimate.over(bits["Ben"] - bits["Ada"])
assert abs(difference.mean - 0.437) < 0.02 and abs(difference.standard_error - 0.028) < 0.004
assert 0.07 < evaluation.Estimate.over(bits["Ben"]).standard_error < 0.1

# %% [markdown]
# Ada's number is lower by 0.44 bits per dimension; according to the cards it was 0.37 higher. The difference is known
# more precisely than either number alone: a hard crop is hard for both models, and this cancels in the difference.

# %% [markdown]
# ### And the active units?
#
# One line of the cards remains. Count the units of each layer, from the top, with the customary threshold of 0.01.

# %%
from avae_lib.evaluation.unit_activity import posterior_means

for name, card in cards.items():
    model = data.recorded_model(card["checkpoint"])
    with evaluation.measuring(model):
        layers = posterior_means(model, crops)
    active = [active_units(means, 0.01).item() for means in layers]
    units = [means[0].numel() for means in layers]
    print(f"{name}: {sum(active):,} of {sum(units):,} units are active; layer by layer {active} of {units}")

# %% tags=["build-check"]
counts = {}
for name, card in cards.items():
    model = data.recorded_model(card["checkpoint"])
    with evaluation.measuring(model):
        layers = posterior_means(model, crops)
    counts[name] = [active_units(means, 0.01).item() for means in layers]
    claimed_active, claimed_units = (int(number.replace(",", "")) for number in card["active units"].split(" of "))
    assert abs(sum(counts[name]) - claimed_active) <= 3 and sum(means[0].numel() for means in layers) == claimed_units
assert counts["Ada"][6:] == [0] * 5 and min(counts["Ada"][:6]) > 0

# %% [markdown]
# The counts on the cards are right, and say nothing about which model is better. Most of Ada's 12,164 units, 11,264 of
# them, are in the five layers of 16×16 and 32×32, which have not learnt to carry any information. With 395 active units
# her model needs fewer bits than Ben's with 862.

# %% [markdown]
# ## What the layers encode
#
# The library calls your `keep_top_layers` and `temperature_sample` inside the models. The first picture takes the top
# $k$ layers of Ada's hierarchy from the posterior and the rest from the prior, for four test crops and for four
# handwritten digits, which the model has never seen.

# %% tags=["picture-kept"]
model = data.recorded_model("hierarchy-photos32")
digits = 17 * data.load("digits").test[:64]  # 16 levels become 0 … 255
digits = digits.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3).expand(-1, 3, -1, -1).contiguous()
torch.manual_seed(0)
shown = torch.cat([crops[[4, 8, 12, 13]], digits[:4]])
rows = {f"top {keep} kept": model.reconstruct(shown, keep_layers=keep) for keep in (0, 1, 2, 3, 4, 5, 11)}
plotting.show(plotting.image_rows({"images": shown} | rows))

# %% tags=["build-check"]
with evaluation.measuring(model):
    errors = {
        keep: [(model.reconstruct(x, keep_layers=keep).float() - x.float()).square().mean().item() for x in (crops, digits)]
        for keep in (0, 1, 2, 3, 4, 5, 11)
    }
levels = {keep: [mse**0.5 for mse in both] for keep, both in errors.items()}
assert abs(levels[0][0] - 113) < 8 and abs(levels[3][0] - 24) < 2.5
assert abs(levels[4][1] - 78) < 4 and abs(levels[5][1] - 49) < 4 and levels[1][1] > 90
assert not [entry.name for entry in components.listing("07_evaluation") if not entry.is_replaced]

# %% [markdown]
# **What you should see:**
#
# ![Rows of four crops and four digits: the images, then reconstructions that keep more and more layers](pictures/kept.png)
#
# After three layers the crops have their overall colour: the error of a level (root mean square, all 64 crops) has fallen from 113
# without any layer to 24. The petals appear with the fourth. With up to four layers kept, digits are patches in the colours of the
# photographs, with an error of
# 78. The fifth layer, the second of three at 8×8, adds their shape, and the error falls to 49.

# %% [markdown]
# ## What temperature hides
#
# The next picture shows samples from Ada's prior, with the same noise in every row. Only the width of the prior's
# Gaussians changes.

# %% tags=["picture-temperatures"]
model = data.recorded_model("hierarchy-photos32")
rows = {}
for temperature in (0.0, 0.5, 0.8, 1.0):
    generator = torch.Generator().manual_seed(0)
    rows[f"t = {temperature}"] = model.sample(8, temperature=temperature, generator=generator)
plotting.show(plotting.image_rows(rows))

# %% tags=["build-check"]
def variety(temperature):
    samples = model.sample(64, temperature=temperature, generator=torch.Generator().manual_seed(0)).float()
    return samples.mean(dim=(2, 3)).std(dim=0).mean().item()  # how far mean colours differ


varieties = [variety(t) for t in (0.0, 0.5, 0.8, 1.0)]
assert all(abs(found - said) < 2.5 for found, said in zip(varieties, (1.2, 23.7, 32.2, 35.8), strict=True)), varieties
assert abs(crops.float().mean(dim=(2, 3)).std(dim=0).mean().item() - 91) < 1

# %% [markdown]
# **What you should see:**
#
# ![Four rows of eight samples, one row for each temperature](pictures/temperatures.png)
#
# At $t = 0$ all eight pictures are the same except for the noise of single pixels, which comes from the likelihood and has no
# temperature here. Mean colours of 64 samples scatter by 1 level at $t = 0$, by 24 at 0.5, by 32 at 0.8 and by 36 at 1. (Those of the test
# crops scatter by 91: even at $t = 1$ this small model has little variety.) Samples at $t = 0.5$ show two thirds of the variety
# that the prior has. If you print them, print the temperature too.

# %% [markdown]
# ## Strange images
#
# Can Ada's model detect that a digit is not a crop of a photograph? We try two scores, where higher means stranger:
# $-\log p(x)$, and the likelihood ratio of lecture 07, the full estimate minus one that draws only the top layers from
# the posterior. A second strange set is crops with all levels inverted.

# %%
digits = 17 * data.load("digits").test[: len(crops)]  # 16 levels become 0 … 255
digits = digits.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3).expand(-1, 3, -1, -1).contiguous()
inverted = 255 - data.load("photos32").test[64 : 64 + len(crops)]
sets = {"crops": crops, "digits": digits, "inverted crops": inverted}


@functools.cache
def log_likelihoods(name, keep=None):
    model = data.recorded_model("hierarchy-photos32")
    with evaluation.measuring(model):
        return evaluation.image_log_likelihoods(model, sets[name], samples=4, keep_layers=keep)


def scores(name, keep):
    full = log_likelihoods(name)
    return {"−log p(x)": -full, "likelihood ratio": full - log_likelihoods(name, keep)}


# %%
for name in ("digits", "inverted crops"):
    for keep in (2, 3, 4, 5):
        inside, outside = scores("crops", keep), scores(name, keep)
        areas = [f"{score} {area_under_roc(inside[score], outside[score]).item():.2f}" for score in inside]
        print(f"{name:14}  top {keep} layers kept:  ", ",  ".join(areas))

# %% tags=["picture-roc"]
inside = scores("crops", keep=4)
panels = {}
for name in ("digits", "inverted crops"):
    outside = scores(name, keep=4)
    panels[name] = {score: (inside[score], outside[score]) for score in inside}
    print(f"{name}: areas", [round(area_under_roc(*pair).item(), 2) for pair in panels[name].values()])
plotting.show(plotting.roc_curves(panels))

# %% tags=["build-check"]
areas = {(name, score): area_under_roc(*pair).item() for name, panel in panels.items() for score, pair in panel.items()}
assert abs(areas["digits", "−log p(x)"] - 0.15) < 0.02 and areas["digits", "likelihood ratio"] > 0.995
assert abs(areas["inverted crops", "−log p(x)"] - 0.86) < 0.02
assert abs(areas["inverted crops", "likelihood ratio"] - 0.28) < 0.02
ratios = [area_under_roc(*(scores(name, keep)["likelihood ratio"] for name in ("crops", "digits"))) for keep in (3, 5)]
assert abs(ratios[0] - 0.80) < 0.02 and abs(ratios[1] - 0.69) < 0.02
costs = [bits_per_dim(-log_likelihoods(name).mean().item(), 3072) for name in ("digits", "crops")]
assert abs(costs[0] - 4.07) < 0.02 and abs(costs[1] - 4.89) < 0.02
lost = [scores(name, 4)["likelihood ratio"].mean().item() for name in ("digits", "crops")]
assert abs(lost[0] - 2450) < 30 and abs(lost[1] - 690) < 20, lost

# %% [markdown]
# **What you should see:**
#
# ![Two panels of ROC curves, digits and inverted crops, with a curve for each score](pictures/roc.png)
#
# By $-\log p(x)$, digits are *less* strange than the crops that the model was trained for: the area is 0.15. A value of
# a digit costs 4.07 bits on average, one of a crop 4.89. The likelihood ratio with four layers kept puts all digits
# above all crops, an area of 1.00. The rows of pictures show why: a digit gets its shape in the fifth layer, and
# without the posterior there it loses about 2,450 nats, a crop about 690.
#
# Two warnings follow. The table says 0.80 for three layers and 0.69 for five: "four" was chosen by looking at the
# digits, so 1.00 is a claim of Ben's kind, and it would have to be tested on other strange images. And for inverted
# crops the same ratio is *below* chance, 0.28, where $-\log p(x)$ has 0.86.

# %% [markdown]
# ## Question 1
#
# Four people comment on the two cards. Answer each in one or two sentences. (4 points)
#
# (a) Ben defends himself: "Averages belong inside the logarithm. That is what importance weighting is about." Run on batches of
# other sizes, his code gives:
#
# | crops in a batch | 1 | 8 | 64 |
# |---|---|---|---|
# | bits per dimension | 5.28 | 4.55 | 4.20 |
#
# Why must the number fall as batches grow, whatever the model? And why is a mean inside the logarithm right for draws and wrong
# for crops?
#
# (b) Cleo writes: "It is proved that Ada's model gives these crops a higher likelihood." What do the numbers in this
# table prove, and what else would you need to know?
#
# | 64 test crops | −ELBO | −log p(x), 64 draws | effective sample size |
# |---|---|---|---|
# | Ada | 4.92 | 4.85 | 1.05 |
# | Ben | 5.34 | 5.28 | 1.08 |
#
# (c) Dan keeps, for each model, only the crops whose effective sample size is above 1.5, "because the other estimates are not
# reliable", and reports two means. Can they be compared with each other, or with those above? What should he do instead?
#
# (d) Eve wants to print Ben's model in a table of her paper. Write its line for her: number, uncertainty, and everything that a reader
# needs to compare it with a line of their own.

# %% tags=["build-check"]
def pooled_bits(crops_in_batch):
    parts = log_weights(ben["checkpoint"]).split(crops_in_batch, dim=1)
    return bits_per_dim(-sum(marginal_log_likelihood([part.reshape(-1, 1)]).item() for part in parts) / len(parts), 3072)


assert all(abs(pooled_bits(n) - bits) < 0.008 for n, bits in {1: 5.28, 8: 4.55, 64: 4.20}.items())
kept = {name: effective_sample_size(log_weights(card["checkpoint"])) > 1.5 for name, card in cards.items()}
assert all(mask.any() for mask in kept.values()) and not torch.equal(*kept.values()), "other crops for each model"

# %% [markdown] nbgrader={"grade": true, "grade_id": "question_1", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# (a) The logarithm is concave, so the logarithm of a mean is at least the mean of the logarithms: joining two batches replaces the mean of two
# logarithms by the logarithm of a mean, and −log can only fall (towards the easiest crop of the set, plus log N). For draws, the
# mean of the weights of one crop is an unbiased estimate of p(x) of this crop, and the logarithm of that is wanted. The mean of p(x_n) over
# crops is no probability of the test set: that is the product of the p(x_n), so its logarithm per crop is the mean of the logarithms. (b)
# Both numbers lie above the true −log p(x) on average. So Ada's true value is at most about 4.85; Ben's is at most about 5.28, and nothing is
# known of how far below that it lies, since a single draw makes his estimates. Nothing is proved about the order of the true values. Proved is
# only that Ada's bound is the lower one, which counts where the bound itself is used, as a code length for example. Needed is a bound on
# Ben's likelihood from the other side, or so many draws, or so good a proposal, that his effective sample size is far above 1 and the
# estimate has stopped falling. (c) No to both: which crops stay depends on the model and on chance, so the two means are over different sets, and neither is
# the set of the test. Leaving out images by a property of the result is selection. He should report all crops, the same for both models, with
# the effective sample size beside the number as a warning that it is an upper bound on −log p(x). (d) For example: "local hierarchy,
# 8 layers, 195,684 parameters; photos32, first 64 test crops; 8 bits, D = 3 · 32 · 32 = 3,072, no dequantisation (discrete likelihood);
# −log p(x) ≤ 5.28 ± 0.08 bits/dim (standard error over crops), importance-weighted with 64 draws of the posterior, mean
# effective sample size 1.1; −ELBO 5.34."
#
# *Rubric.* One point for each part. (a) half for Jensen's inequality in the right direction, half for the probability of a set being a product, or
# for the mean of weights estimating p(x) of one image. (b) half for "both are upper bounds on −log p(x)", half for "so the order of the true values is
# not proved" with something that would settle it. (c) half for selection that differs between the models, half for reporting all crops. (d)
# half for number with standard error and kind of number (bound or estimate, draws), half for set, number of images and dimensions; the
# claim of 4.55 in any form gives no point.
# ### END SOLUTION

# %% [markdown]
# ## Going further
#
# * Compute Ada's number with Ben's mistake. Does the order of the two models change?
# * Lecture 07 scores both checkpoints on validation crops too. How far off is a card that hides which crops it used?
# * `model(x, posterior_temperature=0.0).bound` draws the posterior without noise. Is that still a bound? Compare it with
#   your estimates.
# * Hand in `07_evaluation.ipynb` as unit 00 explains.
