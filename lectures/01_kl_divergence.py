# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 01: KL divergence
#
# How different are two distributions? Every model in this course is trained with one answer to that question,
# the Kullback–Leibler divergence. This lecture defines it, reads it as an *objective* (what does its minimiser do?),
# computes it for Gaussians, estimates it from samples, and shows why its two directions give different answers.
#
# **What you will be able to do**
#
# 1. Define the KL divergence, prove in two ways that it is never negative, and state it in nats and in bits.
# 2. Predict what a minimiser of $\mathrm{KL}(q \,\|\, p)$ does, and put a price on missing and on misplaced mass.
# 3. Derive the KL between two Gaussians, compute it without inverting a matrix, and find the factorised Gaussian that
#    is closest in each direction.
# 4. Estimate a KL from samples with an error bar, and choose among three estimators by bias and variance.
# 5. Split a KL with the chain rule, and show that coarse-graining can only lower it.
#
# **What you need first.** Probability densities, expectations, covariance matrices, and the derivative of a
# logarithm. Unit 00 for how exercises work.
#
# **What it costs.** About an hour and three quarters to read with a pencil (7,000 words, 38 numbered equations). It
# runs in 25 seconds of processor time (two minutes by the clock on a busy machine) and needs at most 1.1 GB of
# memory. Nothing here uses a GPU; the notebook has not been timed on Colab.

# %% [markdown]
# {{how to keep your work}}

# %%
# {{set-up}}

# %%
import math

import torch
from torch.distributions import Categorical, MultivariateNormal, Normal, kl_divergence
from torch.nn.functional import avg_pool2d

from avae_lib import data, plotting
from avae_lib.divergences import f_divergences as relatives
from avae_lib.notebook_setup import choose

torch.set_default_dtype(torch.float64)  # so that rounding never shows in a result

# %% [markdown]
# ## 1. How far apart are a 7 and a 6?
#
# Lay all the 7s of a data set on top of one another and look at where the ink is; then do the same for the 6s. Cut the
# page into four bands and measure the share of the ink in each. That gives two distributions over four outcomes. (The
# numbers quoted in this text are for the 1,500 small digits that come with the library. On Colab the cell loads
# MNIST, and the numbers differ.)

# %%
dataset = data.load(choose("digits", colab="mnist"))
images, labels = dataset.train[:, 0].double(), torch.as_tensor(dataset.train_labels)
ink = torch.stack([images[labels == digit].sum(0) for digit in range(10)])
ink = ink / ink.sum((1, 2), keepdim=True)  # (digit, row, column): shares of the ink
bands = ink.view(10, 4, -1).sum(-1)  # (digit, band): the same ink, by bands from top to bottom
q, p = bands[7], bands[6]
plotting.show(plotting.ink_in_bands({"7s": ink[7], "6s": ink[6]}, {"7s": q, "6s": p}))

# %% [markdown]
# **Figure 1.** Ink of handwritten 7s and 6s. The 7s have most of their ink in the upper half, the 6s in the lower half.
# How far apart are these two distributions?
#
# <!-- alt: Two blurred digits, a 7 and a 6, each cut by three horizontal lines; beside them, bars for the four bands.
# The 7 has the longer bars in the two upper bands, the 6 in the two lower ones. -->

# %% tags=["build-check"]
assert q[:2].sum() > 0.55 and p[2:].sum() > 0.6
assert (q > p).tolist() == [True, True, False, False]

# %% [markdown]
# Here is one way to measure it. Someone has picked one of the two digits and shows you single drops of its ink,
# drawn at random. All you learn about a drop is its band. How many drops do you need before you are sure which digit
# it is?
#
# Suppose it is the 7. You start from even odds. A drop in band $x$ multiplies the odds for "7" against "6" by
# $q(x) / p(x)$, by Bayes' rule, so it adds $\log (q(x) / p(x))$ to their logarithm. Some drops lower the log odds. On
# average each drop adds
#
# $$\mathrm{KL}(q \,\|\, p) = \sum_x q(x) \log \frac{q(x)}{p(x)}. \tag{1}$$
#
# This is the *Kullback–Leibler divergence* of $q$ from $p$: the average log-ratio of the two probabilities, over
# outcomes drawn from $q$.

# %%
torch.manual_seed(0)
log_ratio = (q / p).log()
kl = (q * log_ratio).sum()  # equation (1)
runs, drops = 2000, 400
from_7 = torch.multinomial(q, runs * drops, replacement=True).view(runs, drops)  # bands
from_6 = torch.multinomial(p, runs * drops, replacement=True).view(runs, drops)
odds_7, odds_6 = log_ratio[from_7].cumsum(1), log_ratio[from_6].cumsum(1)  # logarithms of the odds
first = (odds_7 > math.log(1000)).double().argmax(1) + 1.0  # the drop that takes the odds past 1000
print(f"KL(7‖6) = {kl:.3f} nats for each drop; log 1000 / KL = {math.log(1000) / kl:.0f} drops")
print(f"drops until the odds are 1000 to 1, average of 2,000 runs: {first.mean():.0f}")

# %%
paths = {"drops of a 7": odds_7[:12, :100], "drops of a 6": odds_6[:12, :100]}
slopes = {"drops of a 7": kl.item(), "drops of a 6": (p * log_ratio).sum().item()}
level = ("1000 to 1", math.log(1000))
axis_labels = ("number of drops", 'log odds for "7" (nats)')
plotting.show(plotting.evidence_paths(paths, slopes, *axis_labels, level))

# %% [markdown]
# **Figure 2.** Evidence from drops of ink, twelve runs for each digit (thin lines). With drops of a 7 the log odds
# rise on average by $\mathrm{KL}(7 \,\|\, 6)$ per drop (thick line); with drops of a 6 they fall by
# $\mathrm{KL}(6 \,\|\, 7)$ per drop.
#
# <!-- alt: Ragged thin lines start at zero and fan out along two straight thick lines, one rising, one falling. The
# rising line crosses the dotted level "1000 to 1" near 50 drops. -->

# %% tags=["build-check"]
assert abs(kl - 0.140) < 0.001
assert 45 < math.log(1000) / kl < 55 and first.mean() > math.log(1000) / kl and first.mean() < 60
assert abs(slopes["drops of a 6"] + kl_divergence(Categorical(probs=p), Categorical(probs=q))) < 1e-12
assert first.min() > 1  # argmax of a run that never gets there would be 1

# %% [markdown]
# So "how far apart" can be counted in observations: in the long run it takes $1 / \mathrm{KL}$ observations to
# multiply the odds by $e$. (The measured number of drops is a little larger than $\log 1000 / \mathrm{KL}$, because the
# last drop carries the odds past 1000.)
#
# ### Densities and zeros
#
# For densities the sum becomes an integral,
#
# $$\mathrm{KL}(q \,\|\, p) = \int q(x) \log \frac{q(x)}{p(x)}\, dx. \tag{2}$$
#
# What does a term of (1) contribute if a probability in it is zero? Look at the limits.
#
# * **$q(x) \to 0$ while $p(x) > 0$ is fixed.** Write the term as $q \log q - q \log p$. The second part goes to zero.
#   So does the first: with $q = e^{-t}$ it is $-t\, e^{-t}$, and $t\, e^{-t} \to 0$ as $t \to \infty$. *What never
#   happens contributes nothing.*
# * **$p(x) \to 0$ while $q(x) > 0$ is fixed.** Now $-q \log p \to +\infty$. *If something happens that $p$ rules out,
#   the KL is infinite*, whatever the other outcomes contribute.
# * **Both zero.** Here there is no limit: the result depends on how fast each of the two vanishes. The term is set to
#   zero, because (1) is an average over outcomes of $q$, and this outcome is not among them.
#
# The KL compares distributions and does not depend on how outcomes are labelled. Under a smooth, invertible
# change of variables $y = g(x)$ both densities get the same factor, which cancels in the ratio:
#
# $$\int q_Y(y) \log \frac{q_Y(y)}{p_Y(y)}\, dy = \int q(x) \log \frac{q(x)\, |dx/dy|}{p(x)\, |dx/dy|}\, dx = \mathrm{KL}(q \,\|\, p).$$
#
# (The entropy of a density does not have this property. It changes with the units of $x$.)
#
# ### Nats and bits
#
# Split the logarithm of the ratio in (1):
#
# $$\mathrm{KL}(q \,\|\, p) = \underbrace{-\sum_x q(x) \log p(x)}_{\text{cross-entropy } H(q, p)}
# - \underbrace{\Bigl(-\sum_x q(x) \log q(x)\Bigr)}_{\text{entropy } H(q)}. \tag{3}$$
#
# With logarithms to base 2 this is about storage. A code built for $p$ spends $-\log_2 p(x)$ bits on $x$ (up to
# rounding to whole bits), so its average length under $q$ is the cross-entropy. The code built for $q$ itself has the
# entropy as its average length, and section 2 shows that a code for any other $p$ is longer. The difference, the KL in
# *bits*, is what the wrong code wastes. With natural logarithms the unit is the *nat*:
#
# $$\mathrm{KL}_{\text{bits}} = \frac{\mathrm{KL}_{\text{nats}}}{\log 2}, \qquad 1 \text{ nat} = \frac{1}{\log 2} \text{ bits} \approx 1.443 \text{ bits}. \tag{4}$$
#
# This course computes in nats, because $\log$ has the simplest derivative, and reports images in bits per dimension.

# %%
q = torch.tensor([0.5, 0.25, 0.25, 0.0])  # four outcomes; the last never happens under q
p = torch.tensor([0.25, 0.25, 0.25, 0.25])
words_for_q, words_for_p = ["0", "10", "11", ""], ["00", "01", "10", "11"]
lengths = torch.tensor([[len(word) for word in words] for words in (words_for_q, words_for_p)])
entropy, cross_entropy = lengths.double() @ q  # average lengths under q
print(f"equation (3): {cross_entropy:.1f} bits with p's code − {entropy:.1f} bits with q's own")
nats = kl_divergence(Categorical(probs=q), Categorical(probs=p))
print(f"in torch.distributions: {nats:.4f} nats = {nats / math.log(2):.4f} bits")

# %% tags=["build-check"]
assert abs(cross_entropy - 2) < 1e-12 and abs(entropy - 1.5) < 1e-12
assert abs(nats / math.log(2) - (cross_entropy - entropy)) < 1e-6
assert torch.equal(lengths[1].double(), -p.log2()) and torch.equal(lengths[0, :3].double(), -q[:3].log2())

# %% [markdown]
# The code for $p$ spends two bits on every outcome, the code for $q$ a bit and a half on average: one bit for the first
# outcome and two for the next two.
#
# **Check yourself.** (a) What is $\mathrm{KL}(p \,\|\, q)$ in this example? (b) A KL is 3 bits. By what factor is
# $p(x)$ too small, as a geometric average over $q$? (c) You see exactly where each drop lies, not only its band. Do
# you need more drops or fewer? (Section 9 proves your answer.)
#
# <details><summary>Answer</summary>
#
# (a) $+\infty$: the fourth outcome has $p = \frac14$ and $q = 0$. A code for $q$ has no code word for it. (b) By
# $2^3 = 8$: the KL is the average of $\log_2 q(x)/p(x)$, and the exponential of an average of logarithms is the
# geometric average. (c) Fewer, or the same number: if you see the pixel you also know the band, and you could ignore
# the rest.
# </details>

# %% [markdown]
# ## 2. It is never negative
#
# An outcome with $p(x) > q(x) > 0$ contributes a negative term. But the sum is never negative, and it is zero only if
# the distributions are equal. We prove this twice, because later units use both arguments again.

# %%
x = torch.linspace(0.02, 3, 200)
plotting.show(plotting.area_between(x, ("x − 1", x - 1), ("log x", x.log()), marked=1.0))

