# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 04: Build richer models
#
# A photograph has 256 levels and three colours at every pixel. The likelihood of black-and-white digits cannot describe
# it. You write one that can: a logistic distribution cut into bins, a mixture of them whose colours depend on one
# another, and the sampler for it. Then come four short functions that make the rest of a model richer: a KL with free
# bits, latents from a codebook, one step of a flow, and a distance between two sets of draws. At the end, a model of
# colour photographs runs on your functions, and you can compare its bits per dimension with the size of a PNG file.
#
# | exercise | | difficulty | importance | time | points |
# |---|---|---|---|---|---|
# | 1 | `discretized_logistic_log_prob` | 4 of 5 | 5 of 5 | 30 min | 5 |
# | 2 | `discretized_logistic_mixture_log_prob` | 5 of 5 | 5 of 5 | 60 min | 10 |
# | 3 | `discretized_logistic_mixture_sample` | 4 of 5 | 4 of 5 | 30 min | 6 |
# | 4 | `free_bits` | 1 of 5 | 3 of 5 | 10 min | 2 |
# | 5 | `vector_quantize` | 3 of 5 | 5 of 5 | 25 min | 5 |
# | 6 | `inverse_autoregressive_step` | 2 of 5 | 3 of 5 | 15 min | 3 |
# | 7 | `maximum_mean_discrepancy` | 3 of 5 | 3 of 5 | 20 min | 4 |
# | | pictures and question 1 | | | 40 min | 4 |
#
# **You need** lecture 04, and unit 00 for how an exercise works. **Conventions:** a *level* is a whole number from 0 to
# $2^{\text{bits}} - 1$; on the scale $[-1, 1]$ level $v$ lies at $t = 2v / (2^{\text{bits}} - 1) - 1$. Images are
# `(batch, channels, height, width)`, and the three channels are red, green and blue. Logarithms are natural, so
# likelihoods and KLs are in *nats*. **Results have the dtype of the float inputs** (float64 in, float64 out), and no
# function changes its inputs. You may compute in another dtype on the way.

# %% [markdown]
# {{how to keep your work}}

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false}
# {{set-up}}

# %% [markdown]
# ## Exercise 1: `discretized_logistic_log_prob`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the probability of a pixel level, accurate even where it is too small for a float | 4 of 5 | 5 of 5 | 30 minutes |
#
# The logistic distribution with mean $\mu$ and scale $s$ has the distribution function $F(t) = \sigma((t - \mu) / s)$,
# where $\sigma(a) = 1 / (1 + e^{-a})$. Cut the scale into one bin for each level. The bin of the level at $t$ reaches
# half-way to its neighbours, by $h = 1 / (2^{\text{bits}} - 1)$ to either side. The first bin is open below and the last
# one is open above, so that the probabilities of all levels add up to 1:
#
# $$P(v) = \begin{cases} F(t + h) & v = 0 \\ F(t + h) - F(t - h) & 0 < v < 2^{\text{bits}} - 1 \\
# 1 - F(t - h) & v = 2^{\text{bits}} - 1. \end{cases}$$
#
# Return $\log P(v)$ for every element. Means lie in $[-2, 2]$ and $\log s$ in $[-7, 7]$, so a level may be 3,300 scales
# away from its mean. There $P$ is far below the smallest float, but $\log P$ is a moderate number: it must be right to
# $10^{-4} \max(1, |\log P|)$ in float32 and to $10^{-9}$ in float64, and its gradients must be finite.
#
# ```python
# discretized_logistic_log_prob(x, mean, log_scale, bits)
# # whole levels (uint8, int64 or float); float tensors; 1 … 8.  The three shapes broadcast
# #   →  nats of each element
# ```
#
# {{cases of discretized_logistic_log_prob}}
#
# <details><summary>Hint 1: a question</summary>
#
# What is $\sigma(620) - \sigma(610)$ in floating point, and roughly what is the logarithm of the exact difference? If you
# write the difference with two fractions and a common denominator, which factor of the numerator is the same for all
# levels?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Turn the difference $\sigma(a) - \sigma(b)$ into a product. Two of its factors are $\sigma(a)$ and $\sigma(-b)$; find the
# third, which depends on $a - b$ alone. The logarithm of the product is a sum of well-behaved logarithms; compute them
# with `torch.expm1` and `torch.nn.functional.logsigmoid`. An open-ended bin has one factor. Divide by $s$ in float64:
# $e^7$ magnifies the rounding of float32 a thousandfold. `torch.where` computes both its branches, so each must be finite
# for all levels.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `t = 2 * x.double() / (2**bits - 1) - 1`
# </details>


# %% nbgrader={"grade": false, "grade_id": "discretized_logistic_log_prob", "locked": false, "schema_version": 3, "solution": true}
@implements("discretized_logistic_log_prob")
def discretized_logistic_log_prob(x, mean, log_scale, bits):
    """log P(x) of each pixel level under a logistic distribution cut into 2**bits bins, in nats.

    x: whole levels 0 to 2**bits - 1, in a tensor of uint8, int64 or floats.
    mean, log_scale: the logistic's mean and log-scale where levels are spread over [-1, 1]; means
        in [-2, 2], log-scales in [-7, 7]. The three shapes broadcast.
    bits: bits of a level, a Python int from 1 to 8.
    Returns the log-probability of each element, in the dtype of mean and log_scale. No input is
    changed. Gradients reach mean and log_scale.
    """
    ### BEGIN SOLUTION
    log_sigmoid = torch.nn.functional.logsigmoid
    last = 2**bits - 1
    t = 2 * x.double() / last - 1
    inverse_scale = torch.exp(-log_scale.double())
    log_below_upper = log_sigmoid((t + 1 / last - mean) * inverse_scale)
    log_above_lower = log_sigmoid((mean - t + 1 / last) * inverse_scale)
    log_third_factor = torch.log(-torch.expm1(-2 / last * inverse_scale))
    inside = log_below_upper + log_above_lower + log_third_factor
    log_prob = torch.where(x == 0, log_below_upper, torch.where(x == last, log_above_lower, inside))
    return log_prob.to(mean.dtype)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_discretized_logistic_log_prob", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("discretized_logistic_log_prob")

