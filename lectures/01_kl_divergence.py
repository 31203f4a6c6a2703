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
# How different are two distributions? Everything in this course is trained by one answer to that question. This
# lecture derives it, learns to read it as an *objective* (what does it insist on, what does it let pass?), computes
# it for Gaussians, estimates it from samples, and shows that its two directions want two different things.
#
# **What you will be able to do**
#
# 1. Define the KL divergence, prove in two ways that it is never negative, and say what it costs in nats and in bits.
# 2. Predict from the contributions of single outcomes what a minimiser of $\mathrm{KL}(q \,\|\, p)$ will do.
# 3. Derive the KL between two Gaussians, and compute it without inverting a matrix.
# 4. Estimate a KL from samples with an error bar, and choose among three estimators by bias and variance.
# 5. Project a distribution onto a simpler family in both directions, and explain why one seeks a mode and the other
#    covers the mass.
#
# **What you need first.** Probability densities, expectations, covariance matrices, and the derivative of a
# logarithm. Unit 00 for how exercises work.
#
# **What it costs.** An hour and a quarter to read, with a pencil for the derivations. Under a minute to run on two CPU cores,
# and 1 GB of memory. A GPU makes no difference: nothing here uses one.

# %% [markdown]
# ## Set-up
#
# On Colab this cell installs the course's library and leaves PyTorch and NumPy as they are; elsewhere it uses the
# copy of the course that the notebook lies in.

# %%
import subprocess
import sys
from importlib import metadata, util
from pathlib import Path

sys.path[:0] = [str(folder) for folder in Path.cwd().parents if (folder / "avae_lib").is_dir()][:1]
if util.find_spec("avae_lib") is None:  # as on Colab: install it, and keep these three in the versions they have
    keep = [f"{name}=={metadata.version(name)}" for name in ("torch", "torchvision", "numpy")]
    address = "https://github.com/{{repository}}/archive/{{branch}}.zip"
    if subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", address, *keep]).returncode:
        raise ImportError("avae_lib could not be installed: without a network, open this notebook in a course folder")

from avae_lib.notebook_setup import ready

print(ready())

# %%
import math
import os

import torch
from torch.distributions import Categorical, MultivariateNormal, Normal, kl_divergence

from avae_lib import data, plotting
from avae_lib.divergences import f_divergences as relatives

torch.set_default_dtype(torch.float64)  # so that rounding is never what we look at
fast = "AVAE_FAST" in os.environ  # the short way is for automatic tests
draws = 20_000 if fast else 400_000

# %% [markdown]
# ## 1. The definition
#
# Let $q$ and $p$ be two distributions over the same outcomes. Suppose that outcomes come from $q$, and that we take
# them to come from $p$. An outcome $x$ is then off by the factor $q(x) / p(x)$ from what we expect, in logarithms by
# $\log q(x) - \log p(x)$. The *Kullback–Leibler divergence* is the average of that, over what really happens:
#
# $$\mathrm{KL}(q \,\|\, p) = \sum_x q(x) \log \frac{q(x)}{p(x)}. \tag{1}$$
#
# For densities the sum becomes an integral,
#
# $$\mathrm{KL}(q \,\|\, p) = \int q(x) \log \frac{q(x)}{p(x)}\, dx. \tag{2}$$
#
# Two conventions complete the definition. Both are limits.
#
# * An outcome with $q(x) = 0$ contributes nothing: $0 \log 0 = 0$, because $q \log q \to 0$ as $q \to 0$. That holds
#   whatever $p(x)$ is, zero included: what never happens costs nothing.
# * An outcome with $q(x) > 0$ and $p(x) = 0$ contributes $+\infty$: no finite number makes up for calling something
#   impossible that happens.
#
# The KL compares distributions, not the names of their outcomes. If $y = g(x)$ is an invertible change of variables,
# both densities in (2) get the same factor $|dx/dy|$, which cancels in the ratio; the KL stays the same. (The entropy
# of a density does not have this property. It changes with the units of $x$; a KL never does.)
#
# ### Nats and bits
#
# Split the logarithm of the ratio in (1):
#
# $$\mathrm{KL}(q \,\|\, p) = \underbrace{-\sum_x q(x) \log p(x)}_{\text{cross-entropy } H(q, p)}
# - \underbrace{\Bigl(-\sum_x q(x) \log q(x)\Bigr)}_{\text{entropy } H(q)}. \tag{3}$$
#
# With logarithms to base 2 this is about storage. A code built for $p$ spends $-\log_2 p(x)$ bits on $x$ (give or
# take the rounding to whole bits), and its average length under $q$ is the cross-entropy. The best code for $q$
# spends the entropy. The difference, the KL in *bits*, is what the wrong code wastes. With natural logarithms the
# unit is the *nat*:
#
# $$\mathrm{KL}_{\text{bits}} = \frac{\mathrm{KL}_{\text{nats}}}{\log 2}, \qquad 1 \text{ nat} = \frac{1}{\log 2} \text{ bits} \approx 1.443 \text{ bits}. \tag{4}$$
#
# This course computes in nats, since $\log$ has the simpler derivative, and reports images in bits per dimension.

# %%
q = torch.tensor([0.5, 0.25, 0.25, 0.0])  # four outcomes; the last never happens under q
p = torch.tensor([0.25, 0.25, 0.25, 0.25])
happens = q > 0
nats = (q[happens] * (q[happens] / p[happens]).log()).sum()  # equation (1)
cross_entropy, entropy = -(q * p.log2()).sum(), -(q[happens] * q[happens].log2()).sum()
print(f"equation (1): {nats:.4f} nats = {nats / math.log(2):.4f} bits")
print(f"equation (3): {cross_entropy:.2f} bits with the code for p, {entropy:.2f} with that for q")
print(f"in torch.distributions: {kl_divergence(Categorical(probs=q), Categorical(probs=p)):.4f} nats")

# %% [markdown]
# The code for $p$ spends two bits on every outcome. The code for $q$ writes `0` for the first outcome and `10`, `11`
# for the next two: a bit and a half on average.
#
# **Check yourself.** (a) What is $\mathrm{KL}(p \,\|\, q)$ in this example? (b) A KL is 3 bits. By which factor, on
# the geometric average over $q$, is $p(x)$ too small?
#
# <details><summary>Answer</summary>
#
# (a) $+\infty$: the fourth outcome has $p = \frac14$ and $q = 0$. No code for $q$ has a word for it. (b) By
# $2^3 = 8$: the KL is the average of $\log_2 q(x)/p(x)$, and the exponential of an average of logarithms is the
# geometric average.
# </details>

