# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 04: Richer likelihoods, posteriors and latents
#
# The VAE of unit 03 is built from simple parts: black or white pixels, a Gaussian posterior, a Gaussian latent vector, a decoder of independent pixels, one bound. Each part can be replaced by something richer.
#
# | part | in unit 03 | in this unit |
# |---|---|---|
# | likelihood of a pixel | a coin | mixtures of logistics, cut into bins, with dependent colours |
# | posterior | a diagonal Gaussian | a Gaussian bent by a flow |
# | latent | a vector of real numbers | a grid of codes from a codebook |
# | decoder | pixels independent given $z$ | each pixel or word sees those before it |
# | objective | the bound | the bound with one of its terms changed |
#
# Each replacement can go wrong in a way that a loss curve does not show. This unit is about what they gain and how to see what went wrong.
#
# **What you will be able to do**
#
# 1. Show in two lines why a density of 8-bit pixels can claim less than zero bits per pixel, and prove the bound that repairs it.
# 2. Derive the discretised logistic with its edge bins in a form that stays finite 1,000 scales from the mean, extend it to colours, and convert nats to bits per dimension.
# 3. Detect a collapsed latent, compute which latents a linear VAE keeps from the eigenvalues of its data, and decide whether a given collapse is the optimum or a failure of the optimiser.
# 4. Derive the log-determinants of a planar flow and of a gated autoregressive step, and check them against automatic differentiation.
# 5. Derive the loss of a VQ-VAE from the bound, say what the straight-through estimator computes, and say for other objectives which term of the bound they change.
#
# **What you need first.** KL divergence (unit 01), the bound, reparameterisation and rate–distortion (unit 03), eigenvectors of a covariance matrix.
#
# | what it costs | |
# |---|---|
# | reading | three hours, with a pencil for the derivations |
# | running, on the images that come with the course | 110 seconds of processor time on one thread, with PyTorch 2.14 |
# | memory | 1.2 GB |
# | Colab | the same cells and the same data; not timed there |

# %% [markdown]
# {{how to keep your work}}

# %%
# {{set-up}}

# %%
import itertools
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from avae_lib import data, plotting

torch.set_num_threads(1)  # networks this small are faster on one thread than on several

# %% [markdown]
# ## A first picture
#
# Take the green values of the photographs that come with the course, whole numbers from 0 to 255. Here are two densities for them. Each is a sum of 256 Gaussian bumps, one on every level, weighted
# by the share of pixels with that level in the training crops. They differ only in the width of the bumps. Neither knows more about photographs than this histogram.

# %%
photos = data.load("photos32")
counts = torch.bincount(photos.train[:, 1].flatten().long(), minlength=256).double()
shares = counts / counts.sum()  # of each green level
levels = torch.arange(256, dtype=torch.float64)
entropy = -torch.xlogy(shares, shares).sum() / math.log(2)  # bits


def log_density(x, width):
    return torch.logsumexp(shares.log() + Normal(levels, width).log_prob(x[..., None]), dim=-1)


def claimed_bits(width):  # minus the average log-density at whole levels, in bits
    return -(shares * log_density(levels, width)).sum() / math.log(2)


# %%
window = torch.linspace(99.5, 112.5, 1301, dtype=torch.float64)
panels = {
    f"width {width}: {claimed_bits(width):.2f} bits per value": (window, log_density(window, width).exp())
    for width in (1.0, 0.1)
}
plotting.show(plotting.level_densities(levels[100:113], shares[100:113], panels))

# %% [markdown]
# **Figure 1.** Shares of thirteen green levels (bars) and two densities. Scored by its density at the levels that occur, the comb on the right seems to need 2.0 bits per value less than the smooth curve.
#
# <!-- alt: Two panels with the same bars over the levels 100 to 112. On the left a smooth curve passes through the tops of the bars. On the right a comb of narrow spikes, one on each bar and about four times as high. -->

# %% tags=["build-check"]
assert round((claimed_bits(1.0) - claimed_bits(0.1)).item(), 1) == 2.0 and 7.7 < entropy < 7.8

# %% [markdown]
# Is the comb the better model of photographs? And how many bits would a comb of width 0.001 claim?

# %% [markdown]
# ## 1. Densities mislead, probabilities do not
#
# Bits come from probabilities: an event of probability $P$ takes $-\log_2 P$ bits to write down, and no event takes less than zero. A density is not a probability. It may exceed one, and then its "bits" are negative.
# The comb exploits this. Let $P(v)$ be the share of level $v$ and $p_\sigma$ the comb of width $\sigma$. At $v$ the bump of that level alone has the height $P(v) / (\sigma\sqrt{2\pi})$, and the other bumps can only add to it:
#
# $$-\sum_v P(v) \log p_\sigma(v) \;\le\; -\sum_v P(v) \log \frac{P(v)}{\sigma\sqrt{2\pi}} = H(P) + \log\bigl(\sigma\sqrt{2\pi}\bigr) \;\to\; -\infty \quad (\sigma \to 0). \tag{1}$$
#
# The entropy $H(P)$ of the green values is 7.74 bits. So every comb narrower than $2^{-7.74}/\sqrt{2\pi} \approx 0.0019$ levels claims less than zero bits. It need not even know the shares: with equal weights $H(P)$ becomes
# $\log_2 256 = 8$ bits, and $\sigma$ beats that too.
#
# A second trap is the unit. Divide all pixels by 255, and every density grows by a factor of 255. The same model then claims $\log_2 255 = 7.99$ bits less. That alone takes the smooth curve of figure 1 below zero.

# %%
print(f"entropy of the shares: {entropy:.3f} bits")
for width in (1.0, 0.1, 0.01, 0.001):
    bound = entropy + math.log2(width * math.sqrt(2 * math.pi))  # the right side of (1)
    print(f"width {width:<5}: claims {claimed_bits(width):6.3f} bits per value; (1) says at most {bound:6.3f}")
print(f"the one of width 1, with pixels divided by 255: {claimed_bits(1.0) - math.log2(255):.3f} bits")

# %% tags=["build-check"]
assert claimed_bits(0.001) < 0 < claimed_bits(0.01) and round(entropy.item(), 2) == 7.74 and claimed_bits(1.0) < math.log2(255)
assert all(claimed_bits(w) <= entropy + math.log2(w * math.sqrt(2 * math.pi)) + 1e-9 for w in (1.0, 0.1, 0.01, 0.001))
assert abs(2**-7.7426 / math.sqrt(2 * math.pi) - 0.0019) < 5e-5 and abs(claimed_bits(0.001863)) < 0.01

# %% [markdown]
# **The cure: give the level its whole bin.** A pixel with value $v$ was brighter than $v - \frac12$ and darker than $v + \frac12$, and was rounded. So a density $p$ gives it the *probability*
#
# $$P_p(v) = \int_{-1/2}^{1/2} p(v + u)\, du, \tag{2}$$
#
# and for an image of $D$ values the integral is over a cube. These probabilities sum to at most one. Their average code length $-\sum_v P(v) \log P_p(v)$ is therefore at least $H(P)$. Indeed, if they sum to $T \le 1$, the difference is
# $\mathrm{KL}(P \,\|\, P_p / T) - \log T$, and neither part is negative (unit 01). On average, no model gets below the entropy of the data.
#
# **Where the integral has no closed form, add noise.** Read (2) as an average over uniform noise, $u \sim \mathcal U$ on the cube. By Jensen's inequality,
#
# $$\log P_p(x) = \log \mathbb{E}_{u}\bigl[p(x + u)\bigr] \;\ge\; \mathbb{E}_{u}\bigl[\log p(x + u)\bigr]. \tag{3}$$
#
# This is *dequantisation*: add fresh uniform noise to every pixel each time it is used, and train and judge the density on the noisy values. Then $-\mathbb{E}_x\mathbb{E}_u \log p(x + u) \ge -\mathbb{E}_x \log P_p(x) \ge H$.
# What is lost in (3)? Inside the cube around $x$ the density has the normalised form $p(u \mid x) = p(x + u)/P_p(x)$, so
#
# $$\log P_p(x) - \mathbb{E}_u \log p(x + u) = -\mathbb{E}_u \log p(u \mid x) = \mathrm{KL}\bigl(\mathcal U \,\|\, p(u \mid x)\bigr), \tag{4}$$
#
# since the uniform density on a cube of volume 1 is 1 and has logarithm 0. The bound is tight for densities that are flat within each bin, and very loose for combs.

# %%
widths = [3, 1.5, 1, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003]
noise = (torch.arange(24, dtype=torch.float64) + 0.5) / 24 - 0.5  # the midpoints of 24 equal parts of a bin
curves = {"density at the level": [], "density after dequantisation": [], "probability of the bin": []}
for width in widths:
    edges = torch.cat([levels - 0.5, levels[-1:] + 0.5])
    below = (shares * Normal(levels, width).cdf(edges[:, None])).sum(1)  # distribution function at the edges
    curves["density at the level"].append(claimed_bits(width).item())
    jittered = log_density(levels[:, None] + noise, width).mean(1)  # right side of (3)
    curves["density after dequantisation"].append(-(shares * jittered).sum().item() / math.log(2))
    curves["probability of the bin"].append(-(shares * below.diff().log2()).sum().item())
plotting.show(plotting.claimed_bits(widths, curves, entropy.item()))

# %% [markdown]
# **Figure 2.** Three ways to score the same densities. The density at the levels falls below zero. The probability of the bin (2) never falls below the entropy. Dequantisation (3) never falls below the probability of the
# bin; it is close for wide bumps and far above for narrow ones.
#
# <!-- alt: Bits per value against the width of the bumps, which gets narrower to the right. All three curves start near 7.8 bits. One falls in a straight line below zero; one stays on the dotted line of the entropy; one turns upwards and leaves the picture. -->

# %% tags=["build-check"]
at_level, dequantised, of_bin = (torch.tensor(values) for values in curves.values())
assert at_level[-1] < 0 and (of_bin > entropy - 1e-6).all() and (dequantised >= of_bin - 1e-6).all()
assert (dequantised[:3] - of_bin[:3]).max() < 0.01 and dequantised[-5] > 12 and of_bin[-1] - entropy < 1e-3

# %% [markdown]
# **You need not build a comb: training builds it.** Fit sixteen Gaussian bumps with free means, widths and weights to the sixteen grey levels of the scanned digits. Nothing keeps the widths from shrinking.

# %%
scans = data.load("digits")
grey = torch.bincount(scans.train.flatten().long(), minlength=16).double()
grey = grey / grey.sum()  # shares of the sixteen levels, with an entropy of 2.87 bits
midpoints = (torch.arange(8, dtype=torch.float64) + 0.5) / 8 - 0.5