# %% [markdown]
# **Figure 3.** The line $x - 1$ touches $\log x$ at $x = 1$ and lies above it everywhere else. The first proof adds
# up the gaps between the two.
#
# <!-- alt: A rising straight line and the curve of the logarithm, which touch at x = 1; the area between them is
# tinted. -->

# %% tags=["build-check"]
assert (x - 1 - x.log()).min() >= 0

# %% [markdown]
# **By $\log x \le x - 1$.** The function $f(x) = x - 1 - \log x$ has the derivative $1 - 1/x$: it falls for $x < 1$,
# rises for $x > 1$, and its smallest value is $f(1) = 0$. Hence
#
# $$\log x \le x - 1 \quad \text{for } x > 0, \text{ with equality only at } x = 1. \tag{5}$$
#
# Let all sums run over the outcomes with $q(x) > 0$, since the others contribute nothing, and apply (5) to $p/q$:
#
# $$
# \begin{aligned}
# -\mathrm{KL}(q \,\|\, p) &= \sum_{q > 0} q(x) \log \frac{p(x)}{q(x)} \le \sum_{q > 0} q(x) \Bigl( \frac{p(x)}{q(x)} - 1 \Bigr) \\
# &= \sum_{q > 0} p(x) - \sum_{q > 0} q(x) \le 1 - 1 = 0.
# \end{aligned} \tag{6}
# $$
#
# Equality requires two things: $p(x) = q(x)$ wherever $q(x) > 0$, by (5), and $\sum_{q > 0} p(x) = 1$, so that $p$
# has nothing left for the outcomes with $q(x) = 0$. Together they say $p = q$.
#
# **By Jensen's inequality.** The logarithm is strictly concave, so the average of logarithms is at most the logarithm
# of the average:
#
# $$-\mathrm{KL}(q \,\|\, p) = \mathbb{E}_q\left[\log \frac{p(x)}{q(x)}\right] \le \log \mathbb{E}_q\left[\frac{p(x)}{q(x)}\right]
# = \log \sum_{q > 0} p(x) \le \log 1 = 0. \tag{7}$$
#
# The first step is an equality only if $p/q$ is constant where $q > 0$, the second only if these outcomes carry all
# of $p$'s mass. Then the constant is 1, and $p = q$ again. (If $p(x) = 0 < q(x)$ somewhere, the KL is $+\infty$ and
# there is nothing to prove.)
#
# For densities replace sums by integrals in (6) and (7). "Equal" then means equal almost everywhere, because changing
# a density at single points does not change any integral.
#
# ### The KL as an area
#
# By (2) the KL is the area under the curve $q \log (q/p)$, where area below the axis counts as negative. The proof in
# (6) suggests a better curve. Since $q$ and $p$ have the same total mass, $\sum_x (p(x) - q(x)) = 0$, and adding this
# changes nothing:
#
# $$\mathrm{KL}(q \,\|\, p) = \sum_x \Bigl[ q(x) \log \frac{q(x)}{p(x)} - q(x) + p(x) \Bigr]. \tag{8}$$
#
# Now *every single term* is at least zero: it is $q$ times the gap of figure 3 at $x = p/q$, or just $p$ where
# $q = 0$.

# %%
x = torch.linspace(-4, 6, 2001)
q, p = Normal(0.0, 1.0), Normal(1.2, 1.4)
q_x, p_x = q.log_prob(x).exp(), p.log_prob(x).exp()
plotting.show(plotting.divergence_areas(x, q_x, p_x))
step = x[1] - x[0]
terms = q_x * (q_x / p_x).log()
balanced = terms - q_x + p_x  # equation (8)
print(f"areas: {terms.sum() * step:.3f} and {balanced.sum() * step:.3f};", end=" ")
print(f"torch.distributions: {kl_divergence(q, p):.3f} nats")

# %% [markdown]
# **Figure 4.** Two densities and their KL as an area. Middle: under $q \log (q/p)$, positive area minus negative area.
# Bottom: under the terms of (8), which are nowhere negative. Both come to the same number.
#
# <!-- alt: Three graphs over the same axis. Top: two bell curves, p to the right of q and wider. Middle: a curve with a
# positive hump on the left and a shallow negative one on the right. Bottom: a curve that is nowhere negative, with two
# humps and zeros where q and p cross. -->

# %% tags=["build-check"]
assert abs(terms.sum() * 0.005 - kl_divergence(q, p)) < 2e-3
assert abs((terms - q_x + p_x).sum() * 0.005 - kl_divergence(q, p)) < 2e-3
assert (terms - q_x + p_x).min() > -1e-12 and terms.min() < -0.02

# %% [markdown]
# **Check yourself.** (a) Where do the middle and the bottom curve of figure 4 meet? (b) Show that a term of (8) is
# the gap between the convex function $f(u) = u \log u$ at $u = q$ and its tangent at $u = p$.
#
# <details><summary>Answer</summary>
#
# (a) Where $q(x) = p(x)$, since they differ by $p - q$. Both are zero there. (b) The tangent at $p$ is
# $p \log p + (\log p + 1)(q - p)$. Subtract it from $q \log q$: what is left is
# $q \log q - q \log p - q + p$. A sum of such tangent gaps is called a *Bregman divergence*; the KL is the Bregman
# divergence of $\sum u \log u$.
# </details>

# %% [markdown]
# ## 3. Reading it as an objective
#
# In this course a KL is mostly something to minimise: $p$ is given, $q$ is ours to choose, and training changes $q$
# so that $\mathrm{KL}(q \,\|\, p)$ falls. Which $q$ comes out? Look at the contribution of one outcome,
# $q \log (q / p)$, when each of the two probabilities is high or low:
#
# | $q$ | $p$ | contribution $q \log (q/p)$ | in words |
# |---|---|---|---|
# | 0.9 | 0.9 | 0 | likely under both |
# | 0.9 | 0.1 | 1.98 | likely under $q$, unlikely under $p$ |
# | 0.1 | 0.9 | −0.22 | unlikely under $q$, likely under $p$ |
# | 0.1 | 0.1 | 0 | unlikely under both |
#
# Each outcome is weighted by $q$. So a contribution is large where $q$ is high and $p$ is low, and it is small wherever
# $q$ is low.

# %%
pairs = torch.tensor([[0.9, 0.9], [0.9, 0.1], [0.1, 0.9], [0.1, 0.1]])
contributions = pairs[:, 0] * (pairs[:, 0] / pairs[:, 1]).log()
balanced = contributions - pairs[:, 0] + pairs[:, 1]  # the terms of (8)
for (q_x, p_x), plain, term in zip(pairs, contributions, balanced, strict=True):
    print(f"q = {q_x}, p = {p_x}: q log(q/p) = {plain:5.2f}, term of (8) = {term:.2f}")
plotting.show(plotting.contribution_curves([0.1, 0.5, 0.9], pairs.tolist()))

# %% [markdown]
# **Figure 5.** What one outcome contributes to $\mathrm{KL}(q \,\|\, p)$ as $q$ grows, for three values of $p$. Dots:
# the four rows of the table. A contribution is large only where $q$ is high and $p$ is low.
#
# <!-- alt: Three curves over q. The one for p = 0.1 rises steeply to 2.3; the one for p = 0.9 stays between −0.33 and
# 0.11. Four labelled dots. -->

# %% tags=["build-check"]
assert [round(value, 2) for value in contributions.tolist()] == [0, 1.98, -0.22, 0]
assert [round(value, 2) for value in balanced.tolist()] == [0, 1.18, 0.58, 0]
assert abs(-0.9 / math.e + 0.33) < 0.005 and abs(-math.log(0.9) - 0.11) < 0.005 and abs(math.log(10) - 2.3) < 0.01

# %% [markdown]
# The third row is negative, but nothing is gained by it. Probabilities sum to one: if $q$ is lowered here, it must be
# raised elsewhere, and by (6) the whole sum stays at or above zero. Form (8) takes this into account: there the third
# row contributes 0.58 nats, the second 1.18, and the other two nothing.
#
# How negative can a contribution be? Its derivative with respect to $q$, $\log (q/p) + 1$, vanishes at $q = p / e$, so
#
# $$\min_q\; q \log \frac{q}{p} = -\frac{p}{e} \approx -0.37\, p. \tag{9}$$
#
# ### The price of missing mass and of misplaced mass
#
# What matters in the end is the whole sum. How large is it if $q$ misses part of $p$, or puts mass where $p$ has
# hardly any?
#
# **Missing mass.** Let $q$ be zero outside a set $S$. It keeps the mass $P(S)$ of $p$ and misses the rest. On $S$ we
# can write $p(x) = P(S)\, p_S(x)$, where $p_S$ is $p$ restricted to $S$ and normalised. Then
#
# $$\mathrm{KL}(q \,\|\, p) = \sum_{x \in S} q(x) \log \frac{q(x)}{P(S)\, p_S(x)} = \mathrm{KL}(q \,\|\, p_S) - \log P(S) \;\ge\; -\log P(S), \tag{9a}$$
#
# with equality for $q = p_S$. *Missing mass costs at least minus the logarithm of the mass that is kept.* Missing
# 30 % costs at least 0.36 nats, missing half at least 0.69.
#
# **Misplaced mass.** Let $q$ put the mass $m$ on a set $A$ that has only the mass $\pi < m$ under $p$, and let it keep
# $p$'s proportions within $A$ and outside it. (Section 9 shows that this is the cheapest way.) The ratio
# $q/p$ takes only two values, $m / \pi$ and $(1 - m)/(1 - \pi)$, and
#
# $$\mathrm{KL}(q \,\|\, p) = m \log \frac{m}{\pi} + (1 - m) \log \frac{1 - m}{1 - \pi} \;\longrightarrow\; \infty \quad \text{as } \pi \to 0. \tag{9b}$$
#
# *The cost of misplaced mass has no upper limit*: it grows as $\pi$ falls.

# %%
share = torch.linspace(0.01, 0.98, 300)  # of the mass, missed or misplaced
prices = {"missing": -torch.log1p(-share)}  # equation (9a)
for likely in (1e-2, 1e-3, 1e-4):  # equation (9b)
    outside = (1 - share) * ((1 - share) / (1 - likely)).log()
    prices[f"misplaced, π = {likely:g}"] = share * (share / likely).log() + outside
axis_labels = ("share of the mass", "KL(q‖p)  (nats)")
plotting.show(plotting.divergence_curves(share, prices, *axis_labels, largest=8.0))

# %% [markdown]
# **Figure 6.** The price of missing and of misplaced mass in $\mathrm{KL}(q \,\|\, p)$. Missing a share of $p$ is
# cheap unless nearly everything is missed. Misplacing half of $q$ costs more than missing half of $p$, and the price
# rises without limit as $\pi$ falls.
#
# <!-- alt: Four rising curves over the share of mass. The lowest, for missing mass, reaches 0.7 at one half and bends up
# only at the end. The curves for misplaced mass rise almost straight, steeper for smaller π. -->

# %% tags=["build-check"]
assert abs(-math.log(0.7) - 0.357) < 0.001 and abs(-math.log(0.5) - 0.69) < 0.005
at_half = {name: price[(share - 0.5).abs().argmin()].item() for name, price in prices.items()}
assert list(at_half.values()) == sorted(at_half.values())

# %% [markdown]
# This is the behaviour to remember. A minimiser of $\mathrm{KL}(q \,\|\, p)$ above all avoids the places where $p$ is
# small. Covering every place where $p$ is large comes second: giving up one of two equal peaks costs only $\log 2$.
#
# ### Which $q$ is best?
#
# Let $p = (0.7,\, 0.2,\, 0.1)$. Which of these makes $\mathrm{KL}(q \,\|\, p)$ smallest: the uniform distribution,
# $p$ itself, or $(0.1,\, 0.1,\, 0.1)$? Decide before you go on.