# %% [markdown]
# ## 2. It is never negative
#
# Single outcomes may well contribute negative terms, wherever $p(x) > q(x) > 0$. The sum can't be negative, and is
# zero only for equal distributions. We prove this twice, because both arguments come back in every unit.
#
# **By $\log x \le x - 1$.** First the inequality. The function $f(x) = x - 1 - \log x$ has the derivative $1 - 1/x$:
# it falls for $x < 1$, rises for $x > 1$, and its smallest value is $f(1) = 0$. Hence
#
# $$\log x \le x - 1 \quad \text{for } x > 0, \text{ with equality only at } x = 1. \tag{5}$$
#
# Now let all sums run over the outcomes with $q(x) > 0$, since the others contribute nothing, and put $x \to p/q$:
#
# $$
# \begin{aligned}
# -\mathrm{KL}(q \,\|\, p) &= \sum_{q > 0} q(x) \log \frac{p(x)}{q(x)} \le \sum_{q > 0} q(x) \Bigl( \frac{p(x)}{q(x)} - 1 \Bigr) \\
# &= \sum_{q > 0} p(x) - \sum_{q > 0} q(x) \le 1 - 1 = 0.
# \end{aligned} \tag{6}
# $$
#
# Equality needs both: $p(x) = q(x)$ wherever $q(x) > 0$, by (5); and $\sum_{q > 0} p(x) = 1$, so that $p$ has nothing
# left for the outcomes with $q(x) = 0$. Together, $p = q$.
#
# **By Jensen's inequality.** The logarithm is strictly concave, so the average of logarithms is at most the logarithm
# of the average:
#
# $$-\mathrm{KL}(q \,\|\, p) = \mathbb{E}_q\left[\log \frac{p(x)}{q(x)}\right] \le \log \mathbb{E}_q\left[\frac{p(x)}{q(x)}\right]
# = \log \sum_{q > 0} p(x) \le \log 1 = 0. \tag{7}$$
#
# The first step is an equality only if $p/q$ is constant where $q > 0$, the second only if these outcomes have all of
# $p$'s mass. Then the constant is 1, and $p = q$ again. (If $p(x) = 0 < q(x)$ somewhere, the KL is $+\infty$ and
# there is nothing to prove.)
#
# For densities replace sums by integrals in (6) and (7). "Equal" then means equal almost everywhere: on single points
# two densities may differ.
#
# The proof (6) hides a form of the KL that is worth having. Since $\sum_x (p(x) - q(x)) = 0$, it may be added for
# free:
#
# $$\mathrm{KL}(q \,\|\, p) = \sum_x \Bigl[ q(x) \log \frac{q(x)}{p(x)} - q(x) + p(x) \Bigr]. \tag{8}$$
#
# Now *every single term* is at least zero: (5) at $x = p/q$, multiplied by $q$, says so. We shall meet this form
# again in section 6, as an estimator.

# %%
outcome = torch.linspace(0.02, 3, 200)
plotting.show(
    plotting.divergence_curves(
        outcome,
        {"x − 1 − log x": outcome - 1 - outcome.log()},
        x_label="x",
        y_label="x − 1 − log x",
        marked=[1.0],
        largest=3.0,
    ),
    caption="Figure 1. Inequality (5): the gap between x − 1 and log x is zero at x = 1 and positive everywhere else.",
    alt="A convex curve that falls to zero at x = 1 and rises again on the right, slower than it fell.",
)

# %% [markdown]
# ## 3. Reading it as an objective
#
# In this course a KL is rarely a number to report. It is something to minimise: $q$ is ours, $p$ is given, and
# training pushes $q$ wherever $\mathrm{KL}(q \,\|\, p)$ falls. What will it do? Look at the contribution of one
# outcome, $q \log (q / p)$, when each of the two probabilities is high or low:
#
# | $q$ | $p$ | contribution $q \log (q/p)$ | read as |
# |---|---|---|---|
# | 0.9 | 0.9 | 0 | agreement where it matters |
# | 0.9 | 0.1 | 1.98 | $q$ insists on what $p$ thinks unlikely: expensive |
# | 0.1 | 0.9 | −0.22 | $q$ passes over what $p$ thinks likely: hardly noticed |
# | 0.1 | 0.1 | 0 | agreement where it does not matter |
#
# The KL insists where $q$ is high, and shrugs where $q$ is low: each outcome is weighted by $q$. To lower it, $q$
# must above all *leave* the places where $p$ is small. Whether it visits every place where $p$ is large is a minor
# matter.

# %%
pairs = torch.tensor([[0.9, 0.9], [0.9, 0.1], [0.1, 0.9], [0.1, 0.1]])
for q_x, p_x in pairs.tolist():
    contribution = q_x * math.log(q_x / p_x)
    balanced = contribution - q_x + p_x  # as in (8)
    print(f"q = {q_x}, p = {p_x}: {contribution:5.2f} nats; with −q + p added {balanced:5.2f}")
plotting.show(
    plotting.contribution_curves([0.1, 0.5, 0.9], pairs.tolist()),
    caption="Figure 2. What one outcome with probability q contributes, for three values of p. Dots: the four rows of "
    "the table.",
    alt="Three curves over q. That for p = 0.1 rises steeply to 2.3, that for p = 0.9 stays between −0.33 and 0.11.",
)

# %% [markdown]
# **A remark on the table.** The lecture notes from which it is taken print 1.97 and −0.21 (cut off, not rounded: the
# values are 1.9775 and −0.2197), and call the last of these a *decrease* of the KL. Careful. A contribution is not a
# change, and a negative one is no reward that can be collected: probabilities sum to one, so whoever lowers $q$ here
# has to raise it elsewhere, and by (6) elsewhere costs at least as much. Form (8) keeps the books honestly: there the
# third row costs $+0.58$, the second $+1.18$, and the other two are 0.
#
# How negative can a contribution be? Its derivative $\log (q/p) + 1$ vanishes at $q = p / e$, so
#
# $$\min_q\; q \log \frac{q}{p} = -\frac{p}{e} \approx -0.37\, p. \tag{9}$$
#
# Passing over an outcome entirely ($q = 0$) is free, passing over most of it earns at most $0.37\,p$ on paper, and
# insisting wrongly costs without limit as $p \to 0$.
#
# ### Which $q$ is best?
#
# Let $p = (0.7,\, 0.2,\, 0.1)$. Which of these makes $\mathrm{KL}(q \,\|\, p)$ smallest: the uniform distribution,
# $p$ itself, or $(0.1,\, 0.1,\, 0.1)$? Decide before you go on.

# %%
target = [0.7, 0.2, 0.1]
candidates = {"uniform": [1 / 3] * 3, "p itself": target, "(0.1, 0.1, 0.1)": [0.1] * 3}
plotting.show(
    plotting.contribution_bars(target, candidates),
    caption="Figure 3. Three candidates beside p = (0.7, 0.2, 0.1), and below what each outcome contributes to the "
    "sum (1).",
    alt="Three panels. Uniform: sum 0.324 nats. p itself: all contributions zero. (0.1, 0.1, 0.1): sum minus 0.264 "
    "nats.",
)

# %% [markdown]
# By (6) nothing beats $p$ itself, with 0. And yet the sum for $(0.1, 0.1, 0.1)$ comes out as $-0.26$! It is not a
# distribution: it sums to 0.3, and (6) used $\sum q = 1$. A negative "KL" in your own code means the same: something
# in it is not normalised (or it is an estimate from samples, section 6). Normalised, the third candidate is the
# first.