# %%
def fitted_bumps(noise, updates=700):
    """Bits per value after each update, at the levels plus the given noise."""
    torch.manual_seed(0)
    bumps = (torch.tensor([[0.0], [15.0], [0.0]]) * torch.rand(3, 16)).double().requires_grad_()
    optimizer, bits = torch.optim.Adam([bumps], lr=0.01), []
    for _ in range(updates):
        logits, means, log_widths = bumps
        x = torch.arange(16)[:, None, None] + noise[:, None]
        log_densities = torch.logsumexp(logits.log_softmax(0) + Normal(means, log_widths.exp()).log_prob(x), dim=-1)
        loss = -(grey * log_densities.mean(1)).sum() / math.log(2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bits.append(loss.item())
    return bits


# %%
at_levels, with_noise = fitted_bumps(torch.zeros(1).double()), fitted_bumps(midpoints)
curves = {"density at the levels": at_levels, "density after dequantisation": with_noise}
print(f"after {len(at_levels)} updates: {at_levels[-1]:.2f} and {with_noise[-1]:.2f} bits per value; entropy {-(grey * grey.log2()).sum():.2f}")
plotting.show(plotting.learning_curves(curves, y_label="claimed bits per value"))

# %% [markdown]
# **Figure 3.** The same mixture trained on whole levels and on levels with noise. The first loss falls below zero, and by (1) it has no lower limit. The second one settles a tenth of a bit above the entropy.
#
# <!-- alt: Two falling curves over 700 updates. The lower one passes zero after about 330 updates and goes on falling, with small spikes near the end; the other flattens out at 2.9 bits. -->

# %% tags=["build-check"]
assert min(at_levels) < 0 and at_levels[-1] < 0.5, at_levels[-1]
assert 0 < with_noise[-1] + (grey * grey.log2()).sum() < 0.1 and max(with_noise[-200:]) - min(with_noise[-200:]) < 0.02
first_below = next(update for update, bits in enumerate(at_levels) if bits < 0)
assert 300 < first_below < 480, first_below

# %% [markdown]
# In a VAE the same thing happens more quietly. A Gaussian decoder with a learned variance for each pixel shrinks it wherever pixels are constant, for example in the margins of the digits. The loss improves without end, and the samples do not improve.
#
# Better noise makes a tighter bound. Let a network choose $q(u \mid x)$ on the cube instead of the uniform density:
#
# $$\log P_p(x) \;\ge\; \mathbb{E}_{q(u \mid x)}\bigl[\log p(x + u) - \log q(u \mid x)\bigr], \tag{5}$$
#
# by the same steps as for every evidence lower bound. Here $u$ is the latent variable, and the decoder is the rounding. This is *variational dequantisation* (Ho et al., 2019).

# %% [markdown]
# **Check yourself.** (a) Someone trains on pixels divided by 255 with uniform noise of width $1/255$ and reports $-\log_2 p$ per value. What must be added to compare it with others? (b) For which densities is (3) an equality? (c) A density assigns some of its mass to values above 255.5. Does (2) still give an honest code length?
#
# <details><summary>Answer</summary>
#
# (a) $\log_2 255$ bits per value: the cube now has the volume $255^{-D}$, and (2) has to be multiplied by it. (b) By (4), for those that are constant on every cube around an image of the data. (c) Honest, yes: the probabilities of the levels sum to less than one, so the code is longer than necessary. The next section gives the missing mass to the last bin.
# </details>

# %% [markdown]
# ## 2. Logistics cut into bins
#
# Equation (2) is easy to compute if the distribution function of $p$ has a closed form. The Gaussian's has none; that of the *logistic* distribution with location $\mu$ and scale $s$ is simple:
#
# $$F(t) = \sigma\Bigl(\frac{t - \mu}{s}\Bigr), \qquad \sigma(a) = \frac{1}{1 + e^{-a}}. \tag{6}$$
#
# Spread the levels $0 \dots 2^b - 1$ evenly over $[-1, 1]$, so that neighbours lie $2h$ apart with $h = 1/(2^b - 1)$, and cut at the midpoints. The first bin reaches down to $-\infty$, the last one up to $+\infty$:
#
# $$P(v) = \begin{cases} F(v + h) & \text{first level} \\ F(v + h) - F(v - h) & \text{between} \\ 1 - F(v - h) & \text{last level.} \end{cases} \tag{7}$$
#
# The upper edge of each bin is the lower edge of the next. So in the sum over all levels everything cancels in pairs, and $1$ is left. No mass is lost beyond the edges. Saturated pixels, which are common in photographs, are easy to describe: a mean far beyond the edge puts nearly all mass into the last bin.

# %%
from avae_lib.likelihoods import discretized_logistic_log_prob

# %%
# needs: discretized_logistic_log_prob
scales, frames = [0.02, 0.08, 0.25, 0.6, 2.0], []
eight_levels = torch.arange(8)
for scale in scales:
    mean, log_scale = torch.tensor(0.6), torch.tensor(scale).log()
    probabilities = discretized_logistic_log_prob(eight_levels, mean, log_scale, bits=3).exp()
    frames.append(plotting.logistic_bins(mean.item(), scale, probabilities, title=f"scale {scale}: sum {probabilities.sum():.6f}"))
plotting.slider(frames, scales, "scale", start=2)

# %% [markdown]
# **Figure 4.** A logistic around 0.6 and the probabilities of eight levels. Each bar has the area of the density over its bin; the outer bars also take what lies beyond. Drag the scale: a narrow logistic falls into one bin or two, a wide one puts most of its mass into the two outer bins.
#
# <!-- alt: A bell curve around 0.6 over eight bars between minus one and one. Bars follow the curve, the last one is higher since it collects the tail. With a large scale the curve is nearly flat and the two outer bars are by far the highest. -->

# %% tags=["build-check"]
assert all(abs(discretized_logistic_log_prob(eight_levels, torch.tensor(0.6), torch.tensor(s).log(), 3).exp().sum() - 1) < 1e-5 for s in scales)
assert probabilities.sort(descending=True)[1][:2].sort()[0].tolist() == [0, 7]
assert probabilities[0] + probabilities[7] > 0.6

# %% [markdown]
# **Far from the mean.** Early in training a decoder is often wrong by a hundred scales. There both terms of a difference in (7) round to the same number, the difference is 0, its logarithm $-\infty$ and its gradient undefined. Write $a$ and $b$ for the arguments of $\sigma$ at the upper and the lower edge, and bring the difference over one denominator:
#
# $$\sigma(a) - \sigma(b) = \frac{e^a}{1 + e^a} - \frac{e^b}{1 + e^b} = \frac{e^a - e^b}{(1 + e^a)(1 + e^b)} = \sigma(a)\, \sigma(-b)\, \bigl(1 - e^{-(a - b)}\bigr). \tag{8}$$
#
# Now take logarithms, one factor at a time. $\log\sigma(a) = -\log(1 + e^{-a})$ is finite for every $a$; libraries compute it without overflow as minus the softplus of $-a$. The last factor depends on the scale alone, since $a - b = 2h/s$; where this is small, $1 - e^{-2h/s}$ cancels, and `expm1` avoids that. The edge bins of (7) need
# one factor each: $\log P = \log\sigma(a)$ for the first level and $\log\sigma(-b)$ for the last.
#
# Far out, one of the first two factors decides: up to a constant that depends on $s$, $\log P \approx -\lvert v - \mu \rvert / s$. The log-density of a logistic has straight tails where a Gaussian's is a parabola, so a single odd pixel costs nats in proportion to its distance and not to its square.

# %%
# needs: discretized_logistic_log_prob
level, log_scale = torch.tensor(127), torch.tensor(-6.0)  # of 8 bits; a scale of about a third of a level
print("scales away      difference of sigmoids   its gradient      the component   its gradient")
for distance in (1.0, 10.0, 30.0, 100.0, 800.0):
    mean = torch.tensor(-1 / 255 - distance * math.exp(-6), requires_grad=True)  # level 127 lies at −1/255
    upper, lower = (torch.sigmoid((edge / 255 - mean) * math.exp(6)) for edge in (0, -2))
    naive, stable = (upper - lower).log(), discretized_logistic_log_prob(level, mean, log_scale, bits=8)
    slopes = [torch.autograd.grad(value, mean)[0].item() for value in (naive, stable)]
    print(f"{distance:11.0f} {naive.item():27.3f} {slopes[0]:14.1f} {stable.item():18.3f} {slopes[1]:14.1f}")

# %% tags=["build-check"]
assert naive.item() == -math.inf and math.isnan(slopes[0]) and -800 < stable.item() < -797 and abs(slopes[1] - math.exp(6)) < 1

# %% [markdown]
# Both columns are computed in single precision. (PixelCNN++'s own program replaces differences below $10^{-5}$ by the density in the middle of the bin times its width, which keeps the gradient finite too.)
#
# ### Mixtures, and colours that depend on each other
#
# One logistic has one peak. A pixel at the edge of an object may be bright or dark and is rarely in between, so one takes a *mixture* of $K$ logistics, $P(v) = \sum_k \pi_k P_k(v)$. The three colours of a pixel are far from independent. PixelCNN++ (Salimans et al., 2017) gives each component
# three coefficients for that. Red comes first; green's mean moves with red's value, blue's with both:
#
# $$P(r, g, b) = \sum_{k=1}^{K} \pi_k\, P(r \mid \mu_{r,k})\, P(g \mid \mu_{g,k} + c_{0,k}\, r)\, P(b \mid \mu_{b,k} + c_{1,k}\, r + c_{2,k}\, g), \qquad c_{j,k} = \tanh(\cdot), \tag{9}$$
#
# with $r, g, b$ on the scale $[-1, 1]$, and each $P$ as in (7) with a scale of its own. The three colours share the choice of $k$: one component is one kind of pixel. By the chain rule of probability (9) sums to one over all $256^3$ colours: sum over $b$ first, with $r$ and $g$ fixed, then over $g$, then $r$.
# That takes ten numbers for each component and pixel: a weight, three means, three scales, three coefficients. The decoder outputs all of them at once.
#
# **Bits per dimension** are the average code length of one value of an image with $D$ values,
#
# $$\text{bits/dim} = \frac{-\log P(x)}{D \log 2}. \tag{10}$$
#
# A model that knows nothing needs eight. A lower bound on $\log P(x)$ gives an upper bound on bits/dim.

# %%
from avae_lib.likelihoods import discretized_logistic_mixture_log_prob, discretized_logistic_mixture_sample

# %%
# needs: discretized_logistic_log_prob, discretized_logistic_mixture_log_prob
torch.manual_seed(0)
colours = torch.cartesian_prod(*[torch.arange(4)] * 3).to(torch.uint8)  # all 64 colours of 2 bits
params = 2 * torch.randn(1, 30, 1, 1)  # three components with some parameters
log_probs = discretized_logistic_mixture_log_prob(colours[:, :, None, None], params.expand(64, -1, 1, 1), bits=2)
print(f"sum over all 64 colours: {log_probs.exp().sum():.6f}")
byte = torch.arange(256)
for mean, log_scale in ((-1.3, -7.0), (0.2, -3.0), (1.9, 0.0), (0.0, 7.0)):
    log_probs = discretized_logistic_log_prob(byte, torch.tensor(mean), torch.tensor(log_scale), bits=8)
    print(f"mean {mean:4.1f}, log-scale {log_scale:4.1f}: sum over 256 levels {log_probs.exp().sum():.6f}")
    assert abs(log_probs.exp().sum() - 1) < 1e-5

# %% [markdown]
# How many bits do the mixture and the coefficients save? Take single pixels of the photographs and fit *one* set of parameters, ten numbers for each component, to all of them.

# %%
torch.manual_seed(0)
pixels = {
    split: images.permute(0, 2, 3, 1).reshape(-1, 3)[torch.randperm(images.numel() // 3)[:2500], :, None, None]
    for split, images in (("train", photos.train), ("test", photos.test))
}
correlations = pixels["train"].float().flatten(1).T.corrcoef()
print(f"correlations: red and green {correlations[0, 1]:.2f}, green and blue {correlations[1, 2]:.2f}, red and blue {correlations[0, 2]:.2f}")

# %% fast="pixel_updates = 20"
pixel_updates = 250  # of each mixture

# %%
# needs: discretized_logistic_log_prob, discretized_logistic_mixture_log_prob
def bits_of_pixels(params, split):
    x = pixels[split]
    return -discretized_logistic_mixture_log_prob(x, params.expand(len(x), -1, 1, 1), bits=8).mean() / 3 / math.log(2)


def fitted_mixture(components, dependent):
    torch.manual_seed(0)
    numbers = torch.cat([torch.zeros(1, components), torch.rand(9, components) - 0.5])
    numbers[[2, 5, 8]] -= 1.5  # log-scales
    free = torch.ones(10, 1)
    free[[3, 6, 9]] = float(dependent)  # the coefficients of (9), held at 0 for independent colours
    numbers.requires_grad_()
    optimizer = torch.optim.Adam([numbers], lr=0.05)
    for _ in range(pixel_updates):
        loss = bits_of_pixels((free * numbers).reshape(1, -1, 1, 1), "train")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (free * numbers).detach().reshape(1, -1, 1, 1)


# %%
# needs: discretized_logistic_log_prob, discretized_logistic_mixture_log_prob
mixtures, pixel_bits = {}, {}
for components, dependent in itertools.product((1, 5), (False, True)):
    label = f"K = {components}, colours {'dependent' if dependent else 'independent'}"
    mixtures[label] = fitted_mixture(components, dependent)
    pixel_bits[label] = bits_of_pixels(mixtures[label], "test").item()
    print(f"{label:31s} {pixel_bits[label]:.2f} bits/dim on test pixels")

# %%
# needs: discretized_logistic_log_prob, discretized_logistic_mixture_log_prob, discretized_logistic_mixture_sample
torch.manual_seed(0)
uniforms = torch.rand(1500, 8, 1, 1)  # five to choose a component, three for its colours
clouds = {"test pixels": pixels["test"][:1500, :, 0, 0]}
for label in ("K = 1, colours dependent", "K = 5, colours independent", "K = 5, colours dependent"):
    count = mixtures[label].shape[1] // 10
    params = mixtures[label].expand(1500, -1, 1, 1)
    drawn = discretized_logistic_mixture_sample(params, uniforms[:, :count], uniforms[:, 5:], bits=8)
    clouds[label.replace(", ", "\n")] = drawn[:, :, 0, 0]
plotting.show(plotting.colour_clouds(clouds))

# %% [markdown]
# **Figure 5.** Red and green of 1,500 test pixels, each dot in its own colour, and 1,500 draws from three of the mixtures. A single component with dependent colours has the direction of the cloud but not its shape. Five components without coefficients cover it with blobs parallel to the axes; with coefficients the blobs can follow the diagonal.
#
# <!-- alt: Four scatter plots of green against red. Test pixels lie in a thin band along the diagonal, an orange patch below it and a column at red 0. One component gives one oblong cloud; five independent ones give several round clouds that cover much empty space; five dependent ones have a thin bright streak along the diagonal. -->

# %% tags=["build-check"]
independent_1, dependent_1, independent_5, dependent_5 = pixel_bits.values()
assert dependent_5 < independent_5 < dependent_1 < 8 < independent_1 and dependent_5 < 6.7, pixel_bits
assert independent_1 - dependent_1 > 1 and 0.2 < independent_5 - dependent_5 < 0.35
assert all(cloud.shape == (1500, 3) for cloud in clouds.values())

# %% [markdown]
# One peak per colour does worse than eight bits, the price without any model: the pixels lie in several heaps, and one peak has to put mass between them. Dependent colours save more than a bit with a single component and more than a quarter of a bit with five.
#
# All pixels had to share these parameters. A decoder gives each pixel its own, as functions of $z$, and so can do better.

# %% [markdown]
# **Check yourself.** (a) Level 0 of 8 bits, mean −1.5, log-scale −7: what is $\log P$, roughly? And of level 1? (b) What would $c_{0,k} = 1$ mean in (9)? (c) Could blue come first?
#
# <details><summary>Answer</summary>
#
# (a) The bin of level 0 is open below and holds everything up to $-1 + 1/255$, far above the mean: $\log P \approx 0$. For level 1 the lower edge is $-1 + 1/255$, about $0.504\, e^{7} \approx 550$ scales above the mean, so $\log P \approx -550$. (b) Green's mean would be red's value plus a constant (tanh only comes close to 1). With $c_{1,k} + c_{2,k} = 1$
# as well and constants of zero, the component would hold greys of any brightness. (c) Yes. Any order of the chain rule gives a proper distribution; they are different models.
# </details>

# %% [markdown]
# ## 3. Posterior collapse
#
# A latent unit is *collapsed* when its posterior equals the prior for every image. Its KL is zero, and the decoder learns nothing from it. Two numbers show it: the KL of each unit, and how far its posterior mean moves from image to image,
#
# $$A_u = \operatorname{Var}_x\bigl(\mathbb{E}_{q(z \mid x)}[z_u]\bigr). \tag{11}$$
#
# Burda et al. (2016) call a unit *active* if $A_u > 0.01$, because their units fell into two widely separated groups with this line between them. The two numbers are related. If the posterior has the same variance $\sigma_u^2$ for all images and its average over images is the prior, then $A_u = 1 - \sigma_u^2$, and the KL is $-\tfrac12 \log(1 - A_u)$, about $A_u/2$ nats where it is small.
#
# ### Making it
#
# Give the decoder a second source of information. Let it see the pixels before the one it describes, as in a text that is written word after word:
#
# $$p(x \mid z) = \prod_{d} p(x_d \mid x_{<d}, z). \tag{12}$$
#
# By the chain rule a flexible enough decoder of this kind can be any distribution of images *without* $z$. Suppose it has learned the best distribution that way: $p(x \mid z) = p(x)$. Then $p(z \mid x) = p(z)$, and $q = p(z)$ makes the bound exact: $\mathrm{ELBO} = \log p(x) - \mathrm{KL}(q \,\|\, p(z \mid x)) = \log p(x)$. A model with the same $p(x)$ that uses $z$ can only tie with that, and it loses
# by whatever $q$ misses of its posterior. For a strong enough decoder, collapse is what the bound asks for (Chen et al., 2017).
#
# The dial is `reach`: how many pixels before its own a pixel may see, through four hidden units of its own. With reach 0 this is a VAE as in unit 03; with 63 a pixel sees all pixels before it.

# %%
from avae_lib.objectives import balanced_kl, free_bits

ink = data.load("digits").binarized("dynamic")  # black or white, drawn anew for each batch
held_out = ink.pixels("test").flatten(1).float()


def network(inputs, outputs, hidden=128):
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


# %%
class WindowedVAE(nn.Module):
    """Digits of 64 pixels; a pixel sees ten latents and the pixels before it, ``reach`` of them."""

    def __init__(self, reach):
        super().__init__()
        self.encoder, self.decoder = network(64, 20), network(10, 64)
        before = torch.arange(64)[:, None] - torch.arange(64)  # how far before the row's pixel the column's one comes
        self.mask = ((before > 0) & (before <= reach)).float().repeat_interleave(4, dim=0)
        self.reading, self.bias = nn.Parameter(0.1 * torch.randn(4 * 64, 64)), nn.Parameter(torch.zeros(4 * 64))
        self.writing = nn.Parameter(0.1 * torch.randn(64, 4))  # four hidden units for each pixel

    def forward(self, x):
        mean, log_std = self.encoder(2 * x - 1).chunk(2, dim=1)
        q = Normal(mean, log_std.exp())
        seen = torch.tanh((2 * x - 1) @ (self.reading * self.mask).T + self.bias).unflatten(1, (64, 4))
        logits = self.decoder(q.rsample()) + (seen * self.writing).sum(2)
        return Bernoulli(logits=logits).log_prob(x).sum(1), kl_divergence(q, Normal(0.0, 1.0)), mean


# %% [markdown]
# ### Four ways of training it
#
# | | what it does | |
# |---|---|---|
# | plainly | the bound, from the first update on | |
# | warm-up | the KL counts $\beta$, which rises from 0 to 1 over the first half of the updates | early on the latents are cheap, and the decoder learns to use them |
# | free bits | the first $\lambda = 0.5$ nats of each unit cost nothing: $\sum_l \max\bigl(\lambda, \overline{\mathrm{KL}}_l\bigr)$, with the mean over the batch | a unit below $\lambda$ gains nothing by shrinking its KL further |
# | balancing | during a warm-up, the KL of unit $l$ is weighted by $\gamma_l = \overline{\mathrm{KL}}_l \big/ \frac1L\sum_m \overline{\mathrm{KL}}_m$ | units that use little pay little (NVAE's rule for layers, unit 05) |
#
# A fifth way is the dial itself: a decoder that *cannot* do without $z$ will use it. (A sixth, the preset `digits-inverse-lipschitz`, bounds from below how far apart the decoder maps two different $z$; Kinoshita et al., 2023.) We count units with $A_u > 0.1$, about 0.05 nats, because the units of this small model do not fall into two groups.

# %% fast="collapse_updates = 20"
collapse_updates = 800  # of each network


# %%
# needs: free_bits
def charged(kl, training, update):
    """What the loss charges for the KL of ten units, (batch, units)."""
    if training == "free bits":
        return free_bits(kl, 0.5)
    beta = min(1.0, 2 * update / collapse_updates) if training in ("warm-up", "balancing") else 1.0
    if training == "balancing" and beta < 1:
        kl = balanced_kl(kl, torch.ones(10))
    return beta * kl


# %%
# needs: free_bits
def trained_windowed(reach, training, seed=0):
    torch.manual_seed(seed)
    model, batches = WindowedVAE(reach), data.BatchSampler(ink, batch_size=100)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, collapse_updates)
    for update in range(collapse_updates):
        log_likelihood, kl, _ = model(batches.draw().flatten(1).float())
        loss = (charged(kl, training, update).sum(1) - log_likelihood).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


# %%
# needs: free_bits
def judged(model):
    """Distortion on test images, nats; KL and posterior mean of each image and unit."""
    torch.manual_seed(0)
    with torch.no_grad():
        draws = [model(held_out) for _ in range(20)]
    return -torch.stack([log_likelihood for log_likelihood, _, _ in draws]).mean().item(), *draws[0][1:]


collapse, unit_kl = {}, {}
print("reach   training    rate   distortion   −ELBO   units with A > 0.1")
for reach, training in itertools.product((0, 8, 63), ("plainly", "warm-up", "free bits", "balancing")):
    distortion, kl, means = judged(trained_windowed(reach, training))
    active = (means.var(0) > 0.1).sum().item()
    collapse[reach, training] = kl.sum(1).mean().item(), distortion, active
    unit_kl.setdefault(f"{reach} pixels before", {})[training] = kl.mean(0).tolist()
    rate = collapse[reach, training][0]
    print(f"{reach:5d}   {training:9s} {rate:6.2f} {distortion:12.2f} {rate + distortion:7.2f} {active:10d}")

# %%
# needs: free_bits
plotting.show(plotting.units_in_use(unit_kl, highest=1.0))

# %% [markdown]
# **Figure 6.** KL of each of the ten units on test images, for decoders that see more and more of the pixels before. Trained plainly (blue), the units empty as the decoder gets stronger. The three cures keep all ten in use.
#
# <!-- alt: Three panels with four falling curves each. On the left the blue curve is among the others or a little below. On the right it falls from four tenths of a nat to zero within six units, and the other three stay high over all ten units. -->

# %% tags=["build-check"]
plain = {reach: collapse[reach, "plainly"] for reach in (0, 8, 63)}
cured = {key: values for key, values in collapse.items() if key[1] != "plainly"}
assert plain[0][0] > plain[8][0] > plain[63][0] and plain[63][0] < 0.4 * plain[0][0], plain
assert plain[63][2] < plain[0][2] and all(values[2] == 10 for values in cured.values()), collapse
assert min(values[0] for values in cured.values()) > 2.5 * plain[63][0], collapse

# %% [markdown]
# When each pixel sees all pixels before it, the plainly trained model ends below two nats of rate and the cured ones above five. Their bounds differ by a fraction of a nat. So the loss does not show the collapse, and if you want a *representation*, you must look at the rate.
#
# The cures differ. Free bits leave every unit near $\lambda$, whether or not it has anything to say. A warm-up lets units find something first and charges for it later.
#
# Which model is better *by the bound*? The differences are small, so take three seeds, and subtract the bounds of two models that differ only in the warm-up.

# %%
# needs: free_bits
warm_up_gains = {}
print("−ELBO with warm-up minus −ELBO trained plainly, seeds 0, 1, 2")
for reach in (0, 63):
    for seed in (0, 1, 2):
        distortions, kls, _ = zip(*(judged(trained_windowed(reach, how, seed)) for how in ("warm-up", "plainly")), strict=True)
        bounds = [distortion + kl.sum(1).mean().item() for distortion, kl in zip(distortions, kls, strict=True)]
        warm_up_gains.setdefault(reach, []).append(bounds[0] - bounds[1])
    print(f"reach {reach:2d}: " + "  ".join(f"{difference:+.2f}" for difference in warm_up_gains[reach]))

# %% tags=["build-check"]
assert max(warm_up_gains[0]) < -0.01 and min(warm_up_gains[63]) > 0.02, warm_up_gains

# %% [markdown]
# The sign is the same for all three seeds. When a pixel sees none of the pixels before it, the decoder gains from the warm-up: plain training had left units unused that would have paid for themselves. When it sees all of them, the decoder loses: each further nat of rate saves less than a nat of distortion, as the argument after (12) says.
#
# In larger models the gain can be large. Here is the preset `mnist-vae` of this course, whose pixels are independent given $z$ (one run of each; the numbers stand in `avae_lib/presets/vae.py`):
#
# | mnist-vae, 50 units | active units | −ELBO (nats per image) |
# |---|---|---|
# | plainly | 11 | 103.1 |
# | with a warm-up | 16 | 98.6 |
#
# There the plain training was stuck. How can one tell the two cases apart?

# %% tags=["build-check"]
bound_of = {key: -sum(values[:2]) for key, values in collapse.items()}
assert plain[63][0] < 2 and all(collapse[63, cure][0] > 5 for cure in ("warm-up", "free bits", "balancing"))
assert all(abs(bound_of[63, cure] - bound_of[63, "plainly"]) < 0.5 for cure in ("warm-up", "free bits", "balancing"))
assert all(bound_of[63, cure] < bound_of[63, "plainly"] + 0.02 for cure in ("warm-up", "free bits", "balancing")), bound_of
assert all(0.4 < kl < 0.75 for kl in unit_kl["63 pixels before"]["free bits"]), unit_kl

# %% [markdown]
# ### An optimum, or a failure of the optimiser?
#
# A model that ignores its latents may have found the best it can do, or may be stuck. In one model this can be settled with a pencil, the *linear VAE* (Lucas et al., 2019),
#
# $$p(x \mid z) = \mathcal N(Wz + \mu,\ \sigma^2 I), \qquad q(z \mid x) = \mathcal N\bigl(V(x - \mu),\ \operatorname{diag} s^2\bigr), \qquad p(z) = \mathcal N(0, I). \tag{13}$$
#
# **Step 1: the bound is not to blame.** For a given $W$ the true posterior follows from the Gaussian's rules (unit 01):
#
# $$p(z \mid x) = \mathcal N\bigl(M^{-1}W^\top(x - \mu),\ \sigma^2 M^{-1}\bigr), \qquad M = W^\top W + \sigma^2 I.$$
#
# The density $p(x)$ depends on $W$ only through $W W^\top$, so we may rotate the latents until the columns of $W$ are orthogonal. Then $M$ is diagonal, the true posterior is a diagonal Gaussian
# with a mean linear in $x$, and $q$ can equal it. So the largest value of the bound is the largest value of the likelihood itself. This likelihood is that of *probabilistic PCA* (Tipping and Bishop, 1999).
#
# **Step 2: what the likelihood wants.** Let $S$ be the covariance of the data, with eigenvalues $\lambda_1 \ge \lambda_2 \ge \dots$, and $C = WW^\top + \sigma^2 I$ that of the model. The average log-likelihood is
#
# $$\ell(W) = -\tfrac12 \bigl[ D \log 2\pi + \log\det C + \operatorname{tr}(C^{-1} S) \bigr], \qquad \frac{\partial \ell}{\partial W} = \bigl(C^{-1} S C^{-1} - C^{-1}\bigr) W = 0 \iff S C^{-1} W = W. \tag{14}$$
#
# Write the orthogonal columns as $w_i = l_i u_i$ with unit vectors $u_i$. Since $C u_i = (l_i^2 + \sigma^2) u_i$, the condition says for each column
#
# $$l_i = 0 \qquad\text{or}\qquad S u_i = (l_i^2 + \sigma^2)\, u_i. \tag{15}$$
#
# A column is zero, or it is an eigenvector of the data, with $l_i^2 = \lambda - \sigma^2$. The second needs an eigenvalue *above the noise variance*.
#
# **Step 3: zero is a maximum or a saddle.** Follow one column along an eigenvector as its length grows from 0. With $t = l^2$,
#
# $$\ell = -\tfrac12 \Bigl[\log(t + \sigma^2) + \frac{\lambda}{t + \sigma^2}\Bigr] + \text{const}, \qquad \frac{d\ell}{dt} = \frac{\lambda - \sigma^2 - t}{2\,(t + \sigma^2)^2}. \tag{16}$$
#
# If $\lambda \le \sigma^2$, every length loses: the collapsed unit is the optimum. If $\lambda > \sigma^2$, the likelihood rises from $t = 0$ to $t = \lambda - \sigma^2$: a small disturbance is enough to leave zero. (16) has no second maximum at zero where training could get stuck.
#
# One case is left: fewer units than eigenvalues above $\sigma^2$, and a column that sits on $u_2$ while $u_1$ with $\lambda_1 > \lambda_2$ is free. Turn it towards $u_1$ by an angle $\theta$. Its length and hence $\det C$ stay, and $-\tfrac12\operatorname{tr}(C^{-1} S)$ changes by $\tfrac12 (\sigma^{-2} - \lambda_2^{-1})(\lambda_1 - \lambda_2) \sin^2\theta > 0$. So this too is a saddle: the optimum keeps
# the largest eigenvalues, as many as there are units, and only those above $\sigma^2$.

# %%
pixels_of_digits = scans.train.flatten(1).double() / 15
centred = pixels_of_digits - pixels_of_digits.mean(0)
covariance = centred.T @ centred / len(centred)
eigenvalues = torch.linalg.eigvalsh(covariance).flip(0)
length, noise_variance = torch.linspace(0, 0.6, 121, dtype=torch.float64), 0.1


def gain(eigenvalue):  # of (16), over a column of length 0
    def value(t):
        return -0.5 * (torch.log(t + noise_variance) + eigenvalue / (t + noise_variance))

    return value(length**2) - value(torch.zeros(()))


# %%
curves = {
    f"eigenvalue {number}: {eigenvalues[number - 1]:.3f}": (length.tolist(), gain(eigenvalues[number - 1]).tolist())
    for number in (6, 10, 14, 20)
}
plotting.show(plotting.learning_curves(curves, y_label="gain in log-likelihood (nats)", x_label="length l of the column"))

# %% [markdown]
# **Figure 7.** Equation (16) for four eigenvalues of the digits' covariance (8 × 8 pixels between 0 and 1), with noise variance 0.1. For the two eigenvalues above the noise variance, the gain rises from zero; for the two below, it falls.
#
# <!-- alt: Four curves of the gain against the length of a column, all from zero. Two rise to a summit and fall; two fall from the start. -->

# %% tags=["build-check"]
for number in (6, 10):
    assert gain(eigenvalues[number - 1])[1:8].min() > 0 and eigenvalues[number - 1] > noise_variance
for number in (14, 20):
    assert gain(eigenvalues[number - 1])[1:].max() < 0 and eigenvalues[number - 1] < noise_variance

# %% [markdown]
# **Step 4: the rate of every unit.** In the optimum $t + \sigma^2 = \lambda$. The posterior's variance is $s^2 = \sigma^2/\lambda$, and its mean $l\, u^\top(x - \mu)/\lambda$ has the variance $l^2 \lambda/\lambda^2 = 1 - \sigma^2/\lambda$ over the data. Insert both into the KL to $\mathcal N(0, 1)$ (unit 03) and average over the data:
#
# $$\overline{\mathrm{KL}}_i = \tfrac12\Bigl[\frac{\sigma^2}{\lambda_i} + 1 - \frac{\sigma^2}{\lambda_i} - 1 - \log\frac{\sigma^2}{\lambda_i}\Bigr] = \begin{cases} \tfrac12 \log(\lambda_i / \sigma^2) & \lambda_i > \sigma^2 \\ 0 & \text{else.} \end{cases} \tag{17}$$
#
# So the units in use can be counted before training: there are as many as eigenvalues above $\sigma^2$. Train a linear VAE with 16 units from random weights and compare. Everything in its bound is quadratic in $x$, so all expectations are exact and need no draws.

# %% fast="linear_updates = 100"
linear_updates = 1200  # of each linear VAE


# %%
def trained_linear_vae(noise_variance, units=16):
    """KL of each unit, and minus the bound, nats per image."""
    torch.manual_seed(0)
    W, V = (0.05 * torch.randn(*shape).double() for shape in ((64, units), (units, 64)))
    log_s, weights = torch.zeros(units).double(), []
    weights = [weight.requires_grad_() for weight in (W, V, log_s)]
    optimizer = torch.optim.Adam(weights, lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, linear_updates)
    for _ in range(linear_updates):
        left_over = torch.eye(64) - W @ V  # of x − μ, once it is encoded and decoded
        error = (left_over @ covariance * left_over).sum() + ((2 * log_s).exp() * W.square().sum(0)).sum()
        kl = 0.5 * ((V @ covariance * V).sum(1) + (2 * log_s).exp() - 1) - log_s
        loss = 0.5 * error / noise_variance + 32 * math.log(2 * math.pi * noise_variance) + kl.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return kl.detach(), loss.item()


# %%
frames, noise_variances, linear = [], [0.3, 0.2, 0.1, 0.08], {}
for noise_variance in noise_variances:
    kl, loss = trained_linear_vae(noise_variance)
    kept = eigenvalues[:16].clamp(min=noise_variance)
    predicted = 0.5 * (kept / noise_variance).log()  # equation (17)
    of_model = torch.cat([kept, torch.full((48,), noise_variance).double()])  # eigenvalues of C
    best = 0.5 * (64 * math.log(2 * math.pi) + of_model.log().sum() + (eigenvalues / of_model).sum()).item()
    linear[noise_variance] = kl, predicted, loss - best
    title = f"σ² = {noise_variance}: {(predicted > 0).sum()} eigenvalues above it, {(kl > 0.005).sum()} units in use"
    frames.append(plotting.eigenvalues_and_rates(eigenvalues, noise_variance, predicted, kl, title))
    print(f"{title}; bound {loss - best:.4f} nats below the largest likelihood")
plotting.slider(frames, noise_variances, "σ²", start=2)

# %% [markdown]
# **Figure 8.** Left, the first 16 eigenvalues of the digits and the decoder's noise variance. Right, the KL of each unit of a trained linear VAE (points) and equation (17) (line). Drag $\sigma^2$: units collapse one by one as the noise variance passes their eigenvalue.
#
# <!-- alt: Left, sixteen falling bars on a logarithmic axis; those above a horizontal line are blue, the others grey. Right, points lie on a falling line that reaches zero where the bars become grey. -->

# %% tags=["build-check"]
for noise_variance, (kl, predicted, short) in linear.items():
    assert (kl.sort(descending=True)[0] - predicted).abs().max() < 0.03 and -1e-6 < short < 0.02, (noise_variance, short)
    assert (kl > 0.005).sum() == (predicted > 0).sum(), noise_variance

# %% [markdown]
# In this model the units that stay collapsed are collapsed at the optimum, and no warm-up can help: the *likelihood* draws the line, through the noise variance of the decoder. (Lucas et al. prove that the bound adds no local maxima of its own.) A noise variance that is fixed too large is a common cause of dead units. A squared error without a factor in front amounts to $\sigma^2 = \tfrac12$, and only the first three eigenvalues of the digits are above that.
#
# Nonlinear models have no such formula, and training can get stuck. What remains is a test: *compare the bounds* of the same model trained in two ways, by more than the scatter of the seeds.
#
# | the model with more active units has | the other one's collapse was | do |
# |---|---|---|
# | the better bound | a failure of the optimiser | train differently: warm-up, free bits, other starts |
# | the worse bound | not shown to be a failure; most likely what the bound prefers | change the model or the objective: a weaker decoder, less noise, $\beta < 1$ |
# | the same bound | neither: the bound does not decide | choose by what the latents are for |

# %% [markdown]
# **Check yourself.** (a) Train the linear VAE with $\beta$ in front of its KL. Which units stay in use? What does that say about a warm-up from $\beta = 0$? (b) Suppose $\sigma^2$ is learned too; its best value is the mean of the eigenvalues that are not kept. Can a unit collapse then? (c) A colleague cures a collapse, the bound gets worse by 2 nats, the samples look better. What has happened?
#
# <details><summary>Answer</summary>
#
# (a) Divide the objective by $\beta$: it is the linear VAE with noise variance $\beta\sigma^2$. Units with $\lambda_i > \beta\sigma^2$ stay in use. At the start of a warm-up that is nearly all, at the end it is those of (17): a warm-up changes the path, not the destination. (b) No. Suppose a unit is collapsed. Then $\sigma^2$ is the mean of all eigenvalues that are not kept, so the largest of them is above $\sigma^2$ (unless all are equal), and by step 3 the unit gains by growing along it. (c) The cured model has the longer code, by the bound, and its latents hold more. A worse bound and better-looking samples
# can go together; which matters depends on what the model is for.
# </details>

# %% [markdown]
# ## 4. Posteriors that are not Gaussian
#
# The gap between $\log p(x)$ and the bound is $\mathrm{KL}(q \,\|\, p(z \mid x))$, so a posterior family that does not contain the true posterior costs nats, and training shapes the decoder so that the loss is small. How much can a richer $q$ gain? In two dimensions we can plot it. The prior is $\mathcal N(0, I)$, one number is observed, and the true posterior is known on a grid:
#
# | | what is observed | where the posterior has its mass |
# |---|---|---|
# | ridge | $x = z_2 - z_1^2 + 0.3\,\varepsilon$, and $x = -1$ | along the parabola $z_2 = z_1^2 - 1$ |
# | ring | $x = \lVert z \rVert + 0.15\,\varepsilon$, and $x = 1.5$ | around the circle of radius 1.5 |

# %%
axis = torch.linspace(-3.2, 3.2, 129)
grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)  # (z₁, z₂, 2)
cell = (axis[1] - axis[0]).item() ** 2
prior = Normal(0.0, 1.0)


def ridge(z):  # log p(x, z)
    return prior.log_prob(z).sum(-1) + Normal(z[..., 1] - z[..., 0] ** 2, 0.3).log_prob(torch.tensor(-1.0))


def ring(z):
    return prior.log_prob(z).sum(-1) + Normal(z.norm(dim=-1), 0.15).log_prob(torch.tensor(1.5))


log_evidence = {joint: (joint(grid).exp().sum() * cell).log().item() for joint in (ridge, ring)}  # log p(x)

# %% [markdown]
# **Flows.** Draw $z_0$ from a Gaussian $q_0$ and send it through an invertible map $f$. Probability moves with the points: the mass that $q_0$ has in a small box around $z_0$ is found in the box's image, whose volume is larger by the factor $\lvert\det \partial f/\partial z_0\rvert$. So
#
# $$\log q(z) = \log q_0(z_0) - \log \Bigl\lvert \det \frac{\partial f}{\partial z_0} \Bigr\rvert, \qquad z = f(z_0), \tag{18}$$
#
# and for several maps in a row the log-determinants add up. The bound needs $\log q$ only at draws of $q$ itself, where $z_0$ is known, so $f$ need not be inverted. It needs a cheap determinant.

# %% [markdown]
# **Planar flow** (Rezende and Mohamed, 2015). Push points along one direction $u$, by an amount that depends on where they lie along another direction $w$:
#
# $$f(z) = z + u\, \tanh(w^\top z + b), \qquad \frac{\partial f}{\partial z} = I + u\, v^\top, \quad v = \bigl(1 - \tanh^2(w^\top z + b)\bigr)\, w. \tag{19}$$
#
# The matrix $I + u v^\top$ leaves every vector orthogonal to $v$ as it is: that is the eigenvalue 1, $d - 1$ times. It maps $u$ to $u + u\,(v^\top u)$: eigenvalue $1 + v^\top u$. (If $u$ is itself orthogonal to $v$, there are only $d - 1$ of these vectors; both sides of (20) are continuous in $u$, so take a limit.) The determinant is their product,
#
# $$\det(I + u v^\top) = 1 + v^\top u, \tag{20}$$
#
# at the cost of one scalar product. Since $0 < 1 - \tanh^2 \le 1$, it is positive everywhere if $w^\top u > -1$. Then the map is invertible: $w^\top f(z) = a + w^\top u \tanh(a + b)$ increases with $a = w^\top z$, so $f(z)$ determines $a$, and with it $z$. To stay in this range, replace $u$ by $u + \bigl[m(w^\top u) - w^\top u\bigr] w / \lVert w \rVert^2$ with $m(t) = \log(1 + e^t) - 1$, which makes $w^\top u$ equal to $m > -1$.

# %%
class Planar(nn.Module):
    """One planar step in two dimensions: z and the log-determinant (20)."""

    def __init__(self):
        super().__init__()
        self.u, self.w = nn.Parameter(0.3 * torch.randn(2)), nn.Parameter(torch.randn(2))
        self.b = nn.Parameter(torch.zeros(()))

    def forward(self, z):
        along = self.u @ self.w
        u = self.u + (F.softplus(along) - 1 - along) * self.w / self.w.square().sum()
        pushed = torch.tanh(z @ self.w + self.b)
        return z + u * pushed[:, None], torch.log1p((1 - pushed**2) * (u @ self.w))


# %% [markdown]
# **Inverse autoregressive flow** (Kingma et al., 2016). Each coordinate becomes a weighted mean of itself and a shift. Shift and gate depend on the coordinates *before* it (in a VAE also on the image):
#
# $$z'_i = \sigma(g_i)\, z_i + \bigl(1 - \sigma(g_i)\bigr)\, m_i, \qquad m_i, g_i \text{ functions of } z_1, \dots, z_{i-1}. \tag{21}$$
#
# $\partial z'_i / \partial z_j$ is zero for $j > i$ and $\sigma(g_i)$ for $j = i$. The Jacobian is triangular, and its determinant is the product of the diagonal, whatever the networks for $m$ and $g$ are:
#
# $$\log \Bigl\lvert \det \frac{\partial z'}{\partial z} \Bigr\rvert = \sum_i \log \sigma(g_i). \tag{22}$$
#
# All $z'_i$ are computed in one pass, since all $z_i$ are known at the start. The inverse is slow: $z_2$ cannot be recovered before $z_1$ is, and so on. A posterior never needs the inverse. The first coordinate of a step depends on no other, so the order is reversed from step to step.
# All gates are below one, so a step can only shrink volumes, and $q_0$ has to be wide enough. With large $g$ a step changes almost nothing, which is a good place to start.

# %%
from avae_lib.nn.inverse_autoregressive import inverse_autoregressive_step


# %%
# needs: inverse_autoregressive_step
class AutoregressiveStep(nn.Module):
    """One step (21) in two dimensions, in the order 1, 2 or 2, 1."""

    def __init__(self, backwards):
        super().__init__()
        self.backwards, self.first = backwards, nn.Parameter(torch.zeros(2))  # nothing comes before the first
        self.second = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 2))

    def forward(self, z):
        z = z.flip(1) if self.backwards else z
        shift, gate = torch.stack([self.first.expand(len(z), 2), self.second(z[:, :1])], dim=1).unbind(dim=2)
        z, log_determinant = inverse_autoregressive_step(z, shift, gate + 1.5)
        return (z.flip(1) if self.backwards else z), log_determinant