# %% [markdown]
# ## Exercise 2: `discretized_logistic_mixture_log_prob`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the likelihood of a colour image, built from your exercise 1 | 5 of 5 | 5 of 5 | 60 minutes |
#
# The three colours of a pixel are strongly correlated, and their distribution has several humps. PixelCNN++ (Salimans et
# al., 2017) mixes $K$ components. All three colours of a pixel come from the same component $k$. Within it red comes first,
# green depends on red, and blue depends on both:
#
# $$P(r, g, b) = \sum_k \pi_k \, P(r \mid \mu_{r,k}) \, P(g \mid \mu_{g,k} + c_{0,k} t_r) \, P(b \mid \mu_{b,k} + c_{1,k}
# t_r + c_{2,k} t_g).$$
#
# Here $t_r$ and $t_g$ are the pixel's *true* red and green on the scale $[-1, 1]$. Each $P$ is your function of exercise 1 with
# its own log-scale; log-scales below −7 count as −7. $\pi$ is the softmax of the logits, and each coefficient $c$ is
# the tanh of its raw value. `params` holds $10K$ channels, in this order:
#
# | logits | red | green | blue |
# |---|---|---|---|
# | $K$ | $K$ means, $K$ log-scales, $K$ raw $c_0$ | $K$ means, $K$ log-scales, $K$ raw $c_1$ | $K$ means, $K$ log-scales, $K$ raw $c_2$ |
#
# The group of red holds $c_0$ although it acts on green. The steps are:
#
# 1. Split `params` so that the colour and the component have one dimension each.
# 2. Put the levels on the scale $[-1, 1]$, and compute the mean of every colour under every component: red's as it is
#    given, green's and blue's shifted.
# 3. Call your function of exercise 1 once, on tensors with dimensions for batch, colour, component, height and width.
# 4. Combine the results. Over which dimensions do you add logarithms, over which one probabilities, and in which order?
#
# ```python
# discretized_logistic_mixture_log_prob(x, params, bits)
# # levels (batch, 3, h, w) uint8; (batch, 10·K, h, w) with any K ≥ 1; 1 … 8  →  (batch,) nats
# ```
#
# {{cases of discretized_logistic_mixture_log_prob}}
#
# <details><summary>Hint 1: a question</summary>
#
# Two pixels, three colours, five components: how many numbers does your function of exercise 1 return? Given the
# component, the colours are multiplied; the components are averaged; then the pixels are multiplied. What would it mean
# to average over components for each colour separately?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# `unflatten` splits the last $9K$ channels into three dimensions; of the two that have length 3, the colour comes first
# and the kind second. To average probabilities given as logarithms, use `torch.logsumexp`, with `log_softmax`
# of the logits as log-weights. Import exercise 1 *inside this cell*, from `avae_lib.likelihoods`.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `K = params.shape[1] // 10`
# </details>


# %% nbgrader={"grade": false, "grade_id": "discretized_logistic_mixture_log_prob", "locked": false, "schema_version": 3, "solution": true}
@implements("discretized_logistic_mixture_log_prob")
def discretized_logistic_mixture_log_prob(x, params, bits):
    """log P(x) of colour images under a mixture of discretised logistics, in nats.

    x: uint8 levels 0 to 2**bits - 1, (batch, 3, h, w), channels red, green, blue.
    params: (batch, 10 * K, h, w): K logits; then for red, green and blue in turn K means, K
        log-scales and K raw coefficients: c0 (green on red), c1 (blue on red), c2 (blue on green).
        Coefficients are the tanh of the raw ones. Log-scales below -7 count as -7.
    bits: bits of a level, a Python int from 1 to 8.
    Returns one log-likelihood for each image, (batch,), in the dtype of params. Neither input is
    changed. Gradients reach params.
    """
    ### BEGIN SOLUTION
    from avae_lib.likelihoods import discretized_logistic_log_prob

    K = params.shape[1] // 10
    logits, rest = params.double().split([K, 9 * K], dim=1)
    mean, log_scale, raw = rest.unflatten(1, (3, 3, K)).unbind(2)  # each (batch, colour, K, h, w)
    c = torch.tanh(raw)
    red, green, _ = (2 * x.double() / (2**bits - 1) - 1).unsqueeze(2).unbind(1)  # each (batch, 1, h, w)
    shift_of_green = c[:, 0] * red
    shift_of_blue = c[:, 1] * red + c[:, 2] * green
    mean = mean + torch.stack([torch.zeros_like(shift_of_green), shift_of_green, shift_of_blue], dim=1)
    of_colours = discretized_logistic_log_prob(x.unsqueeze(2), mean, log_scale.clamp(min=-7), bits)
    of_components = torch.log_softmax(logits, dim=1) + of_colours.sum(1)  # (batch, K, h, w)
    return torch.logsumexp(of_components, dim=1).sum((1, 2)).to(params.dtype)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_discretized_logistic_mixture_log_prob", "locked": true, "points": 10, "schema_version": 3, "solution": false}
check("discretized_logistic_mixture_log_prob")