# %% [markdown]
# **Check yourself.** (a) $q$ may choose between two outcomes only, and $p = (0.98, 0.01, 0.01)$; the first outcome is
# forbidden to $q$. Which $q$ is best, and what is its KL? (b) Where in the proof (6) would a non-normalised $p$ with
# $\sum p < 1$ do harm?
#
# <details><summary>Answer</summary>
#
# (a) By symmetry $q = (0, \frac12, \frac12)$, with $\mathrm{KL} = \log (0.5 / 0.01) = \log 50 \approx 3.9$ nats. It
# ignores 98 % of $p$ and pays a finite price: $-\log$ of the mass of $p$ that it may use, $-\log 0.02$. That is
# mode-seeking in a nutshell. (b) Nowhere: the last step only gets further below zero, so the sum stays positive. A
# $p$ with $\sum p > 1$ does harm.
# </details>

# %% [markdown]
# ## 4. It is not symmetric
#
# A fair coin $q = (\frac12, \frac12)$ and a bent one $p = (0.9, 0.1)$:
#
# $$\mathrm{KL}(q \,\|\, p) = \tfrac12 \log \tfrac{0.5}{0.9} + \tfrac12 \log \tfrac{0.5}{0.1} = 0.511, \qquad
#   \mathrm{KL}(p \,\|\, q) = 0.9 \log \tfrac{0.9}{0.5} + 0.1 \log \tfrac{0.1}{0.5} = 0.368.$$
#
# The average is over the first argument, so the two directions look at different outcomes. It is no distance then;
# nor does it obey the triangle inequality. When $q$ is the distribution we adjust and $p$ the given one,
# $\mathrm{KL}(q \,\|\, p)$ is called the *reverse* KL and $\mathrm{KL}(p \,\|\, q)$ the *forward* one. Maximum
# likelihood is forward: with the data's distribution as $p$,
# $\mathrm{KL}(p \,\|\, q) = -\mathbb{E}_p \log q + \text{const}$. Variational inference is reverse.
#
# To see it in real data, ask where on the paper the ink of a digit lies. For each kind of digit, add up the grey
# levels of all training images, pixel by pixel, and divide by the sum. That makes ten distributions over the pixels.

# %%
name = "mnist" if "google.colab" in sys.modules else "digits"
dataset = data.load(name)
images, labels = dataset.train.flatten(1).double(), torch.as_tensor(dataset.train_labels)
ink = torch.stack([images[labels == digit].sum(0) for digit in range(10)])
ink = ink / ink.sum(1, keepdim=True)  # (digits, pixels), each row a distribution
q, p = ink.unsqueeze(1), ink.unsqueeze(0)  # every digit against every other
contributions = torch.where(q > 0, q * (q / p).log(), 0.0)  # 0 log 0 = 0
infinite = contributions.sum(-1).isinf()
print(
    f"{name}: {images.shape[1]} pixels; infinite in {int(infinite.sum())} of 90 ordered pairs, "
    f"in one direction only for {int((infinite & ~infinite.T).sum())} of 45 pairs"
)

# %% [markdown]
# Nearly all of it is infinite: some pixel gets a trace of ink in one kind of digit and none in the other. The
# definition is right: who has never seen ink there and rules it out is infinitely wrong once. As a comparison of
# shapes it is useless. The usual remedy is to leave no outcome without probability. Here each distribution is mixed
# with 1 % of the uniform one.

# %%
mixed = 0.99 * ink + 0.01 / ink.shape[1]
matrix = (mixed.unsqueeze(1) * (mixed.unsqueeze(1) / mixed.unsqueeze(0)).log()).sum(-1)  # equation (1), row q, column p
plotting.show(
    plotting.divergence_matrix(matrix / math.log(2), range(10), "q: digit", "p: digit", "KL(q‖p)  (bits)"),
    caption="Figure 4. KL divergence between the inks of the ten digits, in bits. It is not symmetric: compare the "
    "row of the 0 with its column.",
    alt="A ten by ten matrix of numbers with zeros on the diagonal; the column of digit 0 is brighter than its row.",
)
row, column = matrix[0].sum() / 9, matrix[:, 0].sum() / 9
print(f"on average over the other digits: KL(0 ‖ other) = {row:.2f} nats, KL(other ‖ 0) = {column:.2f} nats")

# %% [markdown]
# Every digit but the 0 puts ink in the middle of the paper, where the 0 has its hole. Taken for a 0, that ink is
# expensive: the column of the 0. The ring of the 0 itself runs where the others have some ink too, so taking a 0 for
# something else costs less: its row. KL insists where the *first* argument is high.
#
# **Check yourself.** (a) Why is the divergence of the mixed distributions never above $\log 100 + \log 64$ nats, for
# 64 pixels? (b) Someone symmetrises: $\mathrm{KL}(q \,\|\, p) + \mathrm{KL}(p \,\|\, q)$. When is that no help?
#
# <details><summary>Answer</summary>
#
# (a) Every $p(x)$ is at least $0.01 / 64$ and every $q(x)$ at most 1, so each $\log (q/p)$, and with it the average,
# is at most $\log 6400$. (b) Whenever one of the two is infinite. Section 9 has a symmetric divergence that is always
# finite.
# </details>

# %% [markdown]
# ## 5. Gaussians
#
# For Gaussians the integral (2) can be done. We need it in every unit from 03 on.
#
# **Independent coordinates add up.** If $q(x) = \prod_d q_d(x_d)$ and $p(x) = \prod_d p_d(x_d)$, the logarithm of the
# ratio is a sum, and averaging its $d$-th term over $q$ leaves only the average over $x_d$:
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb{E}_q\Bigl[\sum_d \log \frac{q_d(x_d)}{p_d(x_d)}\Bigr] = \sum_d \mathrm{KL}(q_d \,\|\, p_d). \tag{10}$$
#
# **One coordinate.** Let $q = \mathcal{N}(\mu_q, \sigma_q^2)$ and $p = \mathcal{N}(\mu_p, \sigma_p^2)$. The logarithm
# of a Gaussian density is $-\tfrac12 \log 2\pi - \log \sigma - (x - \mu)^2 / 2\sigma^2$, so
#
# $$\log \frac{q(x)}{p(x)} = \log \frac{\sigma_p}{\sigma_q} - \frac{(x - \mu_q)^2}{2 \sigma_q^2} + \frac{(x - \mu_p)^2}{2 \sigma_p^2}.$$
#
# Average over $q$. The first square gives $\mathbb{E}_q (x - \mu_q)^2 = \sigma_q^2$. In the second write
# $x - \mu_p = (x - \mu_q) + (\mu_q - \mu_p)$; the mixed term has the average zero:
#
# $$\mathbb{E}_q (x - \mu_p)^2 = \mathbb{E}_q (x - \mu_q)^2 + 2 (\mu_q - \mu_p)\, \mathbb{E}_q (x - \mu_q) + (\mu_q - \mu_p)^2 = \sigma_q^2 + (\mu_q - \mu_p)^2. \tag{11}$$
#
# Put together, with the sum (10) over coordinates:
#
# $$\mathrm{KL}(q \,\|\, p) = \sum_d \Bigl[ \log \frac{\sigma_{p,d}}{\sigma_{q,d}} + \frac{\sigma_{q,d}^2 + (\mu_{q,d} - \mu_{p,d})^2}{2 \sigma_{p,d}^2} - \frac12 \Bigr]. \tag{12}$$
#
# Read it as an objective. The distance of the means counts in units of $\sigma_p$, squared. Of the widths only the
# ratio $t = \sigma_q / \sigma_p$ counts: $\frac12 (t^2 - 1) - \log t$, which is zero at $t = 1$ and rises like
# $-\log t$ where $q$ is too narrow, but like $\frac12 t^2$ where it is too wide.