# %% [markdown]
# Do the log-determinants agree with what automatic differentiation says about the maps? Take random points, let PyTorch compute the whole Jacobian there, and take its determinant.

# %%
# needs: inverse_autoregressive_step
torch.manual_seed(0)
points = 2 * torch.randn(200, 2, dtype=torch.float64)
worst = {}
for step in (Planar().double(), AutoregressiveStep(False).double(), AutoregressiveStep(True).double()):
    jacobians = torch.func.vmap(torch.func.jacrev(lambda z, step=step: step(z[None])[0][0]))(points)
    exact = torch.linalg.slogdet(jacobians).logabsdet
    worst[step] = (step(points)[1] - exact).abs().max().item()
    name = type(step).__name__ + (", backwards" if getattr(step, "backwards", False) else "")
    zeros = (jacobians == 0).all(dim=0).int().tolist()
    print(f"{name:29s} largest difference {worst[step]:.0e}   entries that are always 0: {zeros}")

# %% tags=["build-check"]
assert max(worst.values()) < 1e-12 and zeros == [[0, 0], [1, 0]], (worst, zeros)

# %% [markdown]
# Now fit all three families to both posteriors, by gradient ascent on $\mathbb E_q[\log p(x, z) - \log q(z)]$ with reparameterised draws. Each fit starts three times and keeps the smallest gap, by the rule of unit 02: several starts, best bound.