# %% [markdown]
# ## Exercise 3: `discretized_logistic_mixture_sample`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | draw images from the mixture of exercise 2 | 4 of 5 | 4 of 5 | 30 minutes |
#
# `params` is as in exercise 2. All randomness comes in from outside, as uniform numbers between 0 and 1. They are never
# exactly 0 or 1, so do not clip them, not even a rare number like $10^{-7}$.
#
# 1. *The component of each pixel* (Gumbel-max): with uniform $u_k$, the index $\arg\max_k \bigl[\ell_k - \log(-\log u_k)\bigr]$
#    is a draw from the softmax of the logits $\ell$.
# 2. *Red* (inverse distribution function): $\mu + s \log \frac{u}{1 - u}$ follows the logistic distribution. Round to the
#    nearest level, and clip values below 0 or above the last level to that level.
# 3. *Green, then blue*: likewise, with means that depend on the levels already drawn. Put these back on the scale
#    $[-1, 1]$ *after* rounding and clipping, since the likelihood is defined on levels only.
#
# ```python
# discretized_logistic_mixture_sample(params, component_uniforms, level_uniforms, bits)
# # (batch, 10·K, h, w); (batch, K, h, w); (batch, 3, h, w); 1 … 8  →  uint8 levels (batch, 3, h, w)
# ```
#
# {{cases of discretized_logistic_mixture_sample}}
#
# <details><summary>Hint 1: a question</summary>
#
# The component is an index for each pixel, `(batch, h, w)`. At every pixel, how do you pick the chosen one of $K$
# means, for three colours at once? And which two of the three draws depend on earlier ones?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# `torch.gather` (or `take_along_dim`, which broadcasts) picks along the dimension of components, with an index tensor
# that has as many dimensions as the tensor it picks from. This leaves three means, scales and coefficients per pixel.
# Write a small inner function that turns a mean, a scale and a uniform number into levels, and use it three times.
# `torch.logit` is $\log \frac{u}{1 - u}$.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `chosen = (params[:, :K] - torch.log(-torch.log(component_uniforms))).argmax(dim=1)`, after `K = params.shape[1] // 10`
# </details>


# %% nbgrader={"grade": false, "grade_id": "discretized_logistic_mixture_sample", "locked": false, "schema_version": 3, "solution": true}
@implements("discretized_logistic_mixture_sample")
def discretized_logistic_mixture_sample(params, component_uniforms, level_uniforms, bits):
    """Colour images drawn from a mixture of discretised logistics.

    params: (batch, 10 * K, h, w), laid out as for discretized_logistic_mixture_log_prob.
    component_uniforms: numbers in (0, 1) that choose the component of each pixel by the Gumbel-max
        rule, (batch, K, h, w).
    level_uniforms: numbers in (0, 1), the arguments of the inverse distribution function of each
        colour, (batch, 3, h, w).
    bits: bits of a level, a Python int from 1 to 8.
    Log-scales below -7 count as -7. Red is drawn first, then green, then blue; each is rounded
    and clipped to a level before the next one uses it.
    Returns uint8 levels 0 to 2**bits - 1, (batch, 3, h, w). No input is changed.
    """
    ### BEGIN SOLUTION
    K = params.shape[1] // 10
    chosen = (params[:, :K] - torch.log(-torch.log(component_uniforms))).argmax(dim=1)
    rest = params[:, K:].unflatten(1, (3, 3, K))  # (batch, colour, kind, K, h, w)
    at_pixel = rest.take_along_dim(chosen[:, None, None, None], dim=3).squeeze(3)
    mean, log_scale, raw = at_pixel.unbind(2)  # each (batch, colour, h, w)
    c = torch.tanh(raw)
    noise = torch.exp(log_scale.clamp(min=-7)) * torch.logit(level_uniforms)
    last = 2**bits - 1

    def on_scale_of_levels(value):
        level = ((value + 1) * last / 2).round().clamp(0, last)
        return 2 * level / last - 1

    red = on_scale_of_levels(mean[:, 0] + noise[:, 0])
    green = on_scale_of_levels(mean[:, 1] + c[:, 0] * red + noise[:, 1])
    blue = on_scale_of_levels(mean[:, 2] + c[:, 1] * red + c[:, 2] * green + noise[:, 2])
    return ((torch.stack([red, green, blue], dim=1) + 1) * last / 2).round().to(torch.uint8)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_discretized_logistic_mixture_sample", "locked": true, "points": 6, "schema_version": 3, "solution": false}
check("discretized_logistic_mixture_sample")

# %% [markdown]
# ## Exercise 4: `free_bits`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | a KL that does not reward a layer for carrying no information | 1 of 5 | 3 of 5 | 10 minutes |
#
# Early in training a decoder can ignore its latents, and then the KL alone decides: it pushes the posterior onto the
# prior. Free bits (Kingma et al., 2016, equation 15) remove that push below a budget of $\lambda$ nats for each
# layer:
#
# $$\widetilde{\mathrm{KL}}_{b,l} = \begin{cases} \lambda & \text{if } \frac{1}{B} \sum_{b'} \mathrm{KL}_{b',l} < \lambda
# \\ \mathrm{KL}_{b,l} & \text{otherwise.} \end{cases}$$
#
# The *batch mean* of a layer decides, for all images of the batch together. A layer below its budget gets no gradient.
#
# ```python
# free_bits(kl, nats_per_layer)  # (batch, layers) nats, not negative; a number  →  (batch, layers) nats
# ```
#
# {{cases of free_bits}}
#
# <details><summary>Hint 1: a question</summary>
#
# A layer's KL is 0 for one image and 5 for another, and $\lambda = 2$. What does your function return for the first image?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Make one decision for each layer, for its whole column: it chooses between a constant and the KL itself.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `is_below = kl.mean(dim=0) < nats_per_layer`
# </details>