# %%
ratio = torch.linspace(0.08, 3, 300)
reverse = 0.5 * (ratio**2 - 1) - ratio.log()  # equation (12) with equal means
forward = 0.5 * (1 / ratio**2 - 1) + ratio.log()  # the same with q and p exchanged
plotting.show(
    plotting.divergence_curves(
        ratio,
        {"reverse: KL(q‖p)": reverse, "forward: KL(p‖q)": forward},
        x_label="σ of q / σ of p",
        marked=[1.0],
        largest=4.0,
    ),
    caption="Figure 5. The price of a wrong width. The reverse KL minds a q that is too wide, since that puts mass "
    "where p has little; the forward KL minds one that is too narrow.",
    alt="Two curves that touch zero at ratio one. The forward one shoots up on the left, the reverse one rises faster "
    "on the right.",
)

# %% [markdown]
# **Full covariances.** Now $q = \mathcal{N}(\mu_q, \Sigma_q)$ and $p = \mathcal{N}(\mu_p, \Sigma_p)$ in $D$
# dimensions, with
# $\log q(x) = -\tfrac{D}{2} \log 2\pi - \tfrac12 \log \det \Sigma_q - \tfrac12 (x - \mu_q)^\top \Sigma_q^{-1} (x - \mu_q)$.
# A quadratic form is its own trace, and a trace allows its factors to be turned round,
# $v^\top A v = \operatorname{tr}(v^\top A v) = \operatorname{tr}(A\, v v^\top)$. With
# $\mathbb{E}_q (x - \mu_p)(x - \mu_p)^\top = \Sigma_q + (\mu_q - \mu_p)(\mu_q - \mu_p)^\top$, which is (11) for
# vectors,
#
# $$\mathbb{E}_q (x - \mu_p)^\top \Sigma_p^{-1} (x - \mu_p) = \operatorname{tr}\bigl(\Sigma_p^{-1} \Sigma_q\bigr) + (\mu_q - \mu_p)^\top \Sigma_p^{-1} (\mu_q - \mu_p). \tag{13}$$
#
# The same with $q$ in the place of $p$ gives $\operatorname{tr}(\Sigma_q^{-1} \Sigma_q) = D$. Hence
#
# $$\mathrm{KL}(q \,\|\, p) = \frac12 \Bigl[ \operatorname{tr}\bigl(\Sigma_p^{-1} \Sigma_q\bigr) + (\mu_q - \mu_p)^\top \Sigma_p^{-1} (\mu_q - \mu_p) - D + \log \frac{\det \Sigma_p}{\det \Sigma_q} \Bigr]. \tag{14}$$
#
# For diagonal covariances this is (12) again.
#
# **How to compute it.** Determinants of large matrices leave the range of floating-point numbers, and inverses lose
# digits where a covariance is nearly singular. Both can be avoided. Factor $\Sigma_q = L_q L_q^\top$ and
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

# %%
torch.manual_seed(0)
root_q, root_p = torch.randn(2, 5, 5)
q = MultivariateNormal(torch.zeros(5), root_q @ root_q.T + 0.1 * torch.eye(5))
p = MultivariateNormal(torch.ones(5), root_p @ root_p.T + 0.1 * torch.eye(5))
(l_q, l_p), difference = (torch.linalg.cholesky(d.covariance_matrix) for d in (q, p)), q.mean - p.mean
trace = torch.linalg.solve_triangular(l_p, l_q, upper=False).square().sum()  # equation (15)
square = torch.linalg.solve_triangular(l_p, difference.unsqueeze(1), upper=False).square().sum()
log_dets = 2 * (l_p.diag().log().sum() - l_q.diag().log().sum())
print(f"equation (14): {0.5 * (trace + square - 5 + log_dets):.6f} nats")
print(f"in torch.distributions: {kl_divergence(q, p):.6f} nats")
print(
    f"float32, 200 dimensions of variance 0.1: det = {torch.linalg.det(0.1 * torch.eye(200, dtype=torch.float32))}, "
    f"log det = {200 * math.log(0.1):.1f}"
)

# %% [markdown]
# **Check yourself.** (a) In how many nats does $\mathcal{N}(\mu, 1)$ differ from $\mathcal{N}(0, 1)$, and what
# follows for the distance at which two unit Gaussians are one nat apart? (b) $q$ is a point, $\sigma_q \to 0$. What
# is its KL to a Gaussian, and why?
#
# <details><summary>Answer</summary>
#
# (a) $\mu^2 / 2$; one nat at $\mu = \sqrt2$. The KL is a *squared* distance, which is why small differences cost next
# to nothing. (b) $+\infty$, like $-\log \sigma_q$: to name one point of a continuum takes infinitely many bits. It
# grows slowly, though: each further bit halves the width.
# </details>