# %% fast="flow_updates = 30"
flow_updates = 600  # of each posterior


# %%
class FlowPosterior(nn.Module):
    """A Gaussian, and the steps that bend it; draws z with log q(z) by (18)."""

    def __init__(self, steps):
        super().__init__()
        self.mean, self.log_std = nn.Parameter(torch.randn(2)), nn.Parameter(torch.zeros(2))
        self.steps = nn.ModuleList(steps)

    def draw(self, count):
        q = Normal(self.mean, self.log_std.exp())
        z = q.rsample((count,))
        log_q = q.log_prob(z).sum(1)
        for step in self.steps:
            z, log_determinant = step(z)
            log_q = log_q - log_determinant
        return z, log_q


# %%
def fitted(posterior, joint):
    optimizer = torch.optim.Adam(posterior.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, flow_updates)
    for _ in range(flow_updates):
        z, log_q = posterior.draw(200)
        loss = (log_q - joint(z)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        z, log_q = posterior.draw(100_000)
    return z, log_evidence[joint] - (joint(z) - log_q).mean().item()  # draws, and KL(q ‖ p(z | x))


# %%
# needs: inverse_autoregressive_step
families = {
    "Gaussian": lambda: [],
    "8 planar": lambda: [Planar() for _ in range(8)],
    "4 autoregressive": lambda: [AutoregressiveStep(backwards) for backwards in (False, True) * 2],
}
maps, gaps = {}, {}
for joint in (ridge, ring):
    maps[f"{joint.__name__}: truth"] = (joint(grid) - log_evidence[joint]).exp()
    for name, steps in families.items():
        fits = []
        for seed in (1, 2, 3):
            torch.manual_seed(seed)
            fits.append(fitted(FlowPosterior(steps()), joint))
        draws, gaps[joint, name] = min(fits, key=lambda fit: fit[1])
        maps[f"{name}: {gaps[joint, name]:.2f}"] = plotting.density_of_draws(draws, axis)
        print(f"{joint.__name__:5s} {name:17s} KL of three starts: " + "  ".join(f"{gap:.3f}" for _, gap in fits))

# %%
# needs: inverse_autoregressive_step
plotting.show(plotting.density_table(maps, extent=(-3.2, 3.2, -3.2, 3.2), columns=4))

# %% [markdown]
# **Figure 9.** Two true posteriors and the best of three fits by each family, with $\mathrm{KL}(q \,\|\, p(z \mid x))$ in nats. The Gaussian covers a piece of each. On the ridge both flows find the bend. Neither closes the ring: the planar one covers half of it, the autoregressive one leaves a gap near the top. The comparison is not at equal size: 4, 44 and 404 parameters. Starts matter: on the ring, the three fits of the autoregressive flow lie between 0.14 and 0.42.
#
# <!-- alt: Two rows of four density maps. Above, a bowl-shaped ridge, a small blob at its bottom, a shorter bowl and a bowl like the true one. Below, a ring, a narrow blob on its right side, an arc that is open on the left, and a ring with a gap near the top. -->

# %% tags=["build-check"]
assert all(0 < gaps[joint, "4 autoregressive"] < gaps[joint, "8 planar"] < gaps[joint, "Gaussian"] for joint in (ridge, ring)), gaps
assert [sum(p.numel() for p in FlowPosterior(steps()).parameters()) for steps in families.values()] == [4, 44, 404]

# %% [markdown]
# **Check yourself.** (a) Why would (21) be a poor way to *decode* images, with $z_0$ the latent and $z'$ the image? (b) No family closed the ring. Is there an invertible map of the plane, continuously differentiable, that sends $\mathcal N(0, I)$ to this ring exactly?
#
# <details><summary>Answer</summary>
#
# (a) The likelihood of a given image needs $z_0$, and the way back takes one pass for each value. (Turned round, as in a *masked autoregressive flow*, training is fast and drawing slow.) (b) Yes. Both densities depend only on the distance from the origin, so move each point along its radius to the distance that has the same mass inside: $r' = F_{\text{ring}}^{-1}(F_0(r))$. The density in the middle of the ring is tiny but not zero, so a tiny disc of the Gaussian is stretched over the hole. The gap in the
# figure is a limit of these families and their training. A hole with density exactly zero is beyond every such map: by (18), $q$ is positive everywhere.
# </details>

# %% [markdown]
# ## 5. Discrete latents: the VQ-VAE
#
# Objects, words and strokes come in kinds. A *vector-quantised* VAE (van den Oord et al., 2017) describes an image by a grid of $P$ codes $k_i \in \{1, \dots, K\}$, and each code stands for a vector $e_k$ from a learned *codebook*. Before an image is seen, all grids are equally probable:
#
# $$p(x) = \sum_{k} K^{-P}\, p(x \mid e_{k_1}, \dots, e_{k_P}). \tag{23}$$
#
# The encoder outputs a vector $z_i$ at each position, and the nearest code replaces it. This too is a posterior, a point mass: $q(k \mid x) = 1$ for $k_i = \arg\min_j \lVert z_i - e_j \rVert$, and 0 for all other grids. Insert it into the bound:
#
# $$\mathrm{ELBO}(x) = \log p(x \mid e_k) + \log K^{-P} - \log 1 = \log p(x \mid e_k) - P \log K. \tag{24}$$
#
# The rate is $P \log K$ nats for every image, whatever the encoder does. It is constant, so training cannot lower it by ignoring the latents: a VQ-VAE does not collapse as in section 3. (It has a collapse of its own, see below.) It remains to train the distortion $-\log p(x \mid e_k)$, and two parts of it are missing a gradient: the encoder and the codebook. Once the codes are learned, a *second* model can be trained on the grids of the training images. Its
# $-\log p(k)$ then replaces $P \log K$ in (24), and new images are drawn by drawing a grid from it.

# %% [markdown]
# ### What the straight-through estimator computes
#
# The map from $z$ to its nearest code is a step function. Its derivative is zero wherever it exists, so no gradient of the loss would reach the encoder. The *straight-through* estimator copies the gradient across. The decoder is given $e_k$, and the gradient at its input is passed to $z$ unchanged:
#
# $$\frac{\partial \mathcal L}{\partial z} \;:=\; \frac{\partial \mathcal L}{\partial e}\Big|_{e = e_k}. \tag{25}$$
#
# This is the exact gradient of another function: of $\mathcal L(z + c)$ with the constant $c = e_k - z$, as if the distance to the code stayed the same while $z$ moves. One latent number and four codes show what follows. Take $\mathcal L(e) = (e - 0.4)^2$.

# %%
from avae_lib.nn.vector_quantization import vector_quantize

# %%
# needs: vector_quantize
codes = torch.tensor([-2.0, -0.5, 1.0, 2.0])
z = torch.linspace(-2.6, 2.6, 1041, requires_grad=True)
chosen, indices, _, _ = vector_quantize(z[:, None], codes[:, None])
loss = (chosen[:, 0] - 0.4).square()
(slope,) = torch.autograd.grad(loss.sum(), z)
step = 0.01
shifted, _, _, _ = vector_quantize(z[:, None] + step, codes[:, None])
finite_difference = ((shifted[:, 0] - 0.4).square() - loss) / step
print(f"finite differences: zero at {(finite_difference.abs() < 1e-3).float().mean():.1%} of all places")
print("straight-through slope in the four cells:", [f"{slope[indices == k].mean():.1f}" for k in range(4)])
print("2 (e − 0.4) at the four codes:           ", [f"{2 * (code - 0.4):.1f}" for code in codes])
plotting.show(plotting.straight_through(z, loss, slope, codes))

# %% [markdown]
# **Figure 10.** The loss as a function of the encoder's output is a staircase. Arrows show in which direction, and how fast, the straight-through gradient moves $z$. All $z$ with the same nearest code get the same gradient. Left and right of 0.25 the arrows point at each other.
#
# <!-- alt: A staircase of four steps over z, low in the middle. Arrows in each cell point towards the middle; those of the two middle cells point at each other across their border at 0.25. -->

# %% tags=["build-check"]
assert (finite_difference.abs() < 1e-3).float().mean() > 0.99
assert all(torch.allclose(slope[indices == k], 2 * (codes[k] - 0.4), atol=1e-5) for k in range(4))
assert slope[(z > 0.26) & (z < 1.4)].min() > 0 > slope[(z > -1.2) & (z < 0.24)].max()

# %% [markdown]
# In the outer cells the arrows are right: they lead $z$ to cells with a lower loss. But they do not stop at the best code, 1. In its cell the slope is 1.2 everywhere, so $z$ is pushed to the border at 0.25, across it, and back. It chatters. The slopes are 1.2 on one side and $-1.8$ on the other, so of five updates three are made in the cell of code 1 and two in that of the worse code. The encoder needs a reason to stay near its code. That is the *commitment* term,
# $\beta\, \lVert z - \mathrm{sg}[e_k] \rVert^2$, where sg (stop-gradient) marks what counts as constant. With it, gradient descent comes to rest where
#
# $$\frac{\partial \mathcal L}{\partial e}\Big|_{e_k} + 2\beta\,(z - e_k) = 0 \quad\Longrightarrow\quad z = e_k - \frac{1}{2\beta}\, \frac{\partial \mathcal L}{\partial e}\Big|_{e_k}, \tag{26}$$
#
# provided this point lies in the cell of $e_k$. Here $z = 1 - 0.6/\beta$, which is above 0.25 for $\beta > 0.8$.

# %%
# needs: vector_quantize
paths = {}
for beta in (0.0, 0.5, 1.0, 2.0):
    place, path = torch.tensor([[1.9]]), []
    for _ in range(56):
        place.requires_grad_()
        quantised, _, _, commitment = vector_quantize(place, codes[:, None])
        loss = (quantised - 0.4).square().sum() + beta * commitment
        place = (place - 0.06 * torch.autograd.grad(loss, place)[0]).detach()
        path.append(place.item())
    paths[f"β = {beta:g}"] = path
    print(f"β = {beta:g}: the last four places {', '.join(f'{value:.2f}' for value in path[-4:])}")
plotting.show(plotting.learning_curves(paths, y_label="encoder's output z", size=(6.4, 2.8)))

# %% [markdown]
# **Figure 11.** Gradient descent on $z$ from 1.9. With $\beta = 0$ and $\beta = 0.5$ it jumps back and forth across the border at 0.25. With $\beta = 1$ and $\beta = 2$ it comes to rest at 0.4 and 0.7, as (26) says.
#
# <!-- alt: Four curves of z against updates, all falling from 1.9. Two zigzag around 0.25, one flattens out at 0.4, one at 0.7. -->

# %% tags=["build-check"]
assert all(0.13 < value < 0.37 for label in ("β = 0", "β = 0.5") for value in paths[label][-20:])
assert abs(paths["β = 1"][-1] - 0.4) < 0.01 and abs(paths["β = 2"][-1] - 0.7) < 0.01
assert len({round(value, 4) for value in paths["β = 0"][-6:]}) > 1

# %% [markdown]
# **The codebook** gets nothing from (25): the gradient that arrives at $e_k$ is passed on to $z$. It needs a term of its own, which pulls codes to the encoder's vectors. That completes the loss of the VQ-VAE,
#
# $$-\log p(x \mid e_k) + P \log K + \sum_i \lVert \mathrm{sg}[z_i] - e_{k_i} \rVert^2 + \beta \sum_i \lVert z_i - \mathrm{sg}[e_{k_i}] \rVert^2.$$
#
# The first two terms are minus the bound (24). The last two are not part of the bound. They stand in for the gradients that the look-up blocks. (Programs take means instead of the sums, which only rescales the two terms.)
#
# There are other choices than straight-through. The *rotation trick* (Fifty et al., 2025) writes the code as a rotation and a scaling of $z$, holds both constant, and differentiates through them, so that the gradient depends on where in the cell $z$ lies. In the library's VQ-VAEs it is `estimator="rotation"`.

# %% [markdown]
# ### How codes learn, and how they die
#
# Look at the third term of the loss. The squared distance of a code to the $n$ vectors $z_1, \dots, z_n$ that chose it has the gradient $2\sum_i (e - z_i)$, so the best place is their mean. Moving the code there is a step of $k$-means. One batch gives a noisy mean, so instead of taking gradient steps one can keep running sums for each code, with a decay $\gamma$ near one:
#
# $$N \leftarrow \gamma N + (1 - \gamma)\, n, \qquad m \leftarrow \gamma m + (1 - \gamma) \sum_{i} z_i, \qquad e = \frac{m}{N}. \tag{27}$$
#
# A code that nobody chooses has $n = 0$: $m$ and $N$ shrink together, and $e$ does not move. The gradient of the third term does not move it either. As long as every vector has a nearer code, it stays *dead*. The remedy is to *revive* it: put it on a vector of the last batch.
#
# Colours show it. Let the vectors be the pixels of section 2, with no encoder, and let 32 codes make a palette.

# %%
# needs: vector_quantize
def palette(revive, rounds=60, decay=0.8):
    torch.manual_seed(0)
    colours = pixels["train"][:, :, 0, 0].float() / 255
    book = 0.8 * torch.rand(32, 3)
    count, total, history = torch.ones(32), book.clone(), []
    for _ in range(rounds):
        batch = colours[torch.randint(len(colours), (500,))]
        _, indices, _, _ = vector_quantize(batch, book)
        chosen = F.one_hot(indices, 32).float()
        count = decay * count + (1 - decay) * chosen.sum(0)  # equation (27)
        total = decay * total + (1 - decay) * chosen.T @ batch
        if revive and (dead := count < 0.5).any():
            count[dead], total[dead] = 1.0, batch[: dead.sum()]
        book = total / count[:, None]
        _, indices, _, loss = vector_quantize(colours, book)
        history.append((book, torch.bincount(indices, minlength=32) / len(colours), 3 * loss.item()))
    return history


# %%
# needs: vector_quantize
histories = {"codes left alone": palette(revive=False), "dead codes revived": palette(revive=True)}
usage = {}
for label, history in histories.items():
    book, used, error = history[-1]
    perplexity = -torch.xlogy(used, used).sum()
    usage[label] = ((used > 0).sum().item(), perplexity.exp().item(), error)
    print(f"{label:19s} {usage[label][0]:2d} of 32 codes in use, perplexity {usage[label][1]:4.1f}, squared error {error:.4f}")
frames, rounds = [], [0, 2, 5, 10, 20, 40, 59]
for when in rounds:
    books = {label: history[when][:2] for label, history in histories.items()}
    frames.append(plotting.codes_and_vectors(pixels["train"][:1500, :, 0, 0] / 255, books))
plotting.slider(frames, [when + 1 for when in rounds], "update", start=len(rounds) - 1)

# %% [markdown]
# **Figure 12.** Pixels (grey) and 32 codes in their colours, by their red and green; a code that no pixel chooses is a cross. Left alone, nine codes that started far from most pixels stay there. With revival all are used, and the error is a third smaller. The *perplexity* is $e^H$, where $H$ is the entropy of the shares with which the codes are used: the number of equally used codes that would have
# this entropy.
#
# <!-- alt: Two scatter plots of green against red with the pixels in grey along the diagonal. On the left nine codes are crosses beside the grey band. On the right all 32 are dots on it. -->

# %% tags=["build-check"]
(left_alone, _, left_error), (revived, _, revived_error) = usage.values()
assert left_alone < 28 < 32 == revived and 0.6 < revived_error / left_error < 0.75, usage

# %% [markdown]
# Dead codes are the VQ-VAE's own collapse: the rate in (24) is $P \log K$, and fewer than $K$ codes are used.

# %% [markdown]
# ### A codebook of photographs
#
# Here is a trained codebook, from a VQ-VAE for crops of 32 × 32 pixels, with 8 × 8 positions and 128 codes, whose decoder outputs the mixtures of section 2. What does a code stand for? Fill the whole grid with one code, decode, and cut a patch from the middle.

# %%
crops = photos.test[photos.test.float().std(dim=(1, 2, 3)).argsort(descending=True)[:96:8]]  # twelve with much to see

# %%
# needs: vector_quantize
coded = data.recorded_model("codes-photos32")
with torch.no_grad():
    tiles = coded.codebook_images()[:, :, 12:20, 12:20]
    counts = sum(coded.code_counts(batch)[0] for batch in photos.test.split(50))
use = counts / counts.sum()
perplexity = torch.exp(-torch.xlogy(use, use).sum()).item()
rate = 64 * math.log(128)
print(f"perplexity {perplexity:.0f} of 128; rate {rate:.0f} nats = {rate / 3072 / math.log(2):.2f} bits/dim for every crop")
plotting.show(plotting.codebook_in_use(tiles, use, title="128 codes, most used first"))

# %% [markdown]
# **Figure 13.** What each code decodes to, and how often it is used on test crops. The codes are tints from sky to black, some with a grain. Nearly all are in use. A few are used much more often than the others, so the perplexity is only about half of 128.
#
# <!-- alt: On the left 128 small patches in blue grey, dark green, orange, brown and black, eight rows of sixteen. On the right falling bars of their shares: the first a tenth, the next four hundredths, forty above a dotted line for an even share. -->

# %% tags=["build-check"]
assert 120 <= (use > 0).sum() < 128 and 60 < perplexity < 75 and 0.08 < use.max() < 0.12
assert 35 < (use > 1 / 128).sum() < 50

# %% [markdown]
# ### Two levels, and a prior learned afterwards
#
# One grid has to hold both the layout of an image and its texture. VQ-VAE-2 (Razavi et al., 2019) uses two: a coarse *top* grid, and a finer *lower* one that is inferred and decoded given the top. The two stages of training:
#
# 1. encoder, codebooks and decoder, with the uniform prior of (24);
# 2. with all that frozen, a prior for the grids, $p(k^{\text{top}})\, p(k^{\text{low}} \mid k^{\text{top}})$. Each is autoregressive, here a small gated *PixelCNN* (van den Oord et al., 2016): a convolutional network that is masked so that a position sees only those before it, row by row. All log-probabilities of a grid are computed in one pass; drawing takes one pass for each position.
#
# The second stage changes the rate from $P \log K$ to $-\log p(k)$. The prior saves nats by learning which codes are common and which occur together:

# %%
# needs: vector_quantize
two_levels = data.recorded_model("two-levels-photos32")
with torch.no_grad():
    top, lower = two_levels.codes(photos.test)
    costs = -two_levels.prior.log_prob(top, lower).mean(0)
for level, codes_of_level, cost in zip(("top", "lower"), (top, lower), costs, strict=True):
    positions = codes_of_level[0].numel()
    print(f"{level:5s} {positions:3d} positions: uniform {positions * math.log(128):.0f} nats, learned prior {cost:.0f} nats per crop")
saved = 80 * math.log(128) - costs.sum().item()
print(f"saved: {saved:.0f} nats, or {saved / 3072 / math.log(2):.2f} bits/dim of a bound of {data.recorded_model_facts('two-levels-photos32')['test']['bits']:.2f}")

# %%
# needs: vector_quantize
torch.manual_seed(0)
with torch.no_grad():
    top, lower = two_levels.codes(crops)
    rows = {
        "photographs": crops,
        "both levels": two_levels.decode(top, lower),
        "top kept": two_levels.reconstruct(crops, keep_layers=1),
        "from the prior": two_levels.reconstruct(crops, keep_layers=0),
        "uniform codes": two_levels.decode(torch.randint(128, top.shape), torch.randint(128, lower.shape)),
    }
plotting.show(plotting.image_rows(rows))

# %% [markdown]
# **Figure 14.** Twelve crops and what VQ-VAE-2 makes of them. Decoded from their codes at both levels, they come back blurred. With only the top codes kept and the lower ones drawn from the learned prior, much of the tint and some of the light and dark stay. Codes drawn from the prior at both levels give crops of one material each: brown, green, black or orange. Uniform codes give patchwork: which codes go together is what the prior has learned.
#
# <!-- alt: Five rows of twelve small pictures: crops of photographs, blurred copies, copies in which only the tint and some light and dark agree, new pictures each in one tint with soft stains, and patchworks of light and dark spots. -->

# %% tags=["build-check"]
def error(row):
    return (rows[row].float() - crops.float()).square().mean().sqrt().item()


def roughness(row):
    return (rows[row].float()[..., 4:] - rows[row].float()[..., :-4]).abs().mean().item()


errors = [error(row) for row in ("both levels", "top kept", "from the prior")]
assert errors == sorted(errors) and errors[0] < 0.6 * errors[2], errors
assert roughness("from the prior") < 0.6 * roughness("uniform codes"), (roughness("from the prior"), roughness("uniform codes"))
assert costs.sum() < 0.3 * 80 * math.log(128)

# %% [markdown]
# **Check yourself.** (a) A VQ-VAE's encoder has learned to use only 16 of 128 codes. What does a learned prior do to the rate? (b) Why is the prior not trained together with the encoder? (c) Is a larger codebook always better for the bound (24)?
#
# <details><summary>Answer</summary>
#
# (a) It learns to give the 112 others almost no probability, so the rate falls from $P\log 128$ to about $P \log 16$ or less: less if the 16 are used unequally or depend on their neighbours. (b) It could be. But a prior that learns early makes the codes cheap that are already in use. If the encoder is then trained to lower $-\log p(k)$, it moves to these codes, and collapse is possible again. (c) No. Doubling $K$ costs $P \log 2$ nats for each image, and the
# distortion has to fall by more than that.
# </details>

# %% [markdown]
# ## 6. Sentences
#
# A sentence is a row of words $x_1, \dots, x_T$, the last of them its end. The text VAE of Bowman et al. (2016) explains it by one vector. An LSTM reads the sentence into $q(z \mid x)$; a second one starts from $z$ and writes:
#
# $$p(x) = \int p(z) \prod_{t=1}^{T} p(x_t \mid x_{<t}, z)\, dz. \tag{28}$$
#
# This is (12) with all words before in sight. So the text VAE is prone to collapse, for two reasons.
#
# * **There is little to gain.** Much about a word can be told from the words before it. What $z$ could add, such as the topic, the length or the first words, is a few nats of about fifty for a sentence.
# * **The gain comes late.** At the start the encoder's output says nothing about the sentence. The decoder learns to ignore it and to use the words before, which help at once. Meanwhile the KL pulls the posterior to the prior. By the time the decoder could use a hint, $z$ holds none.
#
# The same paper has two remedies. *Annealing* is the warm-up of section 3. *Word dropout* weakens the decoder. In training, each word that it reads is replaced by "unknown" with probability $r$, so the decoder maximises
#
# $$\mathbb{E}_{\text{dropout}}\Bigl[\sum_t \log p\bigl(x_t \mid \text{what is left of } x_{<t},\ z\bigr)\Bigr]. \tag{29}$$
#
# Only $z$ can make up for the missing words. This is section 3's dial, turned to a shorter reach at random and in training only. A record (`experiments/richer_models`) holds six ways of training a small text VAE on sentences from the documentation of Python's standard library: plainly, with either remedy, with both, and with 4 free nats besides both or besides annealing. All are judged with all words in sight.

# %%
remedies = data.experiment_record("text_remedies")
print("nats per test sentence         KL of each seed               −ELBO of each seed          bits per word, mean")
for arm in remedies["arms"]:
    kls = "  ".join(f"{run['kl']:6.2f}" for run in arm["runs"])
    bounds = "  ".join(f"{run['negative_elbo']:6.2f}" for run in arm["runs"])
    bits = sum(run["bits"] for run in arm["runs"]) / len(arm["runs"])
    print(f"{arm['label']:24s} {kls:>26s} {bounds:>30s} {bits:14.2f}")

# %% tags=["build-check"]
kl_of = {arm["label"]: [run["kl"] for run in arm["runs"]] for arm in remedies["arms"]}
loss_of = {arm["label"]: [run["negative_elbo"] for run in arm["runs"]] for arm in remedies["arms"]}
assert max(kl_of["plainly"] + kl_of["word dropout"]) < 0.01 and max(kl_of["annealing"]) < 0.06 and max(kl_of["both"]) < 0.25
assert min(kl_of["both, 4 free nats"] + kl_of["annealing, 4 free nats"]) > 3.7
assert min(loss_of["annealing, 4 free nats"]) > max(loss_of["annealing"]) + 2
assert min(loss_of["word dropout"] + loss_of["both"]) > max(loss_of["plainly"] + loss_of["annealing"]) + 2
assert min(loss_of["both, 4 free nats"]) > max(loss_of["both"]) + 1.5

# %% [markdown]
# Trained plainly, the posterior *is* the prior, to a hundredth of a nat. With word dropout alone this does not change; with annealing alone the KL is a few hundredths. Both together leave at most a fifth of a nat. Only the free nats keep $z$ in use.
#
# The bounds go the other way. Word dropout costs more than two nats: the decoder has learned with half of its words hidden and does worse when it sees them all. Free nats cost another two, with word dropout and without. The cleanest comparison is between the second row and the last, which differ only in the free nats: using $z$ makes the bound worse for each seed. By the
# test of section 3, nothing here points to a failure of the optimiser. The remedies buy information in $z$, and its price is a worse bound.

# %% [markdown]
# What does $z$ hold when it is in use? The preset `sentences-text-vae` is larger, hides three words in ten, and has 4 free nats. Decode at the posterior mean of one sentence, at that of another, and on the straight line between them, word by word and each time the most probable one.

# %%
from avae_lib.data.sentences import fixed_vocabulary

writer = data.recorded_model("sentences")
vocabulary = fixed_vocabulary()
ends = (
    "return the name of the file",
    "this module provides a simple interface to the server",
    "the default is none",
)
tokens = vocabulary.to_tokens([end.split() for end in ends], length=writer.sequence_length)
walks = [vocabulary.to_sentences(writer.interpolate(tokens[i], tokens[i + 1], steps=6)) for i in (0, 1)]
for i, walk in enumerate(walks):
    print(f"from: {ends[i]}", *walk, sep="\n        ")
    print(f"to:   {ends[i + 1]}\n")

# %% tags=["build-check"]
assert all(sentence.startswith("return") for sentence in walks[0][:3]) and not any(s.startswith("return") for s in walks[0][3:])
assert all(sentence.startswith("the default") for sentence in walks[1][2:]) and walks[0][-1] == walks[1][0]

# %% [markdown]
# About four nats say which kind of sentence it is and hardly more: the first words are right, "return the …", "the default is …", and the rest is what usually follows. Between the two ends the decoder passes from one kind to the next, in sentences that are nearly English. Most words of the two given sentences are lost.

# %% [markdown]
# Sentences drawn from the prior, $z \sim \mathcal N(0, I)$, with the most probable word each time; and twice the same $z$ with words drawn from their distribution:

# %%
torch.manual_seed(0)
z = torch.randn(5, writer.config.latent_dim)
for sentence in vocabulary.to_sentences(writer.decode(z)):
    print("most probable:", sentence)
for sentence in vocabulary.to_sentences(writer.decode(z[:1].repeat(3, 1), word_temperature=0.7)):
    print("first z, words drawn:", sentence)

# %% [markdown]
# **Check yourself.** (a) Why is word dropout switched off when the bound is measured? (b) A text VAE has a KL of 3 nats for sentences of 12 words. How many kinds of sentences can $z$ tell apart at most, on average? (c) What would greedy decoding from a collapsed model print for different $z$?
#
# <details><summary>Answer</summary>
#
# (a) The model is $p(x_t \mid x_{<t}, z)$ with all words. A bound under dropout would be that of another model, one that nobody uses. (b) The rate bounds the information: $e^3 \approx 20$ equally probable kinds. (c) The same sentence each time: the first most probable word does not depend on $z$, nor does the second given the first, and so on.
# </details>

# %% [markdown]
# ## 7. Other objectives, on one interface
#
# Many papers change one term of the bound. In this course each of their models returns the same record: `log_likelihood`, `kl`, and a dictionary of `penalties`. Training minimises
#
# $$\mathcal L = \frac1B \sum_b \Bigl[-\log p(x_b \mid z_b) + \mathrm{KL}_b\Bigr] + \sum_{\text{penalties}} \frac1B \sum_b \text{penalty}_b, \tag{30}$$
#
# so whatever the objective, the first two terms are those of the bound, and all models can be judged by the same numbers.
#
# | model | its penalties | what changes |
# |---|---|---|
# | β-VAE | $(\beta - 1)\,\mathrm{KL}$ | the price of a nat |
# | β-TCVAE | $(\beta - 1)\,\mathrm{TC}$ | the price of dependence among latents |
# | InfoVAE | $-\alpha\,\mathrm{KL} + \lambda\,\mathrm{MMD}$ | a smaller price for each posterior's KL, and a price for the distance of their average from the prior |
# | Wasserstein AE | $\lambda\,\mathrm{MMD}$, and no KL | only the average is compared with the prior; the encoder has no noise |
# | IWAE | ELBO $-\ L_k$ | the bound (unit 03) |
# | conditional VAE | none | $x$ given its class |
# | VampPrior | none | the prior |
# | planar, IAF | none | the posterior (section 4) |
#
# (TC and MMD are defined below.) Ten presets, one loop: the same updates, batches and learning rate for each, and one warm-up. During the first quarter everything but the distortion is multiplied by a $\beta$ that rises from 0 to 1.

# %%
from avae_lib.models.contract import label_arguments
from avae_lib.presets import find_preset

PRESETS = {
    "VAE": "digits-vae",
    "β-VAE": "digits-beta-vae",
    "β-TCVAE": "digits-beta-tcvae",
    "InfoVAE": "digits-info-vae",
    "Wasserstein AE": "digits-wae",
    "IWAE": "digits-iwae",
    "conditional VAE": "digits-conditional-vae",
    "VampPrior": "digits-vampprior",
    "planar flow": "digits-planar-flow",
    "IAF": "digits-iaf",
}
labelled = find_preset("digits-conditional-vae").data.load()  # black and white digits with their labels

# %% fast="objective_updates = 30"
objective_updates = 800  # of each model


# %%
# needs: maximum_mean_discrepancy, inverse_autoregressive_step
def trained_on(name):
    torch.manual_seed(0)
    model, batches = find_preset(name).model.build(), data.BatchSampler(labelled, batch_size=100)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, objective_updates)
    for update in range(objective_updates):
        elbo = model(batches.draw(), **label_arguments(model, batches.last_labels))
        charged = elbo.kl.sum(1) + sum(elbo.penalties.values())
        beta = min(1.0, 4 * update / objective_updates)
        loss = (beta * charged - elbo.log_likelihood).mean()  # equation (30), once beta is 1
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