# %% nbgrader={"grade": false, "grade_id": "free_bits", "locked": false, "schema_version": 3, "solution": true}
@implements("free_bits")
def free_bits(kl, nats_per_layer):
    """The KL of each layer, or the layer's budget where its mean over the batch is below it.

    kl: KL of each example and stochastic layer, (batch, layers), nats, not negative.
    nats_per_layer: budget that costs nothing extra, a Python number; 0 leaves the KL as it is.
    Returns (batch, layers), nats, in the dtype of kl, which is not changed. A gradient reaches kl
    in the layers whose mean is not below the budget.
    """
    ### BEGIN SOLUTION
    is_below = kl.mean(dim=0) < nats_per_layer
    return torch.where(is_below, nats_per_layer, kl)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_free_bits", "locked": true, "points": 2, "schema_version": 3, "solution": false}
check("free_bits")

# %% [markdown]
# ## Exercise 5: `vector_quantize`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | replace each vector by its nearest code, and train through the choice | 3 of 5 | 5 of 5 | 25 minutes |
#
# A VQ-VAE (van den Oord et al., 2017) has a codebook $e_1, \dots, e_K$. The encoder's vector $z$ becomes the nearest code
# $e_k$, $k = \arg\min_j \lVert z - e_j \rVert$, with the lowest index where several are equally near. Return four things:
#
# | | value | gradient |
# |---|---|---|
# | `quantised` | the nearest code $e_k$ (up to the rounding of $z$) | to $z$ alone, as if `quantised` were $z$ (*straight through*) |
# | `indices` | $k$ for each vector, int64 | none |
# | `codebook_loss` | mean of $(z - e_k)^2$ over all elements of all vectors | to the codebook alone |
# | `commitment_loss` | the same number, without a factor $\beta$ | to $z$ alone |
#
# The indices must be those of the exact nearest codes, also where all vectors lie near 1,000 and differ by 0.01. So the
# expanded square $\lVert z \rVert^2 - 2 \langle z, e \rangle + \lVert e \rVert^2$ will not do: the difference is lost
# among its three terms of about $10^6$. (`torch.cdist` uses it by default for large inputs.)
#
# ```python
# vector_quantize(z, codebook)  # (vectors, dim), (codes, dim)
# #   →  (quantised (vectors, dim), indices (vectors,), codebook_loss, commitment_loss)
# ```
#
# {{cases of vector_quantize}}
#
# <details><summary>Hint 1: a question</summary>
#
# `z + (code − z)` has the value of the code. If the bracket is treated as a constant, what is its gradient with respect
# to $z$, and with respect to the codebook?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# `detach` turns a tensor into a constant. You need it in three places, each time on the side that must *not* learn.
# Distances come from differences, `(vectors, codes, dim)`, squared and summed; `argmin` takes the first of equals.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `distances = (z.unsqueeze(1) - codebook).square().sum(dim=2)`
# </details>