# %% [markdown]
# ## 6. Estimating it from samples
#
# Between most distributions there is no formula. But often we can draw $x \sim q$ and evaluate both log-densities.
# Write
#
# $$r(x) = \frac{p(x)}{q(x)}, \qquad \mathrm{KL}(q \,\|\, p) = \mathbb{E}_q[-\log r], \qquad \mathbb{E}_q[r] = \int_{q > 0} p(x)\, dx = 1, \tag{16}$$
#
# the last if $q$ is positive wherever $p$ is. Here are three estimators, each an average over samples of
#
# $$k_1 = -\log r, \qquad k_2 = \tfrac12 (\log r)^2, \qquad k_3 = (r - 1) - \log r. \tag{17}$$
#
# **$k_1$** is the definition: unbiased. But it is positive for some $x$ and negative for others, and where $q$ and
# $p$ are close these nearly cancel. The average of many numbers of both signs is to be a small positive number: much
# variance for little signal.
#
# **$k_2$** is never negative: each sample says how far $q$ and $p$ are apart, whatever the sign. It is biased, but
# only a little where $q \approx p$. To see this let $r = 1 + u$ with small $u$. By (16) $\mathbb{E}_q[u] = 0$, and
# with $\log (1 + u) = u - \tfrac12 u^2 + \dots$
#
# $$\mathbb{E}_q[-\log r] = \tfrac12 \mathbb{E}_q[u^2] + O(u^3), \qquad \mathbb{E}_q\bigl[\tfrac12 (\log r)^2\bigr] = \tfrac12 \mathbb{E}_q[u^2] + O(u^3). \tag{18}$$
#
# **$k_3$** is unbiased *and* never negative. Unbiased because $\mathbb{E}_q[r - 1] = 0$ was added to $k_1$, which
# changes the variance but not the mean (a *control variate*). Never negative because of (5). It is (8) over again:
# the terms of a sum over outcomes, divided by $q$, as samples from $q$ want them.
#
# ### Bias and variance by hand
#
# Two Gaussians of the same width, $\delta$ standard deviations apart: $q = \mathcal{N}(0, 1)$ and
# $p = \mathcal{N}(\delta, 1)$. Then $\log r = \delta x - \tfrac12 \delta^2$ with $x \sim \mathcal{N}(0, 1)$, so
# $\log r$ is itself Gaussian, with mean $m = -\tfrac12 \delta^2$ and variance $\delta^2$. From the moments
#
# * $\mathbb{E}(\log r)^2 = m^2 + \delta^2$ and $\operatorname{Var} (\log r)^2 = 4 m^2 \delta^2 + 2 \delta^4$ (those
#   of the square of a Gaussian),
# * $\mathbb{E}_q[r] = 1$, $\mathbb{E}_q[r^2] = e^{2m + 2\delta^2} = e^{\delta^2}$, so $\operatorname{Var} r = e^{\delta^2} - 1$
#   (those of a log-normal),
# * $\operatorname{Cov}(r, \log r) = \mathbb{E}_q[r \log r] - \mathbb{E}_q[\log r] = \mathbb{E}_p[\log r] - m = \tfrac12 \delta^2 + \tfrac12 \delta^2 = \delta^2$,
#   because weighting by $r$ turns averages over $q$ into averages over $p$, and
#   $\mathbb{E}_p[\log r] = \mathrm{KL}(p \,\|\, q) = \tfrac12 \delta^2$ by (12),
#
# the mean and the variance of a single draw follow:
#
# $$
# \begin{aligned}
# \mathbb{E}[k_1] &= \tfrac12 \delta^2 = \mathrm{KL}, & \operatorname{Var} k_1 &= \delta^2, \\
# \mathbb{E}[k_2] &= \tfrac12 \delta^2 + \tfrac18 \delta^4, & \operatorname{Var} k_2 &= \tfrac12 \delta^4 + \tfrac14 \delta^6, \\
# \mathbb{E}[k_3] &= \tfrac12 \delta^2 = \mathrm{KL}, & \operatorname{Var} k_3 &= \operatorname{Var} r - 2 \operatorname{Cov}(r, \log r) + \operatorname{Var} \log r = e^{\delta^2} - 1 - \delta^2.
# \end{aligned} \tag{19}
# $$
#
# For small $\delta$ the variance of $k_3$ is about $\tfrac12 \delta^4$: like that of $k_2$, and smaller than that of
# $k_1$ by the factor $\tfrac12 \delta^2 = \mathrm{KL}$. For large $\delta$ it explodes, because $r$ is averaged and
# not its logarithm. Equal variances of $k_1$ and $k_3$: $e^{\delta^2} = 1 + 2 \delta^2$, at $\delta^2 \approx 1.26$
# or 0.63 nats.


# %%
def terms_of(log_r):
    return {"k1": -log_r, "k2": 0.5 * log_r**2, "k3": torch.expm1(log_r) - log_r}  # equation (17)


torch.manual_seed(0)
q = Normal(0.0, 1.0)
x = q.sample((draws,))
distances = torch.tensor([0.05, 0.1, 0.2, 0.4, 0.8, 1.1, 1.6])
measured = [terms_of(Normal(delta, 1.0).log_prob(x) - q.log_prob(x)) for delta in distances]
means = {name: [terms[name].mean().item() for terms in measured] for name in ("k1", "k2", "k3")}
spreads = {name: [terms[name].std().item() for terms in measured] for name in ("k1", "k2", "k3")}
errors = {name: [spread / math.sqrt(draws) for spread in spreads[name]] for name in spreads}  # of the means
d2 = distances**2
predicted = {"k1": d2, "k2": d2**2 / 2 + d2**3 / 4, "k3": d2.exp() - 1 - d2}  # variances, equation (19)
plotting.show(
    plotting.estimator_bias_and_spread(
        d2 / 2, means, errors, spreads, {name: variance.sqrt() for name, variance in predicted.items()}
    ),
    caption=f"Figure 6. Three estimators, measured with {draws:,} draws (bars: two standard errors; thin black lines: "
    "equation (19)). Left: k2 is too large by the share KL / 2, the others are unbiased; for k1 at a small KL even "
    "so many draws are few. Right: one draw of k1 is mostly noise where the KL is small; k3 is better up to 0.63 "
    "nats.",
    alt="Left: mean over KL against KL, at one for k1 and k3, rising for k2. Right: standard deviation over KL, which "
    "falls for k1 and is low and flat for k2 and k3 until they rise at the end.",
)

# %% [markdown]
# ### The standard error
#
# An estimate without an error bar is a rumour. The mean of $n$ independent terms with sample standard deviation $s$
# has the *standard error*
#
# $$\widehat{\mathrm{se}} = \frac{s}{\sqrt n}, \qquad s^2 = \frac{1}{n - 1} \sum_{i=1}^n \bigl(k(x_i) - \bar k\bigr)^2. \tag{20}$$
#
# In about 95 of 100 repetitions the truth is within two standard errors. Is it? Repeat an estimate from 100 samples
# two thousand times. First the two Gaussians above at $\delta = 0.2$, where $\mathrm{KL} = 0.02$; then a $p$ that is
# twice as wide as $q$.

# %%
repeats, n = (300 if fast else 2000), 100
for label, p in {"p = N(0.2, 1)": Normal(0.2, 1.0), "p = N(0, 2²)": Normal(0.0, 2.0)}.items():
    exact = kl_divergence(q, p).item()
    x = q.sample((repeats, n))
    print(f"{label}: KL = {exact:.3f} nats")
    for name, terms in terms_of(p.log_prob(x) - q.log_prob(x)).items():
        estimate, error = terms.mean(1), terms.std(1) / math.sqrt(n)  # equation (20)
        inside = ((estimate - exact).abs() < 2 * error).double().mean()
        negative = (estimate < 0).double().mean()
        print(
            f"  {name}: mean {estimate.mean():.4f}, standard error {error.mean():.4f}, "
            f"truth within two of them in {inside:.0%}, estimate negative in {negative:.0%}"
        )