# %%
target = [0.7, 0.2, 0.1]
candidates = {"uniform": [1 / 3] * 3, "p itself": target, "(0.1, 0.1, 0.1)": [0.1] * 3}
plotting.show(plotting.contribution_bars(target, candidates))

# %% [markdown]
# **Figure 7.** Three candidates beside $p = (0.7, 0.2, 0.1)$. Below each: what the outcomes contribute to the sum
# (1).
#
# <!-- alt: Three panels of bars. Uniform: the sum is 0.324 nats. p itself: all contributions are zero.
# (0.1, 0.1, 0.1): the sum is minus 0.264 nats. -->

# %% tags=["build-check"]
sums = [sum(a * math.log(a / b) for a, b in zip(c, target, strict=True)) for c in candidates.values()]
assert [round(value, 3) for value in sums] == [0.324, 0, -0.264]

# %% [markdown]
# By (6) nothing beats $p$ itself, with 0. Yet the sum for $(0.1, 0.1, 0.1)$ is $-0.26$! It is not a distribution: it
# sums to 0.3, and (6) used $\sum q = 1$. If your own code prints a negative KL, the cause is often the same: something
# in it is not normalised. (An estimate from samples can be negative too; see section 6.) Normalised, the third
# candidate is the uniform one.
#
# **Check yourself.** (a) $p = (0.49,\, 0.02,\, 0.49)$, and $q$ must not use the third outcome. Which $q$ is best, and
# what is its KL? (b) Which step of the proof (6) fails for an unnormalised $p$ with $\sum p < 1$?
#
# <details><summary>Answer</summary>
#
# (a) By (9a) $p$ restricted to the first two outcomes, $q = (0.49, 0.02)/0.51 = (0.96, 0.04, 0)$. Its KL is
# $-\log 0.51 = 0.67$ nats. It gives up one of two equal peaks and pays a little less than $\log 2$: section 8 calls
# this mode-seeking. (b) None: the last step only gets further below zero, so the sum stays positive. With
# $\sum p > 1$ the last step fails.
# </details>

# %% tags=["build-check"]
assert abs(-math.log(0.51) - 0.67) < 0.005 and abs(0.49 / 0.51 - 0.96) < 0.005

# %% [markdown]
# ## 4. It is not symmetric
#
# A fair coin $q = (\frac12, \frac12)$ and a bent one $p = (0.9, 0.1)$:
#
# $$\mathrm{KL}(q \,\|\, p) = \tfrac12 \log \tfrac{0.5}{0.9} + \tfrac12 \log \tfrac{0.5}{0.1} = 0.511, \qquad
#   \mathrm{KL}(p \,\|\, q) = 0.9 \log \tfrac{0.9}{0.5} + 0.1 \log \tfrac{0.1}{0.5} = 0.368.$$
#
# The average is over the first argument, so the two directions weigh the outcomes differently, and the KL is not a
# distance. (It does not obey the triangle inequality either.) When $q$ is the distribution we adjust and $p$ is
# given, $\mathrm{KL}(q \,\|\, p)$ is called the *reverse* KL and $\mathrm{KL}(p \,\|\, q)$ the *forward* KL. Maximum
# likelihood minimises the forward KL: with the data's distribution as $p$,
# $\mathrm{KL}(p \,\|\, q) = -\mathbb{E}_p \log q + \text{const}$. Variational inference minimises the reverse KL.
#
# In the forward direction the two prices are exchanged: the cost of missing mass has no upper limit, and misplaced
# mass is cheap.
#
# To see both directions in real data, go back to the ink of the ten digits, this time pixel by pixel.

# %%
coin, bent = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
print(f"KL(fair‖bent) = {(coin * (coin / bent).log()).sum():.3f} nats")
print(f"KL(bent‖fair) = {(bent * (bent / coin).log()).sum():.3f} nats")
pixels = ink.flatten(1)  # (digit, pixel), each row a distribution
q, p = pixels.unsqueeze(1), pixels.unsqueeze(0)  # every digit against every other
infinite = ((q > 0) & (p == 0)).any(-1)
one_way = infinite & ~infinite.T
print(f"KL between two digits: infinite in {int(infinite.sum())} of 90 ordered pairs,")
print(f"in one direction only for {int(one_way.sum())} of 45 pairs")

# %% tags=["build-check"]
assert abs((coin * (coin / bent).log()).sum() - 0.511) < 0.0005
assert abs((bent * (bent / coin).log()).sum() - 0.368) < 0.0005
assert infinite.sum() == 80

# %% [markdown]
# Most of these KLs are infinite: some pixel has a trace of ink in one kind of digit and none in the other. The
# definition requires this, since a model that rules out something that happens is infinitely wrong. But it is useless
# for comparing shapes. The usual remedy is to give every outcome some probability. Here each distribution is mixed
# with 1 % of the uniform one.

# %%
mixed = 0.99 * pixels + 0.01 / pixels.shape[1]
log_ratios = (mixed.unsqueeze(1) / mixed.unsqueeze(0)).log()
contributions = mixed.unsqueeze(1) * log_ratios  # (q, p, pixel)
matrix = contributions.sum(-1) / math.log(2)  # equation (1), in bits
names = ("q: digit", "p: digit", "KL(q‖p)  (bits)")
plotting.show(plotting.divergence_matrix(matrix, range(10), *names))
print(f"KL(1‖0) = {matrix[1, 0]:.2f} bits, KL(0‖1) = {matrix[0, 1]:.2f} bits")

# %% [markdown]
# **Figure 8.** KL divergence between the inks of the ten digits, in bits. The matrix is not symmetric: compare the
# entry for $q = 1$, $p = 0$ with its mirror image.
#
# <!-- alt: A ten by ten matrix of numbers on shades of orange, zeros on the diagonal. The largest entry is 1.34 for
# q = 6, p = 7; the one for q = 1, p = 0 is 1.09 and its mirror image 0.70. -->

# %% tags=["build-check"]
assert abs(matrix[1, 0] - 1.09) < 0.005 and abs(matrix[0, 1] - 0.70) < 0.005
assert abs(matrix[6, 7] - 1.34) < 0.005 and matrix.max() == matrix[6, 7]

# %% [markdown]
# Why do the two directions differ? Look at the pair 1 and 0, pixel by pixel.

# %%
side = ink.shape[1]
maps = {"ink of the 1s": ink[1], "ink of the 0s": ink[0]}
maps["terms of KL(1‖0)"] = contributions[1, 0].view(side, side)
maps["terms of KL(0‖1)"] = contributions[0, 1].view(side, side)
plotting.show(plotting.pixel_maps([maps]))
for a, b in ((1, 0), (0, 1)):
    largest = (mixed[a] / mixed[b]).max()
    share = contributions[a, b].topk(4).values.sum() / contributions[a, b].sum()
    print(f"KL({a}‖{b}): largest ratio of inks {largest:.0f}; four pixels make up {share:.0%}")

# %% [markdown]
# **Figure 9.** Ink of the 1s and of the 0s, and what each pixel contributes to the KL in the two directions (orange:
# positive, violet: negative). $\mathrm{KL}(1 \,\|\, 0)$ comes from the hole of the 0, $\mathrm{KL}(0 \,\|\, 1)$ from
# the two sides of its ring.
#
# <!-- alt: Four maps of 8 by 8 pixels: a vertical stroke; a ring; a map that is orange in the middle four pixels; a map
# that is orange on the left and right side and pale violet in the middle. -->