# %% nbgrader={"grade": false, "grade_id": "vector_quantize", "locked": false, "schema_version": 3, "solution": true}
@implements("vector_quantize")
def vector_quantize(z, codebook):
    """Each vector replaced by its nearest code, with the two losses of a VQ-VAE.

    z: vectors from the encoder, (vectors, dim).
    codebook: (codes, dim).
    Returns the tuple (quantised, indices, codebook_loss, commitment_loss): the nearest codes,
    (vectors, dim), through which the gradient passes straight to z; their indices, int64
    (vectors,), the lowest where codes are equally near; the mean squared distance over all
    elements, with a gradient to the codebook alone; and the same number with a gradient to z
    alone. The losses are scalars without a factor beta. Results have the dtype of z. Neither input is
    changed.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        distances = (z.unsqueeze(1) - codebook).square().sum(dim=2)
    indices = distances.argmin(dim=1)
    code = codebook[indices]
    quantised = z + (code - z).detach()
    codebook_loss = (z.detach() - code).square().mean()
    commitment_loss = (z - code.detach()).square().mean()
    return quantised, indices, codebook_loss, commitment_loss
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_vector_quantize", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("vector_quantize")

# %% [markdown]
# ## Exercise 6: `inverse_autoregressive_step`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | one step of a flow, and how much it shrinks the volume | 2 of 5 | 3 of 5 | 15 minutes |
#
# An inverse-autoregressive flow (Kingma et al., 2016) makes a posterior richer than a Gaussian: it draws $z$ from a Gaussian
# and transforms it in several steps. A network takes $z$ and returns a shift $m$ and a gate logit $g$. It is masked so that
# $m_i$ and $g_i$ depend on $z_1, \dots, z_{i-1}$ alone. The step mixes old and new:
#
# $$z'_i = \sigma(g_i) \, z_i + (1 - \sigma(g_i)) \, m_i.$$
#
# The density of $z'$ also needs $\log \lvert \det \partial z' / \partial z \rvert$ for each example. What does the mask
# say about the entries of this matrix above its diagonal, and what is its determinant then? Gate logits run from
# −100 to 100.
#
# ```python
# inverse_autoregressive_step(z, shift, gate_logit)  # three tensors (batch, dim)
# #   →  (z' (batch, dim), log-determinant (batch,))
# ```
#
# {{cases of inverse_autoregressive_step}}
#
# <details><summary>Hint 1: a question</summary>
#
# For `dim = 2`, write down the four entries of $\partial z' / \partial z$. Two of them are known without the
# network. Which?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# The determinant of a triangular matrix is the product of its diagonal, and its logarithm a sum. At $g = -100$ a
# sigmoid is inaccurate or rounds to 0: use the function that computes $\log \sigma$ directly.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `gate = torch.sigmoid(gate_logit)`
# </details>


# %% nbgrader={"grade": false, "grade_id": "inverse_autoregressive_step", "locked": false, "schema_version": 3, "solution": true}
@implements("inverse_autoregressive_step")
def inverse_autoregressive_step(z, shift, gate_logit):
    """One step of an inverse-autoregressive flow, and the logarithm of its determinant.

    z: latent vectors, (batch, dim).
    shift, gate_logit: what the masked network returns for z, (batch, dim); element i depends on
        the elements of z before i alone. Gate logits lie between -100 and 100.
    Returns the tuple (new z, log-determinant): (batch, dim), with a share sigmoid(gate_logit) of
    the old z and the rest of the shift; and the log of the absolute determinant of the derivative
    of the new z by the old, (batch,). Both have the dtype of the inputs, which are not changed.
    Gradients reach all three inputs.
    """
    ### BEGIN SOLUTION
    gate = torch.sigmoid(gate_logit)
    log_determinant = torch.nn.functional.logsigmoid(gate_logit).sum(dim=1)
    return gate * z + torch.sigmoid(-gate_logit) * shift, log_determinant
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_inverse_autoregressive_step", "locked": true, "points": 3, "schema_version": 3, "solution": false}
check("inverse_autoregressive_step")

# %% [markdown]
# ## Exercise 7: `maximum_mean_discrepancy`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | measure how far apart two distributions are, from draws alone | 3 of 5 | 3 of 5 | 20 minutes |
#
# InfoVAE and Wasserstein autoencoders compare the codes of a batch with draws from the prior. This needs no
# density, only a kernel $k(a, b)$ that measures how similar two points are. The squared maximum mean discrepancy is
#
# $$\mathrm{MMD}^2 = \mathbb{E}\, k(x, x') + \mathbb{E}\, k(y, y') - 2\, \mathbb{E}\, k(x, y)$$
#
# with *independent* $x, x'$ from one distribution and $y, y'$ from the other. It is 0 if the two are the same. Return
# its unbiased estimate from $n$ draws $x$ and $m$ draws $y$ (Gretton et al., 2012, equation 3): each expectation becomes
# the average over all pairs of *different* draws. The kernel is a sum of inverse multiquadratics, one for each scale $C$:
#
# $$k(a, b) = \sum_C \frac{C}{C + \lVert a - b \rVert^2}.$$
#
# The estimate may be negative. Draws may lie near 1,000 and differ by 0.01.
#
# ```python
# maximum_mean_discrepancy(x, y, scales)  # (n, dim), (m, dim), (kernels,); n, m ≥ 2; scales > 0  →  scalar
# ```
#
# {{cases of maximum_mean_discrepancy}}
#
# <details><summary>Hint 1: a question</summary>
#
# What is $k(x_i, x_i)$? How many ordered pairs $(i, j)$ with $i \ne j$ are there among $n$ draws, and among all pairs
# $(x_i, y_j)$?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Each of the three terms needs a matrix of kernels; in two of them, leave the diagonal out of the sum *and* out of
# the count. One inner function serves all three. Squared distances come from differences, as in exercise 5.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `squared = (a.unsqueeze(1) - b).square().sum(dim=2)`, in a function of two sets `a` and `b`
# </details>


# %% nbgrader={"grade": false, "grade_id": "maximum_mean_discrepancy", "locked": false, "schema_version": 3, "solution": true}
@implements("maximum_mean_discrepancy")
def maximum_mean_discrepancy(x, y, scales):
    """Unbiased estimate of the squared maximum mean discrepancy of two sets of draws.

    x: draws from the one distribution, (n, dim), n at least 2.
    y: draws from the other, (m, dim), m at least 2.
    scales: C of each kernel C / (C + squared distance), (kernels,), positive; kernels are summed.
    Returns a scalar tensor in the dtype of the inputs, which are not changed; it may be negative.
    Gradients reach all three inputs.
    """

    ### BEGIN SOLUTION
    def kernel(a, b):
        squared = (a.unsqueeze(1) - b).square().sum(dim=2)
        return (scales / (scales + squared.unsqueeze(2))).sum(dim=2)

    def mean_of_pairs(draws):
        n = len(draws)
        is_pair = ~torch.eye(n, dtype=torch.bool, device=draws.device)
        return kernel(draws, draws)[is_pair].sum() / (n * (n - 1))

    return mean_of_pairs(x) + mean_of_pairs(y) - 2 * kernel(x, y).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_maximum_mean_discrepancy", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("maximum_mean_discrepancy")

# %% [markdown]
# ## Colour images, and honest bits
#
# The rest is a reward. How many bits does a colour photograph cost? Divide minus the log-likelihood by $\log 2$ and by the
# number of values in an image, here $3 \cdot 32 \cdot 32$. Your probabilities are those of levels and add up to 1, so you
# may compare the result with the size of a compressed file.
#
# Start with two ways without latents, on patches of two colour photographs (on Colab: the photographs of CIFAR-10). The
# first is one logistic for each colour, with mean and spread from the training images; it runs on your exercise 1. The
# second is PNG, which predicts each value from its neighbours; all test images are stored in one file.

# %%
import io
import math

from PIL import Image

from avae_lib import components, data, notebook_setup, plotting
from avae_lib.notebook_setup import choose

photos = data.load(choose("photos32", colab="cifar10"))
train, test = photos.pixels("train"), photos.pixels("test")[:350]
scaled = 2 * train.double() / 255 - 1
mean, std = (statistic.view(3, 1, 1) for statistic in (scaled.mean((0, 2, 3)), scaled.std((0, 2, 3))))
log_scale = torch.log(std * math.sqrt(3) / math.pi)  # a logistic has the standard deviation π s / √3
log_prob = discretized_logistic_log_prob(test, mean, log_scale, bits=8).mean().item()
png = io.BytesIO()
Image.fromarray(test.permute(0, 2, 3, 1).reshape(-1, 32, 3).numpy()).save(png, "png", optimize=True)
bits_per_dim = {"all levels alike": 8, "one logistic for each colour": -log_prob / math.log(2)}
bits_per_dim["PNG"] = 8 * png.tell() / test.numel()
print({name: round(bits, 2) for name, bits in bits_per_dim.items()})

# %% [markdown]
# **You should see** 8.48 for the logistic and 3.45 for PNG. One logistic is worse than no model at all: it has a single
# hump, while two fifths of all red values are nearly black and a quarter of them nearly white.
#
# Now a mixture, the same for every pixel: $10K$ numbers, which gradients through your exercise 2 fit to the training images.

# %% fast="updates = 3"
updates = 300


# %%
def mixture_fitted(K):
    """The parameters of one mixture for all pixels, (1, 10·K, 1, 1)."""
    torch.manual_seed(0)
    params = torch.zeros(1, 10 * K, 1, 1)
    means, log_scales, _ = params[:, K:].unflatten(1, (3, 3, K)).unbind(2)
    means[:] = torch.linspace(-1, 1, K + 2)[1:-1].view(K, 1, 1)  # apart: equal components would stay equal
    log_scales[:] = -1
    optimizer = torch.optim.Adam([params.requires_grad_()], lr=0.05)
    for _ in range(updates):
        x = train[torch.randint(len(train), (16,)), :, ::4, ::4]  # every fourth row and column will do
        loss = -discretized_logistic_mixture_log_prob(x, params.expand(16, -1, 8, 8), bits=8).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return params.detach()


# %%
for K in (1, 5):
    everywhere = mixture_fitted(K).expand(len(test), -1, 32, 32)
    nats = -discretized_logistic_mixture_log_prob(test, everywhere, bits=8).mean().item()
    bits_per_dim[f"one mixture, K = {K}"] = nats / (test[0].numel() * math.log(2))
print({name: round(bits, 2) for name, bits in bits_per_dim.items()})

# %% tags=["build-check"]
assert abs(bits_per_dim["one logistic for each colour"] - 8.48) < 0.01
assert abs(bits_per_dim["PNG"] - 3.45) < 0.1, "it depends on the version of zlib"
assert abs(bits_per_dim["one mixture, K = 1"] - 7.2) < 0.1 and abs(bits_per_dim["one mixture, K = 5"] - 6.45) < 0.1

# %% [markdown]
# **You should see** about 7.2 and 6.5. With $K = 1$ only the coefficients are new: green and blue follow red. Four more
# components add the humps.

# %% [markdown]
# ### A model made of your functions
#
# The next gain comes from the image itself: neighbouring pixels are alike. A VQ-VAE describes each patch of 4×4 pixels
# by one of 64 codes, and the codes determine the mixture of each pixel. On one processor core it takes about a minute.

# %% fast="steps = 20"
steps = 1000
minutes = 30  # training stops after this time; run its cell again to continue
run = "04_first"  # another name begins another model

# %%
from dataclasses import replace

from avae_lib.data import DataConfig
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive

preset = find_preset("photos32-vq-vae")
training = derive(
    preset.training, steps=steps, batch_size=8,
    learning_rate={"peak": 1e-3}, optimizer={"ema_decay": 0.98},
    logging={"evaluate_every": max(steps // 10, 1), "evaluation_images": 100},
)
config = replace(preset.model, codes=64, codebook_decay=0.9, mixtures=5)
experiment = replace(preset, data=DataConfig(photos.name, validation=500), model=config, training=training)
print(components.report(experiment.build_model()))

# %% [markdown]
# The table shows whose code each part of the model runs: *yours* once its cell has run, or once you have kept it in
# `my_components.py`. The exercises that this model does not call are used further below.
#
# `watched` monitors your functions while they run. If one raises an error, returns NaN or fails its check, one line
# says which, and where to look. It also compares functions of earlier units with the library's.

# %% tags=["picture-training"]
import functools

from avae_lib.component_health import watched
from avae_lib.training.notebook_training import train_in_notebook

runs = notebook_setup.keep_runs_on_drive(False)  # True keeps them on your Google Drive


@functools.cache  # run this cell again to go on, or with changed functions and another name of the run
def trained():
    with watched("04_richer_models"):
        return train_in_notebook(experiment, runs / run, minutes)


model = trained().model

# %% tags=["build-check"]
assert trained().step == steps
assert not [entry.name for entry in components.listing("04_richer_models") if not entry.is_replaced]

# %% [markdown]
# **What you should see:**
#
# ![A falling learning curve, and below it eight samples, patchworks in the colours of the photographs](pictures/training.png)
#
# The samples are patchworks, since their codes are drawn independently from a uniform prior. The lecture trains a prior
# that learns which codes occur next to each other.

# %%
model = trained().model
test = test.to(model.codebook.vectors.device)
with torch.no_grad():
    elbo = model(test)
nats = -elbo.bound.mean().item()
bits_per_dim["VQ-VAE, at most"] = nats / (model.num_dims * math.log(2))
print({name: round(bits, 2) for name, bits in bits_per_dim.items()})
print(f"of these, the codes: {elbo.kl.mean().item() / (model.num_dims * math.log(2)):.3f}")

# %% tags=["build-check"]
assert 5.1 < bits_per_dim["VQ-VAE, at most"] < 5.6, bits_per_dim
assert abs(elbo.kl.mean().item() / (3072 * math.log(2)) - 0.125) < 1e-5

# %% [markdown]
# **You should see** about 5.3 for the VQ-VAE, 0.125 of it for the codes: 64 codes of 6 bits each for 3,072 values. PNG
# does better: it uses the exact values of the neighbours, while your model, given the codes, draws each pixel
# independently.

# %% [markdown]
# ### Through your sampler
#
# The picture shows test images, the mean that their codes decode to, and levels drawn by your exercise 3 given these
# codes.

# %% tags=["picture-drawn"]
model = trained().model
torch.manual_seed(0)
some = test[::35]  # from all over the photographs
codes = model.codes(some)
rows = {"test images": some, "mean given codes": model.decode(codes), "drawn given codes": model.sample_pixels(codes)}
plotting.show(plotting.image_rows({name: images.cpu() for name, images in rows.items()}))

# %% tags=["build-check"]
mean_error = (model.decode(model.codes(test)) - test.float()).square().mean().sqrt().item()
drawn_error = (model.sample_pixels(model.codes(test)).float() - test.float()).square().mean().sqrt().item()
print(mean_error, drawn_error, test.float().std().item())
assert mean_error < 0.5 * test.float().std() and mean_error < drawn_error < 2 * mean_error

# %% [markdown]
# **What you should see:**
#
# ![Three rows of ten photographs: test images, blurred means of their codes, and speckled draws](pictures/drawn.png)
#
# The means show how much of an image 64 codes describe. The draws have the right amount of noise, but it is independent
# from pixel to pixel: this likelihood cannot describe what neighbours have in common beyond the codes. PNG can, so it
# does better.

# %% [markdown]
# ### The codebook
#
# The picture shows each code, decoded as if it filled the whole image, and its share of all positions in the test
# images.

# %% tags=["picture-codebook"]
model = trained().model
counts = model.code_counts(test)[0]
tiles = model.codebook_images()[:, :, 12:20, 12:20]  # from the middle, where borders don't matter
plotting.show(plotting.codebook_in_use(tiles.cpu(), (counts / counts.sum()).cpu()))

# %% tags=["build-check"]
assert (counts > 0).sum() >= 40, counts
assert (counts.sort(descending=True).values[:16].sum() / counts.sum()) > 0.5

# %% [markdown]
# **What you should see** (your codes will differ):
#
# ![Four rows of sixteen patches of colour, the most used codes first, and bars of their shares](pictures/codebook.png)
#
# A few codes take up a large part of all positions, yet under a uniform prior each of them costs 6 bits. A prior that
# knows these shares, and which codes occur next to each other, would need fewer bits.

# %% [markdown]
# ### The other three
#
# The other three exercises are used in smaller models of black-and-white digits. One has a posterior with
# inverse-autoregressive steps (exercise 6). It is trained without a KL warm-up, so its latents tend to be ignored:
# first without free bits, then with four nats of them (exercise 4). A Wasserstein autoencoder uses exercise 7 to pull
# the codes of each batch towards the prior.

# %% fast="short = 3"
short = 200  # updates

# %%
from avae_lib.training.runs import train_run


@functools.cache
def digits_model(name, budget=0.0):
    preset = find_preset(name)
    training = derive(preset.training, steps=short, kl_weight={"warmup_steps": 0, "free_bits": budget})
    with watched("04_richer_models"):
        return train_run(replace(preset, training=training), runs / f"{run}-{name}-{budget:g}").model


def three_models():
    return {
        "no free bits": digits_model("digits-iaf"),
        "4 free nats": digits_model("digits-iaf", budget=4.0),
        "Wasserstein": digits_model("digits-wae"),
    }


no_free_bits, _, wasserstein = three_models().values()
print(components.report(no_free_bits), components.report(wasserstein), sep="\n\n")

# %% [markdown]
# The report lists the components of a model; `free_bits` is called by the training loop, so it is not listed.

# %%
from avae_lib.models.contract import reason_for_no_density

digits = find_preset("digits-iaf").data.load().pixels("test")
digits = digits.to(next(three_models()["Wasserstein"].parameters()).device)
torch.manual_seed(0)
for label, model in three_models().items():
    with torch.no_grad():
        elbo = model(digits)
    print(f"{label}: reconstruction {elbo.log_likelihood.mean():.1f}, KL {elbo.kl.sum(1).mean():.1f} nats")
    print(f"    bound {elbo.bound.mean():.1f} nats" if (why := reason_for_no_density(model)) is None else f"    {why}")

# %% tags=["picture-digits"]
torch.manual_seed(0)
some = digits[:12]
rim = torch.nn.ConstantPad2d(1, 0)  # a dark edge, which keeps neighbouring pictures apart
rows = {"test digits": some} | {label: model.reconstruct(some) for label, model in three_models().items()}
plotting.show(plotting.image_rows({label: rim(images.cpu()) for label, images in rows.items()}, bits=1))

# %% tags=["build-check"]
with torch.no_grad():
    free, budgeted = (model(digits) for label, model in three_models().items() if label != "Wasserstein")
spread = {label: images.float().std(dim=0).mean().item() for label, images in rows.items()}
assert spread["no free bits"] < 0.3 * spread["4 free nats"], spread
assert free.kl.sum(1).mean() < 0.5 and 3 < budgeted.kl.sum(1).mean() < 5
assert budgeted.bound.mean() > free.bound.mean() + 2

# %% [markdown]
# **What you should see:**
#
# ![Four rows of twelve black-and-white digits: real ones, then their reconstructions by the three models](pictures/digits.png)
#
# Without free bits the KL is about 0.1 nats. The decoder ignores its latents, so its reconstructions hardly differ.
# With four free nats the latents are used, and the bound (computed with the whole KL) is three nats better. The
# Wasserstein autoencoder has no bound to compare.

# %% [markdown]
# ## Question 1
#
# Four classmates report bits per dimension. All four models train without an error.
#
# | | what is special about it |
# |---|---|
# | (a) Ada | The likelihood gives an open-ended upper bin to every level above 0.99 on the scale $[-1, 1]$, not only to the last level. (Of 256 levels, the last two lie at 0.992 and 1.) |
# | (b) Ben | The posterior is a Gaussian followed by three inverse-autoregressive steps, and all networks see the image. For $\log q$ he uses the log-density of the Gaussian, without the log-determinants. |
# | (c) Cleo | She trains with free bits, $\lambda = 4$ nats for each layer, and reports minus the training loss as her bound. |
# | (d) Dan | A VQ-VAE has a uniform prior over $K$ codes at each of $P$ positions. He reports $\log p(x \mid \text{codes})$ and leaves out the rest, a constant that has no gradient. |
#
# For each: with the weights as they are, is the number on average still an upper bound on what the model really needs, or
# may it be too low? Give the reason. If it may be too low, how far can it fall at most when the model is trained, or
# designed, to exploit this? One to three sentences each. (4 points)

# %% tags=["build-check"]
from avae_lib.likelihoods import logistic_bin_log_prob

levels = torch.arange(256).double()
with torch.no_grad():
    for mean, wanted in ((0.0, 1.0), (1.5, 2.0)):  # (a) up to twice the probability
        log_probs = logistic_bin_log_prob(levels, torch.tensor(mean), torch.tensor(-5.0), 8, upper_edge=0.99)
        assert abs(log_probs.exp().sum() - wanted) < 0.02, log_probs.exp().sum()
    draws, log_stds = torch.randn(1000, 2).double(), torch.tensor([0.0, 3.0, 6.0]).double()
    closed = torch.full((1000, 2), -60.0).double()
    reported = []
    for log_std in log_stds:  # (b) shut gates: a wider Gaussian costs the draw nothing, and lowers the "KL"
        z, log_determinant = inverse_autoregressive_step(log_std.exp() * draws, torch.zeros(1000, 2).double(), closed)
        normal = torch.distributions.Normal(0.0, 1.0)
        log_q = torch.distributions.Normal(0.0, log_std.exp()).log_prob(log_std.exp() * draws).sum(1)
        reported.append((log_q - normal.log_prob(z).sum(1)).mean().item())
        assert z.abs().max() < 1e-20 and (log_determinant < 0).all()
    assert reported[0] > reported[1] + 5.9 > reported[2] + 11.8 and reported[2] < 0, reported
    kl = 6 * torch.rand(100, 5)
    assert (free_bits(kl, 4.0).mean(0) >= kl.mean(0)).all() and (free_bits(kl, 4.0).mean(0) >= 4).all()  # (c)

# %% [markdown] nbgrader={"grade": true, "grade_id": "question_1", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# (a) Too low wherever 254 occurs. Its bin reaches to infinity and contains that of 255, so level 254 gets P(254) + P(255), and the
# probabilities of all levels add up to 1 + P(255). A model that puts everything beyond 254 gives both levels a probability of nearly 1.
# The sum is at most 2, so no number falls by more than 1 bit for each value below an honest one; on photographs with few values of 254
# it is far less. (b) Too low. Every gate lies below 1, so each log-determinant is negative and the true log q = log q₀ − Σ
# log-determinants is larger than Ben's: his KL is too small by minus their sum. There is no limit. With the gates shut, z hardly
# depends on the noise any more, so reconstructions are those of an autoencoder, and the Gaussian at the start can be made wider and
# wider at no cost: log q₀ falls without bound, the "KL" becomes negative, and the bits per dimension with it. (c) Still an upper bound.
# The batch mean of the changed KL is max(λ, mean KL) for every layer, never less than the mean KL. It is too high by λ − KL for each
# layer below its budget, so Cleo ought to report the bound with the unchanged KL. (d) Too low, by P log K nats for every image: whoever
# decodes the image must be sent the codes. Training does not notice, but the design can make use of it: with more positions and more
# codes the reconstructions get better, and with a code for each colour at each pixel next to nothing is left (0.04 bits per dimension
# with log-scales of −7).
#
# *Rubric.* One point for each part, half of it for the verdict with its reason and half for the rest. (a) 254 is counted with 255, the
# sum exceeds 1; at most 1 bit (log 2) per value. (b) log-determinants are never positive, so the KL is too small; no limit, because
# shut gates let q₀ widen freely (half of this half for "gates shut" alone). (c) an upper bound, since max(λ, KL) ≥ KL; it is
# too high by what the layers lack. (d) the codes must be paid for, P log K; down to about 0 by more codes or positions, although no gradient
# leads there.
# ### END SOLUTION

# %% [markdown]
# ## Going further
#
# * `photos32-vq-vae-2` has two levels of codes and a learned prior: `avae train photos32-vq-vae-2`. How many bits do its codes
#   cost, and what do its samples look like?
# * Double the codes. Do the bits per dimension fall by more than the codes cost? How many codes are in use?
# * How much do the coefficients contribute to the mixture? Set them to zero with `components.using`, and compare.
# * Hand in `04_richer_models.ipynb` as unit 00 explains.