# %% [markdown]
# In the first case all is as promised: $k_3$'s error bars are a seventh of $k_1$'s and hold the truth. About one in
# six of $k_1$'s estimates of this *positive* number is negative. The bias of $k_2$, $\frac18 \delta^4 = 0.0002$,
# drowns in the error of 100 samples; with a million samples it would not.
#
# The second case is a warning. The variance of $r$ is $\int p^2 / q\, dx - 1$, and with
# $\log (p^2/q) = -x^2 (1/\sigma_p^2 - 1/2\sigma_q^2) + \text{const}$ this is infinite as soon as
# $\sigma_p^2 \ge 2 \sigma_q^2$. Then the rare samples in the tail of $q$ that carry the average of $r$ are missing
# from most runs, $k_3$'s estimates mostly come out too low, and their error bars do not know it. ($k_2$ is far off
# too: $q$ and $p$ are not close.) $k_1$ has no $r$ in it and stays honest. Where $q$ is narrower than $p$, trust
# $k_1$.

# %% [markdown]
# **Check yourself.** (a) Samples come from $p$ instead of $q$. Which KL can you estimate? (b) $q$ is zero in a region
# where $p$ has mass 0.3. What do $k_1$ and $k_3$ estimate?
#
# <details><summary>Answer</summary>
#
# (a) $\mathrm{KL}(p \,\|\, q)$, with the roles exchanged. To estimate $\mathrm{KL}(q \,\|\, p)$ each sample would
# have to be weighted by $q/p$. (b) $k_1$ the KL, as always. $k_3$ is off: $\mathbb{E}_q[r] = 0.7$ and not 1, so its
# mean is too small by 0.3. It sees the missing mass as little as the reverse KL itself does.
# </details>

# %% [markdown]
# ## 7. The best simple Gaussian
#
# Now let $p = \mathcal{N}(\mu, \Sigma)$ be correlated and $q = \mathcal{N}(m, \operatorname{diag} \sigma^2)$ not. No
# choice makes them equal. What is the best $q$? That depends on the direction. Write $P = \Sigma^{-1}$ for the
# *precision*.
#
# **Reverse, $\mathrm{KL}(q \,\|\, p)$.** In (14),
# $\operatorname{tr}(P \operatorname{diag} \sigma^2) = \sum_d P_{dd}\, \sigma_d^2$ and
# $\log \det \Sigma_q = \sum_d \log \sigma_d^2$, so
#
# $$\mathrm{KL}(q \,\|\, p) = \frac12 \Bigl[ \sum_d \bigl( P_{dd}\, \sigma_d^2 - \log \sigma_d^2 \bigr) + (m - \mu)^\top P\, (m - \mu) \Bigr] + \text{const}. \tag{21}$$
#
# The quadratic form is zero at $m = \mu$ and positive elsewhere, since $P$ is positive definite. The derivative with
# respect to $\sigma_d^2$ is $\frac12 (P_{dd} - 1/\sigma_d^2)$: negative below, positive above
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
# $\frac12 (1 / \sigma_d^2 - \Sigma_{dd} / \sigma_d^4)$, negative below and positive above
#
# $$m = \mu, \qquad \sigma_d^2 = \Sigma_{dd}. \tag{24}$$
#
# *The forward projection matches the marginals.* Nothing but the first two moments of $p$ was used, so (24) holds for
# **every** $p$ that has them, Gaussian or not: forward projection onto Gaussians is *moment matching*.
#
# **Too narrow.** What is $1 / P_{dd}$? Fix all coordinates but $x_d$. As a function of $x_d$ alone, $\log p$ is
# $-\tfrac12 P_{dd}\, x_d^2$ plus something linear: a Gaussian of variance $1/P_{dd}$. So it is the *conditional*
# variance of $x_d$, given all others. Knowing the others never makes a Gaussian wider, hence
#
# $$\frac{1}{(\Sigma^{-1})_{dd}} = \operatorname{Var}(x_d \mid x_{-d}) \;\le\; \Sigma_{dd} = \operatorname{Var}(x_d), \tag{25}$$
#
# with equality where $x_d$ is independent of the others. For two variables with correlation $\rho$, inverting the
# $2 \times 2$ matrix gives
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
# $$\mathrm{KL}(q_{\text{reverse}} \,\|\, p) = \mathrm{KL}(p \,\|\, q_{\text{forward}}) = -\tfrac12 \log (1 - \rho^2), \tag{27}$$
#
# the mutual information of the two variables: what any $q$ without correlation must lose. (In more dimensions the two
# differ.)

# %%
correlations = [0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.99]
origin, frames = torch.zeros(2), []
for rho in correlations:
    cov = torch.tensor([[1.0, rho], [rho, 1.0]])
    reverse_cov = torch.diag(1 / torch.linalg.inv(cov).diag())  # equation (22)
    forward_cov = torch.diag(cov.diag())  # equation (24)
    loss = kl_divergence(MultivariateNormal(origin, reverse_cov), MultivariateNormal(origin, cov))  # both, by (27)
    approximations = {"reverse": (origin, reverse_cov), "forward": (origin, forward_cov)}
    frames.append(plotting.gaussian_ellipses((origin, cov), approximations))
    frames[-1].axes[0].set_title(f"ρ = {rho}: KL = {loss:.2f} nats in either direction")
plotting.slider(
    frames,
    correlations,
    "ρ",
    caption="Figure 7. A correlated Gaussian (grey, one and two standard deviations) and its best factorised "
    "approximations. Drag ρ: the reverse projection gets as narrow as the target is across its ridge, the forward one "
    "stays as wide as its shadow on the axes.",
    alt="A grey tilted ellipse, a circle inside it that shrinks as the correlation grows, and a circle around it that "
    "stays",
)

# %% [markdown]
# Figure 5 said it before: the reverse KL minds mass where $p$ has none, so $q$ withdraws into the target; the forward
# KL minds missing any of $p$'s mass, so $q$ covers it, empty corners included. Mean-field inference (unit 02) is the
# reverse projection. Its means may be excellent; its variances are too small whenever variables are correlated, and
# by (26) without limit: at $\rho = 0.99$ the standard deviation is 7 times too small.

# %% [markdown]
# **Check yourself.** (a) In which coordinates would both projections be exact? (b) You need error bars for single
# variables, and can have either projection. Which one?
#
# <details><summary>Answer</summary>
#
# (a) In those along the eigenvectors of $\Sigma$, in which $\Sigma$ is diagonal. A KL does not change with
# coordinates, but the family "independent coordinates" does. (b) The forward one: by (24) its marginals are right.
# But it needs moments of $p$, that is, samples or integrals, which are what one does not have when $p$ is a
# posterior.
# </details>