# %% tags=["build-check"]
strongest = contributions[1, 0].topk(4).indices
assert {(int(i) // 8, int(i) % 8) for i in strongest} == {(3, 4), (4, 4), (4, 3), (5, 4)}
assert int((mixed[1] / mixed[0]).argmax()) in strongest  # the largest ratio is in the hole
assert abs(contributions[1, 0, strongest].sum() / math.log(2) / matrix[1, 0] - 0.77) < 0.005
assert [round((mixed[a] / mixed[b]).max().item()) for a, b in ((1, 0), (0, 1))] == [141, 18]
assert (contributions[0, 1].view(8, 8)[2:6, 2:5] < 0).sum() >= 4
assert all(int(i) % 8 in (1, 2, 5, 6) for i in contributions[0, 1].topk(4).indices)

# %% [markdown]
# Each direction is weighted by the ink of its *first* argument. The 1s have much of their ink in the hole of the 0.
# In these small digits, after the mixing, it is up to 141 times what the 0s have there, and four pixels make up 77 %
# of $\mathrm{KL}(1 \,\|\, 0)$. The 0s have their ink in the ring, and nowhere more than 18 times what the 1s have.
#
# **Check yourself.** (a) Why is the divergence of the mixed distributions never above $\log 100 + \log 64$ nats, for
# 64 pixels? (b) Someone symmetrises: $\mathrm{KL}(q \,\|\, p) + \mathrm{KL}(p \,\|\, q)$. When does that not help?
#
# <details><summary>Answer</summary>
#
# (a) Every $p(x)$ is at least $0.01 / 64$ and every $q(x)$ at most 1, so each $\log (q/p)$, and with it the average,
# is at most $\log 6400$. (b) Whenever one of the two is infinite. Section 10 has a symmetric divergence that is always
# finite.
# </details>

# %% [markdown]
# ## 5. Gaussians
#
# For Gaussians the integral (2) has a closed form. We need it in every unit from 03 on.
#
# **Independent coordinates add up.** If $q(x) = \prod_d q_d(x_d)$ and $p(x) = \prod_d p_d(x_d)$, the logarithm of the
# ratio is a sum, and the average of its $d$-th term over $q$ involves only $x_d$:
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb{E}_q\Bigl[\sum_d \log \frac{q_d(x_d)}{p_d(x_d)}\Bigr] = \sum_d \mathrm{KL}(q_d \,\|\, p_d). \tag{10}$$
#
# **One coordinate.** Let $q = \mathcal{N}(\mu_q, \sigma_q^2)$ and $p = \mathcal{N}(\mu_p, \sigma_p^2)$. The logarithm
# of a Gaussian density is $-\tfrac12 \log 2\pi - \log \sigma - (x - \mu)^2 / 2\sigma^2$, so
#
# $$\log \frac{q(x)}{p(x)} = \log \frac{\sigma_p}{\sigma_q} - \frac{(x - \mu_q)^2}{2 \sigma_q^2} + \frac{(x - \mu_p)^2}{2 \sigma_p^2}.$$
#
# Average over $q$. The first square gives $\mathbb{E}_q (x - \mu_q)^2 = \sigma_q^2$. In the second write
# $x - \mu_p = (x - \mu_q) + (\mu_q - \mu_p)$; the cross term averages to zero:
#
# $$\mathbb{E}_q (x - \mu_p)^2 = \mathbb{E}_q (x - \mu_q)^2 + 2 (\mu_q - \mu_p)\, \mathbb{E}_q (x - \mu_q) + (\mu_q - \mu_p)^2 = \sigma_q^2 + (\mu_q - \mu_p)^2. \tag{11}$$
#
# Together, with the sum (10) over coordinates:
#
# $$\mathrm{KL}(q \,\|\, p) = \sum_d \Bigl[ \log \frac{\sigma_{p,d}}{\sigma_{q,d}} + \frac{\sigma_{q,d}^2 + (\mu_{q,d} - \mu_{p,d})^2}{2 \sigma_{p,d}^2} - \frac12 \Bigr]. \tag{12}$$
#
# Read (12) as an objective. The distance between the means enters squared, in units of $\sigma_p$. The widths enter
# only through their ratio $t = \sigma_q / \sigma_p$, as $\frac12 (t^2 - 1) - \log t$. That is zero at $t = 1$, grows
# like $-\log t$ where $q$ is too narrow, and like $\frac12 t^2$ where it is too wide.

# %%
ratio = torch.linspace(0.08, 3, 300)
reverse = 0.5 * (ratio**2 - 1) - ratio.log()  # equation (12) with equal means
forward = 0.5 * (1 / ratio**2 - 1) + ratio.log()  # the same with q and p exchanged
curves = {"reverse: KL(q‖p)": reverse, "forward: KL(p‖q)": forward}
label = "σ of q / σ of p"
plotting.show(plotting.divergence_curves(ratio, curves, label, marked=[1.0], largest=4.0))

# %% [markdown]
# **Figure 10.** The price of a wrong width. A $q$ that is too wide costs more in the reverse KL, because it puts mass
# where $p$ has little. A $q$ that is too narrow costs more in the forward KL, because it misses mass of $p$.
#
# <!-- alt: Two curves that touch zero at ratio one. The forward one shoots up on the left, the reverse one rises faster
# on the right. -->

# %% tags=["build-check"]
assert (reverse > forward)[ratio > 1.01].all() and (reverse < forward)[ratio < 0.99].all()

# %% [markdown]
# **Full covariances.** Now $q = \mathcal{N}(\mu_q, \Sigma_q)$ and $p = \mathcal{N}(\mu_p, \Sigma_p)$ in $D$
# dimensions, with
# $\log q(x) = -\tfrac{D}{2} \log 2\pi - \tfrac12 \log \det \Sigma_q - \tfrac12 (x - \mu_q)^\top \Sigma_q^{-1} (x - \mu_q)$.
# A number is its own trace, and the factors under a trace may be permuted cyclically:
# $v^\top A v = \operatorname{tr}(v^\top A v) = \operatorname{tr}(A\, v v^\top)$. With
# $\mathbb{E}_q (x - \mu_p)(x - \mu_p)^\top = \Sigma_q + (\mu_q - \mu_p)(\mu_q - \mu_p)^\top$, which is (11) for
# vectors,
#
# $$\mathbb{E}_q (x - \mu_p)^\top \Sigma_p^{-1} (x - \mu_p) = \operatorname{tr}\bigl(\Sigma_p^{-1} \Sigma_q\bigr) + (\mu_q - \mu_p)^\top \Sigma_p^{-1} (\mu_q - \mu_p). \tag{13}$$
#
# The same with $\Sigma_q$ and $\mu_q$ in place of $\Sigma_p$ and $\mu_p$ gives
# $\operatorname{tr}(\Sigma_q^{-1} \Sigma_q) = D$. Hence
#
# $$\mathrm{KL}(q \,\|\, p) = \frac12 \Bigl[ \operatorname{tr}\bigl(\Sigma_p^{-1} \Sigma_q\bigr) + (\mu_q - \mu_p)^\top \Sigma_p^{-1} (\mu_q - \mu_p) - D + \log \frac{\det \Sigma_p}{\det \Sigma_q} \Bigr]. \tag{14}$$
#
# For diagonal covariances this is (12) again.
#
# To test the derivation, take two random Gaussians in five dimensions. `torch.distributions` computes (14); the
# second line is the average of $\log (q/p)$ over draws from $q$, which should agree with it (section 6 explains the
# error bar).

# %% fast="draws = 20_000"
draws = 400_000

# %%
torch.manual_seed(0)
a, b = torch.randn(2, 5, 5)
q = MultivariateNormal(torch.zeros(5), a @ a.T + 0.1 * torch.eye(5))
p = MultivariateNormal(torch.ones(5), b @ b.T + 0.1 * torch.eye(5))
x = q.sample((draws,))
log_ratio = q.log_prob(x) - p.log_prob(x)
average, error = log_ratio.mean(), log_ratio.std() / math.sqrt(draws)
print(f"equation (14): {kl_divergence(q, p):.3f} nats")
print(f"average of {draws:,} draws: {average:.3f} nats, give or take {2 * error:.3f}")

# %% tags=["build-check"]
distance, precision = q.mean - p.mean, torch.linalg.inv(p.covariance_matrix)
trace = (precision @ q.covariance_matrix).trace()
log_dets = torch.logdet(p.covariance_matrix) - torch.logdet(q.covariance_matrix)
literal = 0.5 * (trace + distance @ precision @ distance - 5 + log_dets)  # equation (14), term by term
l_q, l_p = torch.linalg.cholesky(q.covariance_matrix), torch.linalg.cholesky(p.covariance_matrix)
assert abs(literal - kl_divergence(q, p)) < 1e-9
assert abs(torch.linalg.solve_triangular(l_p, l_q, upper=False).square().sum() - trace) < 1e-9  # equation (15)
assert abs(average - literal) < 4 * error

# %% [markdown]
# **How to compute it.** Do not type (14) in as it stands. Determinants of large matrices overflow or round to zero, and
# inverses lose digits where a covariance is nearly singular. Instead, factor $\Sigma_q = L_q L_q^\top$ and
# $\Sigma_p = L_p L_p^\top$ with lower triangular $L$ (Cholesky). Then $\det \Sigma = \prod_d L_{dd}^2$ and
# $\Sigma_p^{-1} = L_p^{-\top} L_p^{-1}$, so
#
# $$
# \begin{aligned}
# \log \det \Sigma &= 2 \sum_d \log L_{dd}, \\
# \operatorname{tr}\bigl(\Sigma_p^{-1} \Sigma_q\bigr) &= \operatorname{tr}\bigl(L_p^{-\top} L_p^{-1} L_q L_q^\top\bigr) = \operatorname{tr}\bigl((L_p^{-1} L_q)(L_p^{-1} L_q)^\top\bigr) = \bigl\| L_p^{-1} L_q \bigr\|_F^2, \\
# (\mu_q - \mu_p)^\top \Sigma_p^{-1} (\mu_q - \mu_p) &= \bigl\| L_p^{-1} (\mu_q - \mu_p) \bigr\|^2,
# \end{aligned} \tag{15}
# $$
#
# where $\|\cdot\|_F^2$ is the sum of the squares of all entries. $L_p^{-1} B$ is the solution $X$ of the triangular
# system $L_p X = B$; nothing is inverted.
#
# `torch.distributions` works with these factors, and an exercise of this unit asks you to do the same. What
# difference does it make? Here are two cases in single precision: the determinant of 200 independent coordinates of
# variance 100, and the quadratic form of 12 coordinates that are nearly equal to their neighbours. (For equal
# covariances (14) is half the quadratic form.)

# %%
print(f"determinant: {torch.linalg.det(100 * torch.eye(200).float())}, logarithm: {200 * math.log(100):.1f}")

place = torch.arange(12.0)
cov = (torch.exp(-((place.unsqueeze(1) - place) ** 2) / 32) + 1e-6 * torch.eye(12)).float()
shift = torch.full((12,), 3.0).float()
exact = shift.double() @ torch.linalg.inv(cov.double()) @ shift.double()
by_inverse = shift @ torch.linalg.inv(cov) @ shift
by_factors = 2 * kl_divergence(MultivariateNormal(0 * shift, cov), MultivariateNormal(shift, cov))
print(f"quadratic form by the inverse: {by_inverse:.2f}, by (15): {by_factors:.2f},", end=" ")
print(f"in double precision: {exact:.2f}")

# %% tags=["build-check"]
assert torch.linalg.det(100 * torch.eye(200).float()).isinf()
assert abs(by_factors - exact) < 0.1 and abs(by_inverse - exact) > 3 * abs(by_factors - exact)

# %% [markdown]
# The determinant comes out infinite, although its logarithm is an ordinary number. The inverse loses so many digits that
# its result is off by 1.6. The Cholesky factors come within 0.01. (Last digits depend on the machine.)
#
# **Check yourself.** (a) By how many nats does $\mathcal{N}(\mu, 1)$ differ from $\mathcal{N}(0, 1)$, and how far
# apart are two unit Gaussians whose KL is one nat? (b) $q$ shrinks to a point, $\sigma_q \to 0$. What
# happens to its KL to a fixed Gaussian, and why?
#
# <details><summary>Answer</summary>
#
# (a) $\mu^2 / 2$; one nat at $\mu = \sqrt2$. The KL behaves like a *squared* distance, so small differences cost
# very little. (b) It goes to $+\infty$ like $-\log \sigma_q$: naming one point of a continuum takes infinitely many
# bits. The growth is slow, though: each further bit halves the width.
# </details>

# %% [markdown]
# ## 6. Estimating it from samples
#
# For most pairs of distributions there is no formula. But often we can draw $x \sim q$ and evaluate both
# log-densities. Write
#
# $$r(x) = \frac{p(x)}{q(x)}, \qquad \mathrm{KL}(q \,\|\, p) = \mathbb{E}_q[-\log r], \qquad \mathbb{E}_q[r] = \int_{q > 0} p(x)\, dx = 1. \tag{16}$$
#
# The last step needs a condition: $q > 0$ wherever $p > 0$. Here are three estimators, each an average over samples of
#
# $$k_1 = -\log r, \qquad k_2 = \tfrac12 (\log r)^2, \qquad k_3 = (r - 1) - \log r. \tag{17}$$
#
# **$k_1$** is the definition, so it is unbiased. But it is positive for some $x$ and negative for others, and where
# $q$ and $p$ are close these nearly cancel: a small mean with a large variance.
#
# **$k_2$** is never negative: each sample says how far apart $q$ and $p$ are, whatever the sign. It is biased, but
# only a little where $q \approx p$. To see this let $r = 1 + u$ with small $u$. By (16) $\mathbb{E}_q[u] = 0$, and
# with $\log (1 + u) = u - \tfrac12 u^2 + \dots$
#
# $$\mathbb{E}_q[-\log r] = \tfrac12 \mathbb{E}_q[u^2] + O(\mathbb{E}_q |u|^3), \qquad \mathbb{E}_q\bigl[\tfrac12 (\log r)^2\bigr] = \tfrac12 \mathbb{E}_q[u^2] + O(\mathbb{E}_q |u|^3). \tag{18}$$
#
# **$k_3$** is never negative, by (5), and unbiased under the condition of (16): it is $k_1$ plus $r - 1$, whose
# average is zero. (A term with mean zero that is added to lower the variance is called a *control variate*.) It is
# (8) again: the terms of that sum, divided by $q$, because sampling from $q$ supplies the factor $q$.
#
# ### Bias and variance by hand
#
# Two Gaussians of the same width, $\delta$ standard deviations apart: $q = \mathcal{N}(0, 1)$ and
# $p = \mathcal{N}(\delta, 1)$. Then $\log r = \delta x - \tfrac12 \delta^2$ with $x \sim \mathcal{N}(0, 1)$, so
# $\log r$ is itself Gaussian, with mean $m = -\tfrac12 \delta^2$ and variance $\delta^2$. We need these moments:
#
# * $\mathbb{E}(\log r)^2 = m^2 + \delta^2$ and $\operatorname{Var} (\log r)^2 = 4 m^2 \delta^2 + 2 \delta^4$ (the
#   square of a Gaussian),
# * $\mathbb{E}_q[r] = 1$, $\mathbb{E}_q[r^2] = e^{2m + 2\delta^2} = e^{\delta^2}$, so
#   $\operatorname{Var} r = e^{\delta^2} - 1$ (a log-normal),
# * $\operatorname{Cov}(r, \log r) = \mathbb{E}_q[r \log r] - \mathbb{E}_q[\log r] = \mathbb{E}_p[\log r] - m = \tfrac12 \delta^2 + \tfrac12 \delta^2 = \delta^2$,
#   because weighting by $r$ turns averages over $q$ into averages over $p$, and
#   $\mathbb{E}_p[\log r] = \mathrm{KL}(p \,\|\, q) = \tfrac12 \delta^2$ by (12).
#
# The mean and the variance of a single term follow:
#
# $$
# \begin{aligned}
# \mathbb{E}[k_1] &= \tfrac12 \delta^2 = \mathrm{KL}, & \operatorname{Var} k_1 &= \delta^2, \\
# \mathbb{E}[k_2] &= \tfrac12 \delta^2 + \tfrac18 \delta^4, & \operatorname{Var} k_2 &= \tfrac12 \delta^4 + \tfrac14 \delta^6, \\
# \mathbb{E}[k_3] &= \tfrac12 \delta^2 = \mathrm{KL}, & \operatorname{Var} k_3 &= \operatorname{Var} r - 2 \operatorname{Cov}(r, \log r) + \operatorname{Var} \log r = e^{\delta^2} - 1 - \delta^2.
# \end{aligned} \tag{19}
# $$
#
# For small $\delta$ the variance of $k_3$ is about $\tfrac12 \delta^4$, as for $k_2$. That is smaller than the variance
# of $k_1$ by the factor $\tfrac12 \delta^2 = \mathrm{KL}$. For large $\delta$ it explodes, because $k_3$ contains $r$
# itself and not only its logarithm. The variances of $k_1$ and $k_3$ are equal where $e^{\delta^2} = 1 + 2 \delta^2$, at
# $\delta^2 \approx 1.26$, a KL of 0.63 nats. We now measure all of this.
#
# (The code uses the densities themselves. In hundreds of dimensions they are too small or too large for
# floating-point numbers. How do you get $r$ then? That is part of an exercise.)

# %% fast="draws = 20_000"
draws = 400_000

# %%
torch.manual_seed(0)
q = Normal(0.0, 1.0)
x = q.sample((draws,))


def ratio(x, p):  # equation (16)
    return p.log_prob(x).exp() / q.log_prob(x).exp()


def terms_of(r):  # equation (17)
    return {"k1": -r.log(), "k2": r.log() ** 2 / 2, "k3": (r - 1) - r.log()}


distances = torch.tensor([0.05, 0.1, 0.2, 0.4, 0.8, 1.1, 1.6])
measured = [terms_of(ratio(x, Normal(delta, 1.0))) for delta in distances]
names = ("k1", "k2", "k3")
means = {name: [terms[name].mean().item() for terms in measured] for name in names}
spreads = {name: [terms[name].std().item() for terms in measured] for name in names}

# %%
d2 = distances**2
variances = {"k1": d2, "k2": d2**2 / 2 + d2**3 / 4, "k3": d2.exp() - 1 - d2}  # equation (19)
predicted = {name: variance.sqrt() for name, variance in variances.items()}
errors = {name: [spread / math.sqrt(draws) for spread in spreads[name]] for name in names}
plotting.show(plotting.estimator_bias_and_spread(d2 / 2, means, errors, spreads, predicted))

# %% [markdown]
# **Figure 11.** Three estimators, each measured with 400,000 draws (bars: two standard errors; broad pale lines:
# equation (19)). Left: $k_2$ is too large by the fraction KL / 2, the others are unbiased. (All points use the same
# draws, so the errors of $k_1$ have the same sign.) Right: one draw of $k_1$ is mostly noise where the KL is small;
# below 0.63 nats $k_3$ is better.
#
# <!-- alt: Left, mean over KL against KL: at one for k1 and k3, rising for k2. Right, standard deviation over KL: it
# falls from 40 for k1; for k2 and k3 it is flat near 1.4 and rises at the end, where both cross k1. -->

# %% tags=["build-check"]
for name in names:
    expected = d2 / 2 + (d2**2 / 8 if name == "k2" else 0)
    assert ((torch.tensor(means[name]) - expected).abs() < 4 * torch.tensor(errors[name])).all()
    assert (torch.tensor(spreads[name]) / predicted[name] - 1).abs().max() < 0.1
assert spreads["k1"][0] / (d2[0] / 2) > 35 and abs(spreads["k3"][0] / (d2[0] / 2) - math.sqrt(2)) < 0.05
assert abs(math.exp(1.2564) - 1 - 2 * 1.2564) < 1e-3

# %% [markdown]
# ### The standard error
#
# An estimate needs an error bar. The mean of $n$ independent terms with sample standard deviation $s$ has the
# *standard error*
#
# $$\widehat{\mathrm{se}} = \frac{s}{\sqrt n}, \qquad s^2 = \frac{1}{n - 1} \sum_{i=1}^n \bigl(k(x_i) - \bar k\bigr)^2. \tag{20}$$
#
# In about 95 of 100 repetitions the truth should lie within two standard errors. Does it? We repeat an estimate from
# 100 samples two thousand times: first for the two Gaussians above at $\delta = 0.2$, where $\mathrm{KL} = 0.02$; then
# for a $p$ that is twice as wide as $q$. Each line prints the average estimate ± the average standard error.

# %% fast="repeats = 300"
repeats, n = 2000, 100

# %%
for label, p in {"p = N(0.2, 1)": Normal(0.2, 1.0), "p = N(0, 2²)": Normal(0.0, 2.0)}.items():
    exact = kl_divergence(q, p).item()
    x = q.sample((repeats, n))
    print(f"{label}: KL = {exact:.3f} nats")
    for name, terms in terms_of(ratio(x, p)).items():
        estimate, error = terms.mean(1), (terms.var(1) / n).sqrt()  # equation (20)
        inside = ((estimate - exact).abs() < 2 * error).double().mean()
        below, negative = ((estimate < limit).double().mean() for limit in (exact, 0))
        print(f"  {name}: {estimate.mean():.4f} ± {error.mean():.4f};", end=" ")
        print(f"truth within two errors {inside:.0%}, estimate below it {below:.0%},", end=" ")
        print(f"below zero {negative:.0%}")

# %% tags=["build-check"]
assert 0.4 < inside < 0.6 and below > 0.7  # k3 for p = N(0, 2²), the last of the loop

# %% [markdown]
# In the first case everything works as promised: $k_3$'s error bars are a seventh as long as $k_1$'s, and both cover
# the truth in about 95 of 100 cases. About one in six of $k_1$'s estimates of this *positive* number is negative. The
# bias of $k_2$, $\frac18 \delta^4 = 0.0002$, is far below the error of 100 samples.
#
# In the second case $k_3$ fails: its bars cover the truth in only half of the runs. The variance of $r$ is
# $\int p^2 / q\, dx - 1$, and with $\log (p^2/q) = -x^2 (1/\sigma_p^2 - 1/2\sigma_q^2) + \text{const}$ this is
# infinite as soon as $\sigma_p^2 \ge 2 \sigma_q^2$. The average of $r$ then depends on rare samples in the tail of
# $q$, which most runs do not contain. Nearly four in five estimates are too low, and their error bars are too short,
# because they are computed from the same samples. ($k_2$ is off too: $q$ and $p$ are not close.) $k_1$ contains only
# $\log r$ and is not affected.
#
# **What if $q$ misses part of $p$ altogether?** Then the condition of (16) fails. Here is an example with three
# outcomes, where the first has probability zero under $q$:

# %%
p, q = torch.tensor([0.3, 0.4, 0.3]), torch.tensor([0.0, 0.55, 0.45])
x = torch.multinomial(q, 10_000, replacement=True)
exact = (q[1:] * (q[1:] / p[1:]).log()).sum()
print(f"KL = {exact:.3f} nats; −log(kept mass) = {-math.log(0.7):.3f}, see (9a)")
for name, terms in terms_of(p[x] / q[x]).items():
    print(f"  {name}: {terms.mean():.3f}, standard error {terms.std() / 100:.4f}")

# %% tags=["build-check"]
by_name = {name: terms.mean().item() for name, terms in terms_of(p[x] / q[x]).items()}
assert abs(by_name["k1"] - 0.358) < 0.003 and abs(by_name["k3"] - 0.058) < 0.003

# %% [markdown]
# **Check yourself.** (a) Samples come from $p$ instead of $q$. Which KL can you estimate? (b) In the last example
# $k_1$ and $k_3$ differ by 0.3, with tiny error bars. Which one is right, and where does the difference come from?
#
# <details><summary>Answer</summary>
#
# (a) $\mathrm{KL}(p \,\|\, q)$, with the roles exchanged. To estimate $\mathrm{KL}(q \,\|\, p)$ each sample would
# have to be weighted by $q/p$. (b) $k_1$ is right: 0.358. The KL does charge for the missing mass: by (9a),
# $-\log 0.7 = 0.357$ of the 0.358 nats are its price. In $k_3$ the added term has the mean
# $\mathbb{E}_q[r] - 1 = 0.7 - 1 = -0.3$ instead of zero, and 0.058 is left: $k_3$ hides the missing mass.
# </details>

# %% [markdown]
# ## 7. The best simple Gaussian
#
# Now let $p = \mathcal{N}(\mu, \Sigma)$ be correlated, while $q = \mathcal{N}(m, \operatorname{diag} \sigma^2)$ has
# independent coordinates. No choice of $m$ and $\sigma$ makes them equal. Which $q$ is best depends on the direction.
# Write $P = \Sigma^{-1}$ for the *precision*.
#
# **Reverse, $\mathrm{KL}(q \,\|\, p)$.** In (14),
# $\operatorname{tr}(P \operatorname{diag} \sigma^2) = \sum_d P_{dd}\, \sigma_d^2$ and
# $\log \det \Sigma_q = \sum_d \log \sigma_d^2$, so
#
# $$\mathrm{KL}(q \,\|\, p) = \frac12 \Bigl[ \sum_d \bigl( P_{dd}\, \sigma_d^2 - \log \sigma_d^2 \bigr) + (m - \mu)^\top P\, (m - \mu) \Bigr] + \text{const}. \tag{21}$$
#
# The quadratic form is zero at $m = \mu$ and positive elsewhere, since $P$ is positive definite. The derivative with
# respect to $\sigma_d^2$ is $\frac12 (P_{dd} - 1/\sigma_d^2)$, negative below the following value and positive above
# it:
#
# $$m = \mu, \qquad \sigma_d^2 = \frac{1}{P_{dd}} = \frac{1}{(\Sigma^{-1})_{dd}}. \tag{22}$$
#
# *The reverse projection matches the diagonal of the precision.*
#
# **Forward, $\mathrm{KL}(p \,\|\, q)$.** Only $-\mathbb{E}_p \log q$ depends on $q$. With
# $\mathbb{E}_p (x_d - m_d)^2 = \Sigma_{dd} + (\mu_d - m_d)^2$, as in (11),
#
# $$\mathrm{KL}(p \,\|\, q) = \frac12 \sum_d \Bigl[ \log \sigma_d^2 + \frac{\Sigma_{dd} + (\mu_d - m_d)^2}{\sigma_d^2} \Bigr] + \text{const}. \tag{23}$$
#
# Again $m = \mu$ is best. The derivative with respect to $\sigma_d^2$ is then
# $\frac12 (1 / \sigma_d^2 - \Sigma_{dd} / \sigma_d^4)$, negative below the following value and positive above it:
#
# $$m = \mu, \qquad \sigma_d^2 = \Sigma_{dd}. \tag{24}$$
#
# *The forward projection matches the marginal variances.* The derivation used only the first two moments of $p$, so
# (24) holds for **every** $p$ that has them, Gaussian or not: this forward projection is *moment matching*.
#
# ### Too narrow
#
# What is $1 / P_{dd}$? Fix all coordinates but $x_d$. As a function of $x_d$ alone, $\log p$ is
# $-\tfrac12 P_{dd}\, x_d^2$ plus something linear: a Gaussian of variance $1/P_{dd}$. So it is the *conditional*
# variance of $x_d$, given all others. To compare it with the marginal variance, put $x_d$ first, write the covariance
# in blocks, and solve for the first column $(u, v)$ of its inverse, so that $u = P_{dd}$:
#
# $$\begin{pmatrix} \Sigma_{dd} & c^\top \\ c & S \end{pmatrix} \begin{pmatrix} u \\ v \end{pmatrix} = \begin{pmatrix} 1 \\ 0 \end{pmatrix}
# \;\Rightarrow\; v = -S^{-1} c\, u, \quad \bigl(\Sigma_{dd} - c^\top S^{-1} c\bigr)\, u = 1.$$
#
# The number in brackets is called the Schur complement. $S$ is the covariance of the other coordinates, positive
# definite, so $c^\top S^{-1} c \ge 0$ and
#
# $$\frac{1}{(\Sigma^{-1})_{dd}} = \operatorname{Var}(x_d \mid x_{-d}) = \Sigma_{dd} - c^\top S^{-1} c \;\le\; \Sigma_{dd} = \operatorname{Var}(x_d), \tag{25}$$
#
# with equality only for $c = 0$, where $x_d$ is uncorrelated with all others. For two variables with correlation
# $\rho$, inverting the $2 \times 2$ matrix gives
#
# $$
# \begin{aligned}
# \Sigma &= \begin{pmatrix} s_1^2 & \rho s_1 s_2 \\ \rho s_1 s_2 & s_2^2 \end{pmatrix}, & \det \Sigma &= s_1^2 s_2^2 (1 - \rho^2), \\
# P_{11} &= \frac{s_2^2}{\det \Sigma} = \frac{1}{s_1^2 (1 - \rho^2)}, & \sigma_1^2 &= s_1^2 (1 - \rho^2).
# \end{aligned} \tag{26}
# $$
#
# Put (22) and (24) into (14): the trace is $D$ in both directions, so only the determinants remain. In two dimensions
# $\mathrm{KL}_{\text{reverse}} = \frac12 \log \frac{s_1^2 s_2^2 (1 - \rho^2)}{s_1^2 s_2^2 (1 - \rho^2)^2}$ and
# $\mathrm{KL}_{\text{forward}} = \frac12 \log \frac{s_1^2 s_2^2}{s_1^2 s_2^2 (1 - \rho^2)}$. Both are
#
# $$\mathrm{KL}(q_{\text{reverse}} \,\|\, p) = \mathrm{KL}(p \,\|\, q_{\text{forward}}) = -\tfrac12 \log (1 - \rho^2). \tag{27}$$
#
# (In more than two dimensions the two differ in general.)

# %%
correlations, frames = [0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.99], []
origin = torch.zeros(2)
for rho in correlations:
    cov = torch.tensor([[1.0, rho], [rho, 1.0]])
    narrow, wide = (1 - rho**2) * torch.eye(2), torch.eye(2)  # equations (26) and (24)
    loss = 0.5 * math.log(1 / (1 - rho**2))  # equation (27)
    approximations = {"reverse": (origin, narrow), "forward": (origin, wide)}
    title = f"KL = {loss:.2f} nats in either direction"
    frames.append(plotting.gaussian_ellipses((origin, cov), approximations, title=title))
plotting.slider(frames, correlations, "ρ", start=4)

# %% [markdown]
# **Figure 12.** A correlated Gaussian (grey, one and two standard deviations) and its closest factorised Gaussians
# (two standard deviations). Drag ρ: the reverse circle passes through the points where the outer ellipse crosses the
# axes, so it shrinks; the forward circle stays as wide as the ellipse.
#
# <!-- alt: A tilted grey ellipse inside a circle that is as wide as it, and a smaller circle that crosses it on the
# axes. With growing correlation the ellipse gets thinner, the small circle shrinks, and the large one stays. -->

# %% tags=["build-check"]
for rho in correlations:
    cov = torch.tensor([[1.0, rho], [rho, 1.0]])
    assert abs(torch.linalg.inv(cov)[0, 0] - 1 / (1 - rho**2)) < 1e-9
    narrow = MultivariateNormal(origin, (1 - rho**2) * torch.eye(2))
    there = kl_divergence(narrow, MultivariateNormal(origin, cov))
    back = kl_divergence(MultivariateNormal(origin, cov), MultivariateNormal(origin, torch.eye(2)))
    assert abs(there - back) < 1e-9 and abs(there + 0.5 * math.log(1 - rho**2)) < 1e-9
assert abs(1 / math.sqrt(1 - 0.99**2) - 7.1) < 0.05
cov = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 1.0]])  # three dimensions: not the same
precision, log_det = torch.linalg.inv(cov), torch.logdet(cov)
assert abs(precision.diag().log().sum() + log_det - (cov.diag().log().sum() - log_det)) > 0.1