trained_models = {label: trained_on(name) for label, name in PRESETS.items()}

# %% [markdown]
# **β-VAE** (Higgins et al., 2017). Unit 03, equation (27): it moves the model along the rate–distortion curve.
#
# **β-TCVAE** (Chen et al., 2018). In the average KL over images, multiply and divide by $q(z) = \mathbb E_x\, q(z \mid x)$ and by the product of its marginals:
#
# $$\mathbb{E}_x \mathrm{KL}\bigl(q(z \mid x) \,\|\, p(z)\bigr) = \underbrace{\mathbb{E}_{x, z} \log\frac{q(z \mid x)}{q(z)}}_{I(x;\, z)} + \underbrace{\mathbb{E}_{q(z)} \log\frac{q(z)}{\prod_j q(z_j)}}_{\text{total correlation}} + \underbrace{\sum_j \mathbb{E}_{q(z_j)} \log\frac{q(z_j)}{p(z_j)}}_{\text{marginals}}. \tag{31}$$
#
# (The last term needs $p(z) = \prod_j p(z_j)$.) All three are KLs, hence never negative. A β-VAE raises the price of all three. The β-TCVAE raises that of the middle one only, which is zero exactly if the latents are independent over the data. They have to be, if each latent is to stand for one of several independent factors. The price of information stays as in the bound.
# The total correlation needs $q(z)$ at a draw, an average over all images. A batch gives a rough estimate, and a biased one, because the logarithm is taken of an average.
#
# Here is (31) for four of the models, with $q(z)$ from 800 training images. (With 800 images the estimate of $I$ cannot exceed $\log 800 = 6.7$.)