# %% [markdown]
# ## 8. Mode-seeking and mass-covering
#
# With more than one mode the difference becomes drastic. Let $p$ be a mixture, $w_1 = 0.6$ at $-a$ and $w_2 = 0.4$ at
# $+a$, and $q$ a single Gaussian.
#
# **Forward** is moment matching (24): mean and variance of a mixture are $m = \sum_k w_k \mu_k$ and
# $\sigma^2 = \sum_k w_k (\sigma_k^2 + \mu_k^2) - m^2$. That is one wide Gaussian with its summit between the modes,
# where hardly anything is.
#
# **Reverse** has no formula here. A mixture obeys $p(x) \ge w_k\, p_k(x)$ for each of its components, so a $q$ that
# sits on one of them, $q = p_k$, has
#
# $$\mathrm{KL}(p_k \,\|\, p) = \mathbb{E}_{p_k}\left[\log \frac{p_k(x)}{p(x)}\right] \le \mathbb{E}_{p_k}\left[\log \frac{p_k(x)}{w_k\, p_k(x)}\right] = -\log w_k. \tag{28}$$
#
# Giving up all other modes costs at most $-\log w_k$: here 0.51 nats on the left and 0.92 on the right, *however far
# apart they are*. Covering both with one Gaussian costs ever more as they move apart. So beyond some distance $q$
# chooses. We look for it by gradient descent on the integral (2), done as a sum over a fine grid, from a wide start
# and from one on each side.

# %%
grid = torch.linspace(-10, 10, 1001)
step = grid[1] - grid[0]


def log_target(a):
    left, right = Normal(-a, 0.8).log_prob(grid), Normal(a, 0.8).log_prob(grid)
    return torch.logaddexp(math.log(0.6) + left, math.log(0.4) + right)


def reverse_fit(log_p, start_mean, start_std):
    mean, log_std = torch.tensor([start_mean, math.log(start_std)]).unbind()
    parameters = [mean.clone().requires_grad_(), log_std.clone().requires_grad_()]
    optimizer = torch.optim.Adam(parameters, lr=0.05)
    for _ in range(60 if fast else 300):
        log_q = Normal(parameters[0], parameters[1].exp()).log_prob(grid)
        kl = (log_q.exp() * (log_q - log_p)).sum() * step  # equation (2)
        optimizer.zero_grad()
        kl.backward()
        optimizer.step()
    return Normal(parameters[0].detach(), parameters[1].detach().exp()), kl.item()


# %%
def best_gaussians(a):
    """The forward projection, and the reverse one from three starts: name → (q, its KL in its own direction)."""
    log_p = log_target(a)
    mean, second = -0.2 * a, 0.8**2 + a**2
    forward = Normal(mean, math.sqrt(second - mean**2))
    forward_kl = ((log_p - forward.log_prob(grid)) * log_p.exp()).sum().item() * step.item()
    starts = {"left": (-a, 0.8), "right": (a, 0.8), "wide": (0.0, 2.0)}
    return {"forward": (forward, forward_kl)} | {name: reverse_fit(log_p, *start) for name, start in starts.items()}


fits = best_gaussians(3.0)
curves = {"p": log_target(3.0).exp()} | {
    {"left": "reverse, on the left", "right": "reverse, on the right"}.get(name, name): fits[name][0]
    .log_prob(grid)
    .exp()
    for name in ("forward", "left", "right")
}
plotting.show(
    plotting.density_curves(grid, curves, x_label="x"),
    caption="Figure 8. Mass-covering and mode-seeking. The forward projection covers both modes and what lies "
    "between; the reverse KL has a minimum on each mode.",
    alt="A density with two humps; a broad bell over both, and two narrow bells, each over one of the humps.",
)
for name, (gaussian, kl) in fits.items():
    direction = "KL(p‖q)" if name == "forward" else f"KL(q‖p), start {name}"
    print(f"{direction:22}: {kl:.3f} nats, mean {gaussian.mean:5.2f}, standard deviation {gaussian.stddev:.2f}")

# %% [markdown]
# Two minima of the reverse KL are where (28) says, at $-\log 0.6 = 0.511$ and $-\log 0.4 = 0.916$ nats. The wide
# start ends in a third, a $q$ stretched over both, which is worse than either. Which one is found depends on the
# start, and the loss of a single run does not tell that there are others. Move the modes together to see where the
# choice begins.

# %%
half_distances, frames = [0.5, 1.0, 1.5, 2.0, 2.1, 2.5, 3.0], []
for a in half_distances:
    fits = best_gaussians(a)
    reverse, kl = min((fits[name] for name in ("left", "right", "wide")), key=lambda fit: fit[1])
    curves = {
        "p": log_target(a).exp(),
        "forward": fits["forward"][0].log_prob(grid).exp(),
        "reverse": reverse.log_prob(grid).exp(),
    }
    frames.append(plotting.density_curves(grid, curves, x_label="x"))
    title = f"modes at ±{a}: forward KL {fits['forward'][1]:.3f} nats, reverse KL {kl:.3f} nats"
    frames[-1].axes[0].set(title=title, xlim=(-6, 6), ylim=(0, 0.6))
plotting.slider(
    frames,
    half_distances,
    "a",
    caption="Figure 9. Two modes move apart (drag a). As long as they overlap the two projections are alike. Then the "
    "reverse one makes its choice, and from there on its KL hardly grows, by (28).",
    alt="A density that splits into two humps; the forward bell widens with them, the reverse bell settles on the "
    "left hump",
)

# %% [markdown]
# Neither is wrong. If $q$ has to *stand for* $p$ in an average (coverage, uncertainty, compression of all of $p$'s
# data), missing a mode is fatal: forward. If one draws from $q$ and every draw has to be plausible under $p$, mass
# between the modes is fatal: reverse. What decides in practice is what can be computed. Forward needs samples of $p$
# and suits learning a model $q$ from data. Reverse needs only $\log p$ up to a constant and samples of $q$, and suits
# inference, where $p$ is a posterior with an unknown normaliser: the constant shifts the loss and leaves its minimum
# alone.

# %% [markdown]
# **Check yourself.** (a) Why can the reverse KL be minimised without the normaliser of $p$, and not *evaluated*
# without it? (b) A generative model is fitted by maximum likelihood and makes blurred images that mix features of
# different ones. Which direction of KL does that remind you of?
#
# <details><summary>Answer</summary>
#
# (a) With $p = \tilde p / Z$, $\mathrm{KL}(q \,\|\, p) = \mathbb{E}_q[\log q - \log \tilde p] + \log Z$. The last
# term does not depend on $q$. Leaving it out gives minus the evidence lower bound of unit 02. (b) Forward: maximum
# likelihood is $\min \mathrm{KL}(p_{\text{data}} \,\|\, q)$; a family too small for the data spreads over all of
# them, and what lies between gets probability too.
# </details>