# %% [markdown]
# This is figure 10 again, in two dimensions. The reverse KL punishes mass where $p$ has little, so $q$ withdraws into
# the target. The forward KL punishes missing any of $p$'s mass, so $q$ covers all of it, empty corners included.
# Mean-field inference (unit 02) uses the reverse projection. For a Gaussian target its means are right; its variances
# are too small whenever variables are correlated, and by (26) there is no limit to that: at $\rho = 0.99$ the standard
# deviation is 7 times too small.
#
# **Check yourself.** (a) In which coordinates would both projections be exact? (b) You need error bars for single
# variables and can compute either projection. Which one do you use?
#
# <details><summary>Answer</summary>
#
# (a) Along the eigenvectors of $\Sigma$, because in these coordinates $\Sigma$ is diagonal. A KL does not change with
# coordinates, but the family "independent coordinates" does. (b) The forward one: by (24) its marginals are right.
# But it needs moments of $p$, that is, samples or integrals, and if $p$ is a posterior these are exactly what we lack.
# </details>

# %% [markdown]
# ## 8. Mode-seeking and mass-covering
#
# With more than one mode the two directions differ drastically. Let $p$ be a mixture of two Gaussians of
# standard deviation 0.8, with the weight $w_1 = 0.6$ at $-a$ and $w_2 = 0.4$ at $+a$, and let $q$ be a single Gaussian.
#
# **Forward** is moment matching (24), with the mean and the variance of a mixture:
#
# $$m = \sum_k w_k \mu_k, \qquad \sigma^2 = \sum_k w_k (\sigma_k^2 + \mu_k^2) - m^2.$$
#
# The result is one wide Gaussian. Its peak lies between the modes, where $p$ is small if they are far apart.
#
# **Reverse** has no formula here, but it has a bound. A mixture obeys $p(x) \ge w_k\, p_k(x)$ for each of its
# components, so a $q$ that sits on one of them, $q = p_k$, has
#
# $$\mathrm{KL}(p_k \,\|\, p) = \mathbb{E}_{p_k}\left[\log \frac{p_k(x)}{p(x)}\right] \le \mathbb{E}_{p_k}\left[\log \frac{p_k(x)}{w_k\, p_k(x)}\right] = -\log w_k. \tag{28}$$
#
# Giving up the other mode costs at most $-\log w_k$, the price of missing mass in (9a): here 0.51 nats on the left and
# 0.92 on the right, *however far apart the modes are*. We look for the minima by gradient descent on the integral (2),
# as a sum over a fine grid, from three starts: on the left mode, on the right mode, and wide over both.