# %%
# needs: maximum_mean_discrepancy, inverse_autoregressive_step
def parts_of_kl(model):
    """The three parts of (31), nats."""
    with torch.no_grad():
        posterior = model.latents(labelled.pixels("train")[:800])[0]
        q = Normal(posterior.mean, posterior.log_std.exp())  # (images, latents)
        z = q.sample()
        pairs = q.log_prob(z[:, None])  # (draw, image, latent)
        log_q_x, log_count = q.log_prob(z).sum(1), math.log(len(z))
        log_q = torch.logsumexp(pairs.sum(2), dim=1) - log_count
        log_marginals = torch.logsumexp(pairs, dim=1) - log_count
        information, correlation = (log_q_x - log_q).mean(), (log_q - log_marginals.sum(1)).mean()
        return information, correlation, (log_marginals - Normal(0.0, 1.0).log_prob(z)).sum(1).mean()


parts = {label: parts_of_kl(trained_models[label]) for label in ("VAE", "β-VAE", "β-TCVAE", "InfoVAE")}
print("nats, 800 images         I(x; z)   total correlation   marginals")
for label, values in parts.items():
    print(f"{label:22s} {values[0]:9.2f} {values[1]:19.2f} {values[2]:11.2f}")

# %% tags=["build-check"]
information, correlation, marginals = zip(*parts.values(), strict=True)
assert correlation[0] > 0.4 and max(correlation[1:3]) < 0.15 and 1.1 > information[2] - information[1] > 0.7
assert information[3] == max(information) and correlation[3] + marginals[3] > correlation[0] + marginals[0]