# %% [markdown]
# ## 9. Relatives, on one page
#
# **Jensen–Shannon.** Compare both with their average $m = \frac12 (q + p)$:
#
# $$\mathrm{JS}(q, p) = \tfrac12 \mathrm{KL}(q \,\|\, m) + \tfrac12 \mathrm{KL}(p \,\|\, m), \qquad 0 \le \mathrm{JS}(q, p) \le \log 2. \tag{29}$$
#
# It is symmetric, and never infinite: $m \ge \frac12 q$, so $\log (q/m) \le \log 2$, and the same for $p$. One bit is
# reached exactly when $q$ and $p$ have nothing in common. Its root is a metric. (Read $m$ as "toss a coin, then draw
# from $q$ or $p$": JS is the information that a draw carries about the coin.)
#
# **f-divergences.** Take any convex function $f$ with $f(1) = 0$ and average it over the ratio:
#
# $$D_f(q \,\|\, p) = \sum_x p(x)\, f\!\left(\frac{q(x)}{p(x)}\right) \;\ge\; f\Bigl(\sum_x p(x)\, \frac{q(x)}{p(x)}\Bigr) = f(1) = 0 \quad (p > 0), \tag{30}$$
#
# by Jensen's inequality. One choice of $f$, one divergence:
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
# **Close by, they are all alike.** Let $q = p\,(1 + u)$ with small $u$, $\sum_x p\, u = 0$, and expand a twice
# differentiable $f$ around 1. The linear term averages to zero:
#
# $$D_f(q \,\|\, p) = \sum_x p\, \bigl[ f(1) + f'(1)\, u + \tfrac12 f''(1)\, u^2 + \dots \bigr] \approx \frac{f''(1)}{2} \sum_x \frac{(q(x) - p(x))^2}{p(x)}. \tag{31}$$
#
# Both KLs have $f''(1) = 1$: close by, the KL *is* symmetric. This is also why $k_2$ works. Its mean is
# $\sum_x p\, f(q/p)$ with $f(t) = \frac12 t \log^2 t$, which has $f''(1) = 1$ as well (though it is not convex
# everywhere, so no divergence in earnest).

# %%
distances = torch.linspace(0, 5, 26)
cells = torch.linspace(-12, 17, 2901)  # a fine histogram stands for each density
p = Normal(0.0, 1.0).log_prob(cells).exp() * 0.01
q = Normal(distances.unsqueeze(1), 1.0).log_prob(cells).exp() * 0.01  # (distances, cells)
kinds = [relatives.KL, relatives.JENSEN_SHANNON, relatives.TOTAL_VARIATION, relatives.SQUARED_HELLINGER]
curves = {kind.name: relatives.f_divergence(q, p.expand_as(q), kind) for kind in kinds}
plotting.show(
    plotting.divergence_curves(
        distances,
        curves,
        x_label="distance of two unit Gaussians",
        y_label="divergence",
        largest=2.0,
        limit=("log 2", math.log(2)),
    ),
    caption="Figure 10. Two Gaussians move apart. The KL grows with the square of the distance, for ever. The others "
    "level out: once the two have nothing in common, further distance makes no difference, and gives no gradient "
    "either.",
    alt="Four rising curves: a parabola for KL that leaves the picture, and three that level out at log 2 or at 1.",
)

# %% [markdown]
# **Check yourself.** Two distributions share no outcome. Which of the divergences in the table could still guide $q$
# towards $p$ by gradient descent?
#
# <details><summary>Answer</summary>
#
# None. Every one of them is at its largest value or infinite, and stays there for small changes of $q$. They compare
# probabilities of the same outcome and do not know which outcomes are *near* each other. Distances that do
# (Wasserstein, maximum mean discrepancy) come in unit 04. With Gaussians, whose tails reach everywhere, the KL keeps
# a slope at any distance.
# </details>

# %% [markdown]
# ## What to remember
#
# 1. $\mathrm{KL}(q \,\|\, p)$ averages $\log (q/p)$ over $q$: zero only for $q = p$, never negative, and infinite
#    where $q$ allows what $p$ rules out.
# 2. It insists where $q$ is high and shrugs where $q$ is low, so the two directions want different things.
# 3. For Gaussians there is a formula, (12) and (14); compute it with Cholesky factors.
# 4. From samples: $k_1$ is unbiased and noisy, $k_3$ unbiased and calm where $q \approx p$. Always with a standard
#    error, and with a look at the tails.
# 5. Reverse matches the precision and seeks modes: too narrow. Forward matches the moments and covers the mass: too
#    wide.

# %% [markdown]
# ## What goes wrong in practice
#
# * **$q$ and $p$ exchanged.** `torch.nn.functional.kl_div(input, target)` is
#   $\mathrm{KL}(\text{target} \,\|\, \text{input})$, with `input` a *log*-probability, and it averages by default.
#   Check any KL code on a pair whose two directions you know.
# * **$\log (q + 10^{-8})$.** The constant turns infinities into harmless-looking numbers and biases the rest. Treat
#   zeros of $q$ as such ($0 \log 0 = 0$), and let an infinite KL be infinite: it is telling you something.
# * **Means where sums belong.** The KL of a vector is the *sum* over its coordinates (10), one number for each member
#   of the batch.
# * **Standard deviation, variance, or a logarithm of one of them?** (12) with the wrong one is still smooth, still
#   trains, and is not a KL. Names such as `log_std` say which it is.
# * **A negative KL.** From a formula: something is not normalised. From samples: noise of $k_1$; look at the standard
#   error.
# * **A calm estimate that is wrong.** $k_3$ with a $q$ narrower than $p$ misses the tail without any sign of it
#   (section 6). So does every average of $r$, in unit 03's importance weights too.
# * **Error bars from a reverse projection.** They are those of the conditional distributions (25): too small, the
#   more so the more variables are correlated.
# * **Nats against bits.** A factor of 1.44 lies between them: far more than separates the models of one table.

# %% [markdown]
# ## Sources
#
# * S. Kullback and R. A. Leibler, [On Information and Sufficiency](https://doi.org/10.1214/aoms/1177729694), Annals
#   of Mathematical Statistics 22, 1951.
# * T. M. Cover and J. A. Thomas, *Elements of Information Theory*, 2nd edition, Wiley 2006, chapter 2: entropy, codes
#   and the inequalities of section 2.
# * D. J. C. MacKay, [Information Theory, Inference, and Learning
#   Algorithms](http://www.inference.org.uk/mackay/itila/), Cambridge 2003, chapter 33: the reverse projection of a
#   correlated Gaussian.
# * C. M. Bishop, *Pattern Recognition and Machine Learning*, Springer 2006, section 10.1.2: both projections and the
#   bimodal target.
# * T. Minka, *Divergence measures and message passing*, Microsoft Research technical report 173, 2005: sections 7 and
#   8, and the family between the two directions.
# * J. Schulman, [Approximating KL Divergence](http://joschu.net/blog/kl-approx.html), 2020: the three estimators of
#   section 6.
# * J. Lin, *Divergence Measures Based on the Shannon Entropy*, IEEE Transactions on Information Theory 37, 1991; I.
#   Csiszár, *Information-type measures of difference of probability distributions*, 1967; S. M. Ali and S. D. Silvey,
#   *A General Class of Coefficients of Divergence of One Distribution from Another*, 1966: section 9.
# * E. Alpaydin and C. Kaynak, *Optical recognition of handwritten digits*, UCI repository, 1998: the digits.

# %% [markdown]
# ## Where next
#
# The **assignment** of this unit asks for the six functions behind this lecture and then fits a Gaussian to a
# posterior shaped like two moons, in both directions, as a film. **Unit 02** turns the reverse projection into a
# method: mean-field variational inference, where $p$ is a posterior that no one can normalise. **Unit 03** lets a
# network do the projecting.