# %% fast="half_distances, steps = [0.5, 3.0], 60"
half_distances = [0.5, 1.0, 1.5, 2.0, 2.1, 2.5, 3.0, 4.0]
steps = 400

# %%
a = torch.tensor(half_distances).unsqueeze(1)  # (targets, 1)
grid = torch.linspace(-14, 14, 1401)
left, right = Normal(-a, 0.8).log_prob(grid), Normal(a, 0.8).log_prob(grid)
log_p = torch.logaddexp(math.log(0.6) + left, math.log(0.4) + right)  # (targets, grid)


def kl_from_targets(q):
    """Equation (2) as a sum over the grid; q has the batch shape (starts, targets)."""
    log_q = q.log_prob(grid.view(-1, 1, 1)).movedim(0, -1)  # (starts, targets, grid)
    return (log_q.exp() * (log_q - log_p)).sum(-1) * (grid[1] - grid[0])


# %%
mean = torch.cat([-a, a, 0 * a], 1).T.clone().requires_grad_()  # (starts, targets)
widths = torch.cat([0 * a + 0.8, 0 * a + 0.8, a], 1).T
log_std = widths.log().requires_grad_()
optimizer = torch.optim.Adam([mean, log_std], lr=0.05)
for _ in range(steps):
    optimizer.zero_grad()
    kl_from_targets(Normal(mean, log_std.exp())).sum().backward()
    optimizer.step()
reverse = Normal(mean.detach(), log_std.detach().exp())
reverse_kl = kl_from_targets(reverse)  # (starts, targets)

# %%
m = 0.6 * -a + 0.4 * a  # mean of the mixture
forward = Normal(m, (0.8**2 + a**2 - m**2).sqrt())
forward_kl = (log_p.exp() * (log_p - forward.log_prob(grid))).sum(-1) * (grid[1] - grid[0])
print("KL in nats      forward   reverse, start: left        right        wide")
for row, half in enumerate(half_distances):
    left_kl, right_kl, wide_kl = reverse_kl[:, row]
    print(f"modes at ±{half}:   {forward_kl[row]:.3f}", end="              ")
    print(f"{left_kl:.3f}          {right_kl:.3f}       {wide_kl:.3f}")

# %%
where = half_distances.index(3.0)
visible = grid[grid.abs() < 7]
p_there = log_p[where].exp()[grid.abs() < 7]
left_end, right_end, wide_end = zip(reverse.mean[:, where], reverse.stddev[:, where], strict=True)
gaussians = {
    "reverse, on the left": Normal(*left_end),
    "forward": Normal(forward.mean[where], forward.stddev[where]),
    "reverse, on the right": Normal(*right_end),
    "reverse, over both": Normal(*wide_end),
}
curves = {name: gaussian.log_prob(visible).exp() for name, gaussian in gaussians.items()}
plotting.show(plotting.density_projections(visible, p_there, curves))

# %% [markdown]
# **Figure 13.** Mass-covering and mode-seeking. The forward projection covers both modes and the gap between them. The
# reverse KL has three minima: one on each mode, and a third, much worse, spread over both.
#
# <!-- alt: A grey density with two humps; a low broad bell over both, and two narrow bells, each over one of the humps.
# A second broad bell nearly follows the first. -->

# %% tags=["build-check"]
table = {half: (forward_kl[row].item(), *reverse_kl[:, row].tolist()) for row, half in enumerate(half_distances)}
assert [round(value, 3) for value in table[3.0][1:]] == [0.511, 0.916, 1.580]
assert max(table[1.5][1:]) - min(table[1.5][1:]) < 1e-4 and abs(table[4.0][3] - 3.309) < 0.005
assert abs(min(table[2.0][1:]) - 0.486) < 0.001 and table[2.0][1] > 0.49 and abs(table[2.1][1] - 0.498) < 0.001
assert abs(reverse_kl[0, where] + math.log(0.6)) < 0.005 and abs(reverse_kl[1, where] + math.log(0.4)) < 0.005

# %% [markdown]
# Read the table from the bottom. With the modes far apart, the minima on single modes cost what (28) says,
# $-\log 0.6 = 0.511$ and $-\log 0.4 = 0.916$ nats, whatever the distance. The third minimum, over both modes,
# costs 1.58 nats at $\pm 3$ and 3.31 at $\pm 4$. With the modes close together, up to $\pm 1.5$, all three starts find
# the same $q$. In between the best $q$ changes: at $\pm 2.0$ it still covers both (0.486 nats), at $\pm 2.1$ it sits
# on the left mode (0.498 nats). Which minimum is found depends on the start, and one run does not show that there are
# others. Move the modes to see which one is best.

# %%
best = reverse_kl.min(0)  # over the starts
frames = []
for row, start in enumerate(best.indices):
    closest = Normal(reverse.mean[start, row], reverse.stddev[start, row])
    matched = Normal(forward.mean[row], forward.stddev[row])
    fitted = {"reverse": closest, "forward": matched}
    curves = {name: gaussian.log_prob(visible).exp() for name, gaussian in fitted.items()}
    title = f"KL: forward {forward_kl[row]:.3f} nats, reverse {best.values[row]:.3f} nats"
    target = log_p[row].exp()[grid.abs() < 7]
    frames.append(plotting.density_projections(visible, target, curves, title))