# %% [markdown]
# β-VAE and β-TCVAE both bring the total correlation from 0.6 nats to about a tenth. The β-TCVAE keeps 0.8 nats more of information.
#
# **InfoVAE** (Zhao et al., 2019) has the opposite aim. By (31), the KL contains the information itself, and a good code should have much of it. So give back a share $\alpha$ of the KL, and instead require the average of the posteriors to look like the prior: add $\lambda\, D\bigl(q(z), p(z)\bigr)$. In the table, with $\alpha = \tfrac12$, it has the most information of the four. Total correlation and marginals together,
# which are $\mathrm{KL}(q(z) \,\|\, p(z))$, are larger than the VAE's: the new term does not quite make up for the KL that was given back.
#
# For $D$ the course's InfoVAE uses a distance that needs only samples, the squared *maximum mean discrepancy* (MMD). Take a rich class of functions $f$ and look for the one whose averages under the two distributions differ most. If the class is the unit ball of functions $f(a) = \langle f, \phi(a)\rangle$ with $\langle \phi(a), \phi(b) \rangle = k(a, b)$,
# then $\mathbb E_q f - \mathbb E_p f = \langle f, \mathbb E_q\phi - \mathbb E_p\phi \rangle$ is largest for $f$ along that difference, and its square is
#
# $$\mathrm{MMD}^2 = \lVert \mathbb E_q \phi - \mathbb E_p \phi \rVert^2 = \mathbb E\, k(z, z') + \mathbb E\, k(y, y') - 2\,\mathbb E\, k(z, y), \qquad z, z' \sim q,\ \ y, y' \sim p. \tag{32}$$
#
# Averages over pairs of *different* points estimate it without bias (a point paired with itself would add $k(a, a)$), so the estimate may be negative. With the kernel $C/(C + \lVert a - b \rVert^2)$ the MMD is zero only for equal distributions. Below, three such kernels are added, with $C$ around $2d = 16$, the mean squared distance of two draws from $\mathcal N(0, I)$ in $d = 8$ dimensions.

# %%
from avae_lib.divergences import maximum_mean_discrepancy

# %%
# needs: maximum_mean_discrepancy
torch.manual_seed(0)
scales, discrepancies = 16 * torch.tensor([0.2, 1.0, 5.0]), {}
changes = {
    "the same": lambda z: z,
    "shifted by 0.2": lambda z: z + 0.2,
    "10 % narrower": lambda z: 0.9 * z,
    "two latents equal": lambda z: torch.cat([z[:, :1], z[:, :1], z[:, 2:]], dim=1),
}
print("MMD² of 300 points in 8 dimensions to N(0, I): mean ± standard deviation of 50 pairs of samples")
for label, change in changes.items():
    draws = [maximum_mean_discrepancy(change(torch.randn(300, 8)), torch.randn(300, 8), scales) for _ in range(50)]
    values = discrepancies[label] = torch.stack(draws)
    print(f"{label:19s} {values.mean():8.4f} ± {values.std():.4f}   negative in {(values < 0).sum():2d} of 50")

# %% tags=["build-check"]
assert abs(discrepancies["the same"].mean()) < 0.3 * discrepancies["the same"].std() + 0.001
assert 10 <= (discrepancies["the same"] < 0).sum() <= 40
assert all(values.mean() > 2 * values.std() / 50**0.5 for label, values in discrepancies.items() if label != "the same")

# %% [markdown]
# For equal distributions the estimate scatters around zero. A shift of 0.2 is positive in every pair of samples; a standard deviation smaller by a tenth is harder to see.
#
# **Wasserstein autoencoder** (Tolstikhin et al., 2018). Drop the KL of single images altogether. Keep the reconstruction and the distance of all codes from the prior; here the encoder is a function without noise. (The paper starts from optimal transport: for a decoder without noise, the least cost of transporting the data to the model is the least reconstruction cost over all encoders with $q(z) = p(z)$.)
# The price is the bound. $q(z \mid x)$ is a point, its KL to a density is infinite, and no bound on $\log p(x)$ remains. The library's record of this model says so in `no_density`, and tables print a dash.
#
# **Conditional VAE** (Sohn et al., 2015). Condition everything on a label $y$. Derivation (5) of unit 03 goes through with $y$ behind every bar,
#
# $$\log p(x \mid y) \;\ge\; \mathbb E_{q(z \mid x, y)}\bigl[\log p(x \mid z, y)\bigr] - \mathrm{KL}\bigl(q(z \mid x, y) \,\|\, p(z \mid y)\bigr).$$
#
# What $y$ says, $z$ need not say: only the style is left for $z$. (In the paper the roles are different: the condition is an image and $x$ is the structure to predict.)

# %%
# needs: maximum_mean_discrepancy, inverse_autoregressive_step
conditional = trained_models["conditional VAE"]
torch.manual_seed(3)
styles, rows = torch.randn(6, 8), {}
for number, style in enumerate(styles, start=1):
    with torch.no_grad():
        prior = conditional.prior(torch.arange(10))
        z = prior.mean + prior.log_std.exp() * style  # the same deviation from each class's mean
        images = conditional.decode(torch.cat([z, torch.eye(10)], dim=1))
    rows[f"style {number}"] = images
plotting.show(plotting.image_rows(rows, bits=1))

# %% [markdown]
# **Figure 15.** One style in each row, drawn as each of the ten digits. Every column keeps its digit; slant, width and stroke change a little from row to row.
#
# <!-- alt: Six rows of ten small decoded digits, 0 to 9 in order in each row. Within a column the digit is the same and drawn a little differently each time. -->

# %% tags=["build-check"]
class_means = torch.stack([labelled.train[labelled.train_labels == digit].float().mean(0) for digit in range(10)])
written = torch.stack([row * 15 for row in rows.values()])  # (styles, digits, 1, 8, 8)
nearest = (written[:, :, None] - class_means).flatten(3).norm(dim=3).argmin(2)
assert (nearest == torch.arange(10)).float().mean() > 0.85 and written.std(0).mean() > 0.4, (nearest, written.std(0).mean())

# %% [markdown]
# **VampPrior** (Tomczak and Welling, 2018). By (26) of unit 03 the averaged rate is $I_q(x; z) + \mathrm{KL}(q(z) \,\|\, p(z))$. The first part does not contain the prior, and the second is zero for
#
# $$p(z) = q(z) = \frac1N \sum_{n=1}^N q(z \mid x_n). \tag{33}$$
#
# So the best prior is the average posterior. A sum over all training images is expensive and overfits to them. The VampPrior uses $K$ learned images instead, the *pseudo-inputs* $u_k$, and $p(z) = \frac1K\sum_k q(z \mid u_k)$.

# %%
# needs: maximum_mean_discrepancy, inverse_autoregressive_step
vamp = trained_models["VampPrior"]
with torch.no_grad():
    pseudo = (vamp.raw_pseudo_inputs[:28].tanh() + 1) / 2
    decoded = vamp.decode(vamp.components().mean[:28])
rows = {
    "pseudo-inputs": pseudo[:14].unflatten(1, (1, 8, 8)),
    "decoded": decoded[:14],
    "more of them": pseudo[14:].unflatten(1, (1, 8, 8)),
    "decoded ": decoded[14:],
}
plotting.show(plotting.image_rows(rows, bits=1))

# %% [markdown]
# **Figure 16.** Pseudo-inputs, and the images to which the means of their posteriors decode. They look like noise and decode to digits. Nothing in the loss makes them resemble the data; only their posteriors have to lie where those of the data do.
#
# <!-- alt: Four rows of fourteen small pictures. The first and third row are grey noise, the second and fourth are digits, some of them between two kinds. -->

# %% tags=["build-check"]
def distance_to_data(images):
    return torch.cdist(images.flatten(1), labelled.pixels("train").flatten(1).float()).min(1).values.mean()


assert distance_to_data(decoded) < 0.6 * distance_to_data(pseudo), (distance_to_data(decoded), distance_to_data(pseudo))

# %% [markdown]
# ## 8. All of them on one plane
#
# Unit 03's rate and distortion make these models comparable. Each was trained above, once, with the same updates and warm-up and the same encoder and decoder networks, plus what its own change needs. Each is judged on the same test images: distortion $D = -\mathbb E \log p(x \mid z)$, rate $R$ = mean KL. Their sum is minus the bound. (Codes follow in figure 18.)