plotting.slider(frames, half_distances, "a", start=len(frames) - 2)

# %% [markdown]
# **Figure 14.** Two modes move apart (drag $a$). Close together, the two projections are nearly the same.
# Between $\pm 2.0$ and $\pm 2.1$ the best reverse projection jumps to the left mode. From there on its KL stays at
# about 0.51 nats, while that of the forward projection keeps rising.
#
# <!-- alt: A density that splits into two humps; the forward bell widens with them, the reverse bell settles on the
# left hump. -->

# %% tags=["build-check"]
assert best.indices[-1] == 0 and best.values[-1] < -math.log(0.6) + 1e-3
assert (best.values[4:] - 0.505).abs().max() < 0.01 and forward_kl[4:].diff().min() > 0.1
assert [int(index) == 0 for index in best.indices[3:]] == [False, True, True, True, True]

# %% [markdown]
# Neither direction is wrong. They suit different purposes, and often the choice comes down to what can be computed.
#
# | | forward, $\mathrm{KL}(p \,\Vert\, q)$ | reverse, $\mathrm{KL}(q \,\Vert\, p)$ |
# |---|---|---|
# | expensive | missing a mode of $p$ | mass between the modes |
# | good for | averages over $p$: coverage, uncertainty | draws that must all be plausible under $p$ |
# | needs | samples of $p$ | samples of $q$, and $\log p$ up to a constant |
# | used for | learning a model $q$ from data | inference, where $p$ is a posterior with unknown normaliser |
#
# **Check yourself.** (a) Why can the reverse KL be minimised without the normaliser of $p$, but not *evaluated*
# without it? (b) A generative model is fitted by maximum likelihood and makes blurred images, each mixing features of
# several. Which direction of the KL explains that?
#
# <details><summary>Answer</summary>
#
# (a) With $p = \tilde p / Z$, $\mathrm{KL}(q \,\|\, p) = \mathbb{E}_q[\log q - \log \tilde p] + \log Z$. The last
# term does not depend on $q$. Leaving it out gives minus the evidence lower bound of unit 02. (b) Forward: maximum
# likelihood is $\min \mathrm{KL}(p_{\text{data}} \,\|\, q)$; a family too small for the data spreads over all of
# them, and the space between them gets probability too.
# </details>

# %% [markdown]
# ### The closest distribution with a given mean
#
# So far the family was given and $q$ had to belong to it. Often we are given an average instead. Jaynes's example is
# a die. All you know is that its average throw is 4.5 instead of 3.5. Which probabilities do you assign to its faces?
# Many distributions have that mean. A reasonable choice is the one closest to the fair die $p$:
#
# $$\text{minimise } \mathrm{KL}(q \,\|\, p) \quad \text{subject to} \quad \mathbb{E}_q[f(x)] = c, \tag{29}$$
#
# with $f(x) = x$ and $c = 4.5$ here. This is called an *information projection*. Consider the family of *exponentially
# tilted* distributions,
#
# $$q_\lambda(x) = \frac{p(x)\, e^{\lambda f(x)}}{Z(\lambda)}, \qquad Z(\lambda) = \sum_x p(x)\, e^{\lambda f(x)}. \tag{30}$$
#
# If one of them has the right mean, it is the answer. For any $q$ with $\mathbb{E}_q[f] = c$, insert $q_\lambda$ into
# the logarithm:
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb{E}_q\Bigl[\log \frac{q}{q_\lambda}\Bigr] + \mathbb{E}_q\Bigl[\log \frac{q_\lambda}{p}\Bigr]
# = \mathrm{KL}(q \,\|\, q_\lambda) + \lambda c - \log Z(\lambda). \tag{31}$$
#
# The last two terms are the same for every such $q$. The first is zero for $q = q_\lambda$ and positive for all
# others.

# %%
faces = torch.arange(1.0, 7.0)
fair = torch.full((6,), 1 / 6)
tilts = [-1.0, -0.5, 0.0, 0.2, 0.5, 1.0]
tilted = [torch.softmax(fair.log() + tilt * faces, 0) for tilt in tilts]  # equation (30)
frames = []
for q in tilted:
    kl = (q * (q / fair).log()).sum()
    title = f"KL(q‖p) = {kl:.3f} nats"
    frames.append(plotting.tilted_distribution(faces.tolist(), fair, q, wanted=4.5, title=title))
plotting.slider(frames, tilts, "λ", start=3)

# %% [markdown]
# **Figure 15.** A fair die (outlines), tilted (bars). Drag $\lambda$: positive values move probability to the high
# faces, negative ones to the low faces. For the mean 4.5 (dotted) $\lambda$ has to lie between 0.2 and 0.5.
#
# <!-- alt: Six bars for the faces of a die that rise from left to right, over six equal outlines; a line marks their
# mean and a dotted line the wanted mean of 4.5. -->

# %% tags=["build-check"]
tilted_means = [(q @ faces).item() for q in tilted]
assert tilted_means[3] < 4.5 < tilted_means[4] and abs(tilted_means[2] - 3.5) < 1e-9

# %% [markdown]
# It remains to find $\lambda$, given $p$, $f$ and $c$. Is there always one? Is there only one? How do you
# find it safely if $c$ is close to the largest value of $f$, where $\lambda$ gets large? That is an exercise of this
# unit, `information_projection`.

# %% [markdown]
# ## 9. Two laws: the chain rule and data processing
#
# How does a KL change if we look at more, or at less: at pairs instead of single variables, at bands instead of
# pixels? Two laws answer that, and later units build on them.
#
# **The chain rule.** Let $q$ and $p$ be distributions of a pair $(x, y)$. Factor both, $q(x, y) = q(x)\, q(y \mid x)$
# and the same for $p$. The logarithm of the ratio splits into two, and so does its average:
#
# $$
# \begin{aligned}
# \mathrm{KL}\bigl(q(x, y) \,\|\, p(x, y)\bigr) &= \mathbb{E}_{q(x, y)}\Bigl[\log \frac{q(x)}{p(x)} + \log \frac{q(y \mid x)}{p(y \mid x)}\Bigr] \\
# &= \mathrm{KL}\bigl(q(x) \,\|\, p(x)\bigr) + \mathbb{E}_{q(x)}\Bigl[\mathrm{KL}\bigl(q(y \mid x) \,\|\, p(y \mid x)\bigr)\Bigr].
# \end{aligned} \tag{32}
# $$
#
# In the first term $y$ is averaged out. In the second the average over $y$ for fixed $x$ is a KL, and then $x$ is
# averaged under $q$. Three consequences:
#
# * *Joint distributions are at least as far apart as their marginals:* the second term is at least zero, so
#   $\mathrm{KL}(q(x) \,\|\, p(x)) \le \mathrm{KL}(q(x, y) \,\|\, p(x, y))$. Equality holds exactly if
#   $q(y \mid x) = p(y \mid x)$ for every $x$ with $q(x) > 0$.
# * *Independent observations add up.* If $x$ and $y$ are independent under both, the conditionals are the marginals:
#   that is (10), and it is why evidence in figure 2 grows along a straight line.
# * *Hidden variables.* Let $x$ be data and $y = z$ hidden. Take $q(x, z) = q_{\text{data}}(x)\, q(z \mid x)$ and a model
#   $p(x, z)$. Then (32) says: the KL of the joint distributions is how far the model is from the data, plus how far
#   $q(z \mid x)$ is from the posterior $p(z \mid x)$. A variational autoencoder (unit 03) minimises this sum.
#
# **Data processing.** Send $x$ through the same channel $t(y \mid x)$ under both distributions. The channel may be
# noise, blur, or a function such as "which band?". What happens to the KL? The two joint distributions are
# $q(x)\, t(y \mid x)$ and $p(x)\, t(y \mid x)$. Apply (32) twice, once splitting off $x$ and once splitting off $y$:
#
# $$\mathrm{KL}\bigl(q(x) \,\|\, p(x)\bigr) + 0 = \mathrm{KL}\bigl(q(x, y) \,\|\, p(x, y)\bigr) = \mathrm{KL}\bigl(q(y) \,\|\, p(y)\bigr) + \mathbb{E}_{q(y)}\Bigl[\mathrm{KL}\bigl(q(x \mid y) \,\|\, p(x \mid y)\bigr)\Bigr].$$
#
# On the left both conditionals are $t$, so their KL is zero. Dropping the last term leaves the *data processing
# inequality*:
#
# $$\mathrm{KL}\bigl(q(y) \,\|\, p(y)\bigr) \le \mathrm{KL}\bigl(q(x) \,\|\, p(x)\bigr). \tag{33}$$
#
# *No processing can move two distributions further apart.* Equality holds exactly if $q(x \mid y) = p(x \mid y)$
# for every $y$ with $q(y) > 0$: within one $y$ the two distributions have the same proportions, so the ratio
# $q(x)/p(x)$ depends on $x$ only through $y$. What is lost is exactly the average KL within the groups. See it in the
# ink of the 7 and the 6: merge pixels into larger and larger squares.


# %%
def kl_in_bits(q, p):
    return (q * (q / p).log2()).sum()  # equation (1), in bits


pair = mixed[[7, 6]].view(2, 1, side, side)
counts = {8: [8, 4, 2, 1], 28: [28, 14, 7, 1]}[side]  # each divides the one before
rows, kls = [{}, {}], []
for count in counts:
    width = side // count
    coarse = avg_pool2d(pair, width)[:, 0] * width**2  # sums of the pixels in each square
    kls.append(kl_in_bits(*coarse).abs().item())  # abs: of rounding, at 1 × 1
    rows[0][f"7s, {count}×{count}"] = coarse[0]
    rows[1][f"6s, KL(7‖6) = {kls[-1]:.2f} bits"] = coarse[1]
plotting.show(plotting.pixel_maps(rows))

# %% [markdown]
# **Figure 16.** Ink of the 7s (top) and of the 6s (bottom) on coarser and coarser grids, and
# $\mathrm{KL}(7 \,\|\, 6)$. The KL falls at every step and ends at zero, where all the ink is in one square.
#
# <!-- alt: Two rows of four maps, 8 by 8, 4 by 4, 2 by 2 and a single square. The titles of the lower row give the KL:
# 1.18, 0.80, 0.46 and 0.00 bits. -->

# %% tags=["build-check"]
assert [round(kl, 2) for kl in kls] == [1.18, 0.80, 0.46, 0.0]

# %% [markdown]
# How much is lost depends on the grouping and not only on the number of groups. Here are four ways to merge the
# pixels into four groups.

# %%
seven, six = mixed[7], mixed[6]
by_ratio = (seven / six).argsort().view(4, -1)  # pixels of similar ratio q/p together
pixel = torch.arange(side * side).view(side, side)
quarters = pixel.view(2, side // 2, 2, side // 2).transpose(1, 2).reshape(4, -1)
torch.manual_seed(0)
shuffled = torch.randperm(side * side).view(4, -1)
bands = pixel.view(4, -1)
ways = {"bands": bands, "quarters": quarters, "by ratio": by_ratio, "at random": shuffled}

# %%
print(f"all pixels: {kl_in_bits(seven, six):.3f} bits")
for name, groups in ways.items():
    q, p = seven[groups].sum(1), six[groups].sum(1)
    inside = [kl_in_bits(seven[g] / seven[g].sum(), six[g] / six[g].sum()) for g in groups]
    within = (q * torch.stack(inside)).sum()  # the last term of the chain rule
    print(f"{name:9}: {kl_in_bits(q, p):.3f} bits between the groups + {within:.3f} within them")

# %% tags=["build-check"]
for groups in ways.values():
    between = kl_in_bits(seven[groups].sum(1), six[groups].sum(1))
    assert between < kl_in_bits(seven, six)
kept = [kl_in_bits(seven[g].sum(1), six[g].sum(1)) / kl_in_bits(seven, six) for g in ways.values()]
assert [round(share.item(), 2) for share in kept] == [0.17, 0.39, 0.77, 0.04]
assert round(math.log(1000) / (kl_in_bits(seven, six).item() * math.log(2))) == 8
pixels_of_7 = torch.multinomial(seven, 2000 * 100, replacement=True).view(2000, 100)
enough = (seven / six).log()[pixels_of_7].cumsum(1) > math.log(1000)
assert enough.any(1).all() and round((enough.double().argmax(1) + 1.0).mean().item()) == 10

# %% [markdown]
# In each line the two numbers add up to the KL of all pixels, as the chain rule says. For the small digits, four
# groups of similar ratio keep 77 % of it, the quarters 39 %, the bands of figure 1 only 17 %, groups made at random
# 4 %. A good feature separates outcomes whose ratios differ. And if you see the pixel of each drop, and not only its
# band, the rule of figure 2 gives $\log 1000 / 0.82 \approx 8$ drops until you are sure of the 7, instead of 49. (In
# 2,000 runs it takes 10 on average, because single drops now overshoot by more.)
#
# **Check yourself.** (a) You add noise to both $q$ and $p$, independent of $x$ and the same for both. Can it raise the
# KL? (b) A friend finds a feature of images whose KL between two classes is larger than that of the images. What do
# you say? (c) Section 3 claimed that misplaced mass is cheapest if $q$ keeps $p$'s proportions within $A$ and outside
# it. Why?
#
# <details><summary>Answer</summary>
#
# (a) No: noise is a channel, so (33) applies. (b) There is an error, for example two different estimators or two
# different samples: a feature is a function of the image. (c) Let $y$ say whether $x$ lies in $A$. The KL of $y$ is
# (9b); by the chain rule the KL of $x$ is larger by the KL within the two groups, and that is zero for equal
# proportions.
# </details>

# %% [markdown]
# ## 10. Relatives, on one page
#
# **Jensen–Shannon.** Compare both with their average $m = \frac12 (q + p)$:
#
# $$\mathrm{JS}(q, p) = \tfrac12 \mathrm{KL}(q \,\|\, m) + \tfrac12 \mathrm{KL}(p \,\|\, m), \qquad 0 \le \mathrm{JS}(q, p) \le \log 2. \tag{34}$$
#
# It is symmetric, and always finite: $m \ge \frac12 q$, so $\log (q/m) \le \log 2$, and the same for $p$. It is
# $\log 2$, one bit, exactly when $q$ and $p$ have no outcome in common. Its square root is a metric (Endres and
# Schindelin, 2003). Read $m$ as "toss a coin, then draw from $q$ or $p$": JS is the information that a draw carries
# about the coin.
#
# **f-divergences.** Take any convex function $f$ with $f(1) = 0$ and average it over the ratio:
#
# $$D_f(q \,\|\, p) = \sum_x p(x)\, f\!\left(\frac{q(x)}{p(x)}\right) \;\ge\; f\Bigl(\sum_x p(x)\, \frac{q(x)}{p(x)}\Bigr) = f(1) = 0 \quad (p > 0), \tag{35}$$
#
# by Jensen's inequality. Each choice of $f$ gives one divergence:
#
# | divergence | $f(t)$ | largest value |
# |---|---|---|
# | $\mathrm{KL}(q \,\Vert\, p)$ | $t \log t$ | $\infty$ |
# | $\mathrm{KL}(p \,\Vert\, q)$ | $-\log t$ | $\infty$ |
# | Jensen–Shannon | $\frac12 \bigl[t \log t - (1 + t) \log \frac{1 + t}{2}\bigr]$ | $\log 2$ |
# | total variation | $\frac12 \lvert t - 1 \rvert$ | 1 |
# | squared Hellinger | $\frac12 (\sqrt t - 1)^2$ | 1 |
# | Pearson's $\chi^2$ | $(t - 1)^2$ | $\infty$ |
#
# **For small differences they agree, up to a factor.** Let $q = p\,(1 + u)$ with small $u$, $\sum_x p\, u = 0$, and
# let $f$ be twice differentiable at 1 (total variation is not). Expand around 1. The linear term averages to zero:
#
# $$D_f(q \,\|\, p) = \sum_x p\, \bigl[ f(1) + f'(1)\, u + \tfrac12 f''(1)\, u^2 + \dots \bigr] \approx \frac{f''(1)}{2} \sum_x \frac{(q(x) - p(x))^2}{p(x)}. \tag{36}$$
#
# Both KLs have $f''(1) = 1$: for small differences the KL *is* symmetric. This is also why $k_2$ works. Its mean is
# $\sum_x p\, f(q/p)$ with $f(t) = \frac12 t \log^2 t$, which has $f''(1) = 1$ as well. (This $f$ is not convex
# for $t < 1/e$, so $k_2$'s mean is not an f-divergence.)

# %%
distances = torch.linspace(0, 5, 26)
cells = torch.linspace(-12, 17, 2901)  # a fine histogram stands for each density
p = Normal(0.0, 1.0).log_prob(cells).exp() * 0.01
q = Normal(distances.unsqueeze(1), 1.0).log_prob(cells).exp() * 0.01  # (distances, cells)
kinds = (relatives.KL, relatives.JENSEN_SHANNON, relatives.TOTAL_VARIATION, relatives.SQUARED_HELLINGER)
curves = {kind.name: relatives.f_divergence(q, p.expand_as(q), kind) for kind in kinds}
axis_labels = ("distance between two unit Gaussians", "divergence")
limit = ("log 2", math.log(2))
plotting.show(plotting.divergence_curves(distances, curves, *axis_labels, largest=2.0, limit=limit))

# %% [markdown]
# **Figure 17.** Two Gaussians move apart. The KL keeps growing, with the square of the distance. The others level
# out: once the two hardly overlap, more distance makes no difference, and the gradient vanishes.
#
# <!-- alt: Four rising curves over the distance: a parabola for KL that leaves the picture at distance 2, and three that
# level out, Jensen–Shannon below the dotted line at log 2, the other two near 1. -->

# %% tags=["build-check"]
assert (curves["KL(q‖p)"] - distances**2 / 2).abs().max() < 1e-6
ends = {name: curve[-1].item() for name, curve in curves.items()}
assert 0.95 < ends["total variation"] < 1 and 0.9 < ends["squared Hellinger"] < 1
assert 0.65 < ends["Jensen–Shannon"] < math.log(2)

# %% [markdown]
# **Check yourself.** $p$ is uniform on the interval $[5, 6]$ and $q$ on $[\theta, \theta + 1]$, starting at
# $\theta = 0$. Which of the divergences in the table could guide $\theta$ towards 5 by gradient descent?
#
# <details><summary>Answer</summary>
#
# None. The intervals do not overlap, so every one of them is at its largest value or infinite, and it stays there if
# $\theta$ moves a little. They compare the two densities at the same place and take no account of which places are
# *near* each other. Distances that do (Wasserstein, maximum mean discrepancy) come in unit 04. With Gaussians, whose
# tails reach everywhere, the KL has a slope at any distance.
# </details>

# %% [markdown]
# ## What to remember
#
# 1. $\mathrm{KL}(q \,\|\, p)$ averages $\log (q/p)$ over $q$: the evidence per observation. It is never negative, zero
#    only for $q = p$, and infinite where $q$ allows what $p$ rules out.
# 2. The reverse KL charges $-\log(\text{kept mass})$ for missing mass, and without bound for misplaced mass. In the
#    forward direction it is the other way round.
# 3. For Gaussians there is a formula, (12) and (14); compute it with Cholesky factors. Reverse matches the precision
#    and seeks modes: too narrow. Forward matches the moments and covers the mass: too wide.
# 4. From samples: $k_1$ is unbiased and noisy; $k_3$ is unbiased if $q$ covers $p$, and precise where $q \approx p$.
#    Print the standard error, and the mean of $r$.
# 5. Chain rule: the KL of a pair is the KL of one part plus the average KL of the other given the first. No processing
#    raises a KL.

# %% [markdown]
# ## What goes wrong in practice
#
# | what you see | why | what to do |
# |---|---|---|
# | a KL that should be large is small, or the reverse | $q$ and $p$ exchanged: `torch.nn.functional.kl_div(input, target)` is $\mathrm{KL}(\text{target} \,\Vert\, \text{input})$, takes `input` as *log*-probability, and averages by default | try the code on a pair whose two directions you know |
# | large, finite values where supports differ | a small constant in the logarithm, $\log (p + 10^{-8})$, turns infinities into numbers and biases the rest | treat zeros of $q$ exactly ($0 \log 0 = 0$), and let an infinite KL be infinite |
# | a KL that does not grow with the dimension | a mean over coordinates where (10) has a sum | sum over coordinates, one number for each member of the batch |
# | training runs, but the loss means nothing | standard deviation, variance or a logarithm of one mixed up in (12) | use names that say which it is, such as `log_std` |
# | a negative KL | from a formula: something is not normalised; from samples: noise of $k_1$ | check the sums; print the standard error |
# | a small error bar on a wrong estimate | $k_3$ with a $q$ that is narrower than $p$ or misses part of it (section 6); every average of $r$ has this fault, including unit 03's importance weights | use $k_1$; print the mean of $r$ |
# | error bars from a reverse projection are too small | they are those of the conditional distributions (25), and they shrink as the correlations grow | do not report them as uncertainty |
# | two tables differ by a factor of 1.44 | nats against bits | write the unit |

# %% [markdown]
# ## Sources
#
# | for | source |
# |---|---|
# | the definition, and that processing cannot raise it | S. Kullback and R. A. Leibler, [On Information and Sufficiency](https://doi.org/10.1214/aoms/1177729694), Annals of Mathematical Statistics 22, 1951 |
# | entropy, codes, chain rule, data processing | T. M. Cover and J. A. Thomas, *Elements of Information Theory*, 2nd edition, Wiley 2006, chapter 2 |
# | the reverse projection of a correlated Gaussian | D. J. C. MacKay, [Information Theory, Inference, and Learning Algorithms](http://www.inference.org.uk/mackay/itila/), Cambridge 2003, chapter 33 |
# | both projections, the bimodal target | C. M. Bishop, *Pattern Recognition and Machine Learning*, Springer 2006, section 10.1.2 |
# | sections 7 and 8, and divergences between the two directions | T. Minka, *Divergence measures and message passing*, Microsoft Research technical report 173, 2005 |
# | the three estimators | J. Schulman, [Approximating KL Divergence](http://joschu.net/blog/kl-approx.html), 2020 |
# | the information projection | I. Csiszár, *I-divergence geometry of probability distributions and minimization problems*, Annals of Probability 3, 1975 |
# | the die | E. T. Jaynes, *Information theory and statistical mechanics*, Brandeis lectures, 1963 |
# | Jensen–Shannon | J. Lin, *Divergence Measures Based on the Shannon Entropy*, IEEE Transactions on Information Theory 37, 1991; D. M. Endres and J. E. Schindelin, *A new metric for probability distributions*, the same journal 49, 2003 |
# | f-divergences | I. Csiszár, *Information-type measures of difference of probability distributions and indirect observations*, Studia Scientiarum Mathematicarum Hungarica 2, 1967; S. M. Ali and S. D. Silvey, *A General Class of Coefficients of Divergence of One Distribution from Another*, Journal of the Royal Statistical Society B 28, 1966 |
# | the small digits | E. Alpaydin and C. Kaynak, *Optical recognition of handwritten digits*, UCI repository, 1998 |

# %% [markdown]
# ## Where next
#
# In this unit's **assignment** you write the functions behind this lecture. They then fit a Gaussian to a posterior
# shaped like two moons, in both directions, and you watch the fit as a film. **Unit 02** turns the reverse projection
# into a method: mean-field variational inference, where $p$ is a posterior with an unknown normaliser. **Unit 03**
# trains a network to do the projecting.