# %%
# needs: maximum_mean_discrepancy, inverse_autoregressive_step
x, labels = labelled.pixels("test"), labelled.labels("test")
plane = {}
print("nats per test image    rate   distortion   −ELBO")
for label, model in trained_models.items():
    torch.manual_seed(0)
    with torch.no_grad():
        elbos = [model(x, **label_arguments(model, labels)) for _ in range(10)]
    distortion = -torch.stack([elbo.log_likelihood.mean() for elbo in elbos]).mean().item()
    rate = torch.stack([elbo.kl.sum(1).mean() for elbo in elbos]).mean().item()
    if label == "Wasserstein AE":
        print(f"{label:18s}         –   {distortion:10.2f}       –")
        continue
    plane[label] = rate, distortion
    print(f"{label:18s} {rate:9.2f}   {distortion:10.2f}   {rate + distortion:5.2f}")
plotting.show(plotting.objectives_on_the_plane(plane, reference="VAE"))

# %% [markdown]
# **Figure 17.** Models below the dotted line have a better bound than the VAE. The VampPrior is one of them: it has less rate and about the same distortion. The two flows lie a little below the line. The β-VAE and the β-TCVAE save rate and lose more in distortion. The InfoVAE pays more rate for hardly less distortion. The IWAE, which is trained for another bound, also lies above the line. The conditional VAE stands apart because it is told the class.
#
# <!-- alt: Distortion against rate with a falling dotted line. The beta-VAE is far up on the left, above the line, and the beta-TCVAE between it and the rest. At the lower right the VAE is on the line, IAF, planar flow and VampPrior are below it, the IWAE is above it, and the InfoVAE is above it and farthest to the right. The conditional VAE is far below the line on the left. -->

# %% tags=["build-check"]
loss = {label: sum(point) for label, point in plane.items()}
assert loss["VampPrior"] < loss["VAE"] - 0.5 and plane["VampPrior"][0] < plane["VAE"][0] and abs(plane["VampPrior"][1] - plane["VAE"][1]) < 0.3
assert all(loss["VAE"] - 0.5 < loss[label] < loss["VAE"] for label in ("planar flow", "IAF")), loss
assert all(loss[label] > loss["VAE"] + 0.3 for label in ("β-VAE", "β-TCVAE", "InfoVAE", "IWAE")), loss
assert plane["InfoVAE"][0] > plane["VAE"][0] and plane["InfoVAE"][1] < plane["VAE"][1], plane
assert plane["β-VAE"][0] < plane["β-TCVAE"][0] < plane["VAE"][0] and loss["conditional VAE"] < loss["VampPrior"] - 2

# %% [markdown]
# One run of each does not rank objectives: the tenths of a nat between the flows and the VAE may change with the seed. So `experiments/objectives` trains all models of this unit, except the one for sentences, from three seeds, for 2,000 updates each, and estimates $-\log p(x)$ with 500 importance samples. Here is its record.

# %%
compared = data.experiment_record("objectives")["rows"]


def mean_and_error(row, name):
    values = torch.tensor([run[name] for run in row["runs"]], dtype=torch.float64)
    return f"{values.mean():8.2f} ± {values.std() / len(values) ** 0.5:.2f}"


print("nats per test image: mean ± standard error of three seeds")
print(f"{'':29s}−ELBO          −log p(x)        distortion      parameters")
for row in compared:
    names = ("negative_elbo", "negative_log_likelihood", "distortion")
    numbers = [f"{'–':>15s}" if row["no_density"] and name != "distortion" else mean_and_error(row, name) for name in names]
    print(f"{row['label']:26s}", "  ".join(numbers), f"{row['parameters']:12,}")

# %%
plane_of_record = {
    row["label"]: [sum(run[part] for run in row["runs"]) / len(row["runs"]) for part in ("rate", "distortion")]
    for row in compared
    if not row["no_density"] and not row["conditional"]
}
plotting.show(plotting.objectives_on_the_plane(plane_of_record, reference="VAE"))

# %% [markdown]
# **Figure 18.** Rate and distortion in the mean of three seeds. The line is the VAE's bound again. Flows, VampPrior and the decoder with an inverse-Lipschitz bound lie close to it, the flows and the VampPrior below. The β-VAE, β-TCVAE and IWAE are above it on the left and in the middle, the InfoVAE above it on the right. Models of codes are far above: four positions of 32 codes cost $4 \log 32 = 13.9$ nats for every image.
#
# <!-- alt: Distortion against rate with a falling dotted line. A cluster of five models around a rate of 7 and a distortion of 11 lies on the line or close to it, the IWAE above the cluster. The beta-VAE and the beta-TCVAE are at the upper left just above the line, the InfoVAE at the lower right. Three models of codes are far to the right, two at a rate of 13.9 and one at 16.7. -->

# %% tags=["build-check"]
likelihood = {row["label"]: [run["negative_log_likelihood"] for run in row["runs"]] for row in compared if not row["no_density"]}
bound = {row["label"]: [run["negative_elbo"] for run in row["runs"]] for row in compared if not row["no_density"]}


def ahead(values, label):
    return all(one < of_vae for one, of_vae in zip(values[label], values["VAE"], strict=True))


assert ahead(bound, "planar flow") and ahead(bound, "inverse autoregressive flow") and ahead(bound, "VampPrior")
assert ahead(likelihood, "planar flow") and not ahead(likelihood, "inverse autoregressive flow") and ahead(likelihood, "VampPrior")
assert ahead(likelihood, "IWAE, k = 5") and min(bound["IWAE, k = 5"]) > max(bound["VAE"]) + 0.4
losses = [sum(likelihood[label]) / 3 - sum(likelihood["VAE"]) / 3 for label in ("β-VAE, β = 2", "β-TCVAE, β = 4", "InfoVAE (MMD)")]
assert 0.7 < min(losses) < max(losses) < 0.95, losses
assert min(min(likelihood[row["label"]]) for row in compared if "VQ" in row["label"]) > 23.5
excess = {label: sum(point) - sum(plane_of_record["VAE"]) for label, point in plane_of_record.items()}
assert all(excess[label] < 0 for label in ("planar flow", "inverse autoregressive flow", "VampPrior")) and 0 < excess["inverse-Lipschitz decoder"] < 0.3

# %% [markdown]
# The flows' tenths of a nat in the bound hold in every seed. But only the planar flow is ahead in $-\log p(x)$ as well; the autoregressive one has a smaller gap between the two, and the same likelihood. The IWAE is a nat behind in the ordinary bound, since its encoder is meant for several draws (unit 03), and ahead in the likelihood. β-VAE, β-TCVAE and InfoVAE
# give up most of a nat for what they are after. Codes do not pay off on digits of 64 pixels: a grid costs twice the VAE's rate or more and saves two nats of distortion at most.

# %% [markdown]
# **Check yourself.** (a) A model lies to the right of the VAE and above the line. What do you know about its rate, its distortion and its bound? (b) Which correction makes a conditional VAE's bound comparable? (c) The Wasserstein autoencoders have the smallest distortions in the last table. Are they the best models?
#
# <details><summary>Answer</summary>
#
# (a) Its rate is larger and so is the sum, so the bound is worse. Its distortion may be smaller or larger: being above the line does not decide it. (b) It bounds $\log p(x \mid y)$. A model of images alone would have to say which class it is, too: add $\log p(y)$, for ten balanced classes $-\log 10 \approx -2.3$ nats. (c) The table cannot tell. Its training charges nothing for the information in a code, so its distortion compares with that of an autoencoder (unit 03), not with a VAE's.
# </details>

# %% [markdown]
# ## What to remember
#
# $$P(v) = \sigma\Bigl(\frac{v + h - \mu}{s}\Bigr) - \sigma\Bigl(\frac{v - h - \mu}{s}\Bigr), \qquad \log q(z) = \log q_0(z_0) - \log\Bigl\lvert\det\frac{\partial z}{\partial z_0}\Bigr\rvert, \qquad \mathrm{ELBO} = \log p(x \mid e_k) - P \log K$$
#
# 1. Bits are minus log-*probabilities*. Give each level its bin, or add uniform noise: both stay above the entropy, a density at the levels does not.
# 2. A collapsed unit may be the optimum. In a linear VAE a unit is in use exactly if its eigenvalue is above the decoder's noise variance; in other models, compare bounds.
# 3. A flow needs a cheap determinant: one scalar product for a planar step, a sum of log-gates for an autoregressive one.
# 4. A VQ-VAE's rate is $P \log K$ until a prior of codes is learned. Straight-through gradients are those of the code, commitment keeps the encoder near it, and codes that no vector chooses have to be revived.
# 5. Most objectives change the price of one part of the KL: information, dependence among latents, or distance from the prior.

# %% [markdown]
# ## What goes wrong in practice
#
# | what you see | what it is |
# |---|---|
# | bits/dim below zero, or far better than anything published | a density at whole levels, or of pixels divided by 255 without $\log_2 255$ |
# | infinite loss in the first updates of a colour model | the logarithm of a difference of two sigmoids; use (8) |
# | probabilities of levels that sum to less than one | open edge bins forgotten: saturated pixels lose their tails |
# | the loss falls, all samples look alike | collapse. Print the KL of each unit; try a warm-up and compare bounds; check the decoder's noise variance and what it sees besides $z$ |
# | units alive in training, and a KL of exactly $\lambda$ in each | only free bits keep them alive |
# | a flow posterior with a negative KL for some images | an estimate from one draw; on average it is a KL |
# | a VQ-VAE's loss that explodes slowly | encoder vectors that run away from their codes: the commitment term is missing, or its gradient is stopped on the wrong side |
# | perplexity of a few codes out of hundreds | dead codes. Start codes on encoder outputs, revive the dead |
# | sentences that are fluent and have nothing to do with the input | a text VAE that ignores $z$ |
# | "our objective has the best NLL" | ask which bound, with how many draws, on which data |

# %% [markdown]
# ## Sources
#
# | for | source |
# |---|---|
# | section 1 | L. Theis, A. van den Oord and M. Bethge, [A note on the evaluation of generative models](https://arxiv.org/abs/1511.01844), ICLR 2016; J. Ho et al., [Flow++](https://arxiv.org/abs/1902.00275), ICML 2019 |
# | section 2 | T. Salimans, A. Karpathy, X. Chen and D. P. Kingma, [PixelCNN++](https://arxiv.org/abs/1701.05517), ICLR 2017 |
# | section 3, strong decoders | X. Chen et al., [Variational Lossy Autoencoder](https://arxiv.org/abs/1611.02731), ICLR 2017; active units: Y. Burda, R. Grosse and R. Salakhutdinov, [Importance Weighted Autoencoders](https://arxiv.org/abs/1509.00519), ICLR 2016 |
# | linear VAE | J. Lucas, G. Tucker, R. Grosse and M. Norouzi, [Don't Blame the ELBO!](https://arxiv.org/abs/1911.02469), NeurIPS 2019; M. E. Tipping and C. M. Bishop, *Probabilistic principal component analysis*, Journal of the Royal Statistical Society B 61, 1999 |
# | free bits, inverse autoregressive flow | D. P. Kingma et al., [Improved Variational Inference with Inverse Autoregressive Flow](https://arxiv.org/abs/1606.04934), NeurIPS 2016 |
# | KL balancing | A. Vahdat and J. Kautz, [NVAE](https://arxiv.org/abs/2007.03898), NeurIPS 2020 |
# | planar flow | D. J. Rezende and S. Mohamed, [Variational Inference with Normalizing Flows](https://arxiv.org/abs/1505.05770), ICML 2015 |
# | section 5 | A. van den Oord, O. Vinyals and K. Kavukcuoglu, [Neural Discrete Representation Learning](https://arxiv.org/abs/1711.00937), NeurIPS 2017; A. Razavi, A. van den Oord and O. Vinyals, [Generating Diverse High-Fidelity Images with VQ-VAE-2](https://arxiv.org/abs/1906.00446), NeurIPS 2019; A. van den Oord et al., [Conditional Image Generation with PixelCNN Decoders](https://arxiv.org/abs/1606.05328), NeurIPS 2016 |
# | rotation trick | C. Fifty et al., [Restructuring Vector Quantization with the Rotation Trick](https://arxiv.org/abs/2410.06424), ICLR 2025 |
# | inverse-Lipschitz bound | Y. Kinoshita, K. Oono, K. Fukumizu, Y. Yoshida and S. Maeda, [Controlling Posterior Collapse by an Inverse Lipschitz Constraint on the Decoder Network](https://arxiv.org/abs/2304.12770), ICML 2023 |
# | section 6 | S. R. Bowman et al., [Generating Sentences from a Continuous Space](https://arxiv.org/abs/1511.06349), CoNLL 2016 |
# | section 7 | I. Higgins et al., [beta-VAE](https://openreview.net/forum?id=Sy2fzU9gl), ICLR 2017; R. T. Q. Chen, X. Li, R. Grosse and D. Duvenaud, [Isolating Sources of Disentanglement in VAEs](https://arxiv.org/abs/1802.04942), NeurIPS 2018; S. Zhao, J. Song and S. Ermon, [InfoVAE](https://arxiv.org/abs/1706.02262), AAAI 2019; I. Tolstikhin et al., [Wasserstein Auto-Encoders](https://arxiv.org/abs/1711.01558), ICLR 2018; K. Sohn, H. Lee and X. Yan, *Learning structured output representation using deep conditional generative models*, NeurIPS 2015; J. M. Tomczak and M. Welling, [VAE with a VampPrior](https://arxiv.org/abs/1705.07120), AISTATS 2018; A. Gretton et al., *A kernel two-sample test*, JMLR 13, 2012 |
# | the data | E. Alpaydin and C. Kaynak, *Optical recognition of handwritten digits*, UCI repository, 1998; the two photographs that come with scikit-learn, cut to 32 × 32; the documentation of Python's standard library |

# %% [markdown]
# ## Where next
#
# In this unit's **assignment** you write the bins, the mixture and its sampler, free bits, the quantiser, the autoregressive step and the discrepancy. Your likelihood then trains a model of colour photographs and reports honest bits per dimension, and your quantiser draws its own codebook. **Unit 05** stacks latents into a hierarchy, with these likelihoods at the bottom. There the question of section 3, which latents collapse, returns for whole layers.
