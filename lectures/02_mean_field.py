# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 02: Variational inference and the mean field
#
# If the data have hidden causes, their probability is a sum over all possible causes, and that sum is usually too large
# to compute. This lecture replaces the sum by an optimisation: choose a family of simple distributions and find the best
# of them. You will clean noisy digits, watch a magnet choose a side, and find the topics of Python's own documentation.
#
# | | what you will be able to do | section |
# |---|---|---|
# | 1 | say why a posterior is intractable, in directed and in undirected models, and derive the evidence lower bound for both in two ways | 1, 2 |
# | 2 | derive the coordinate update of mean field for any model, and from it the updates of the Ising model, of latent Dirichlet allocation and of a Bayesian mixture of Gaussians | 3, 4, 8, 9 |
# | 3 | derive belief propagation, the tree-reweighted bound and annealed importance sampling, place them around the true $\log Z$, and say which of them are bounds | 7 |
# | 4 | predict where mean field fails: strong coupling, symmetry, several modes, poor local optima | 4, 5, 6, 9 |
# | 5 | derive the score-function and the pathwise gradient of the bound, and measure the variance of each | 11 |
#
# **What you need first.** KL divergence, its two directions, and estimates by samples (unit 01); sums of independent
# variables; PyTorch tensors. No physics.
#
# **What it costs.** About two and a half hours to read with a pencil (10,000 words, 57 numbered equations). It runs in less than ninety seconds of processor time on one thread and needs at most 1.2 GB of memory. Nothing here uses a GPU; the notebook has not
# been timed on Colab's machines.

# %% [markdown]
# {{how to keep your work}}

# %%
# {{set-up}}

# %%
import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Dirichlet, Normal, kl_divergence

# %%
from avae_lib import data, plotting
from avae_lib.data.python_docs_corpus import load_documentation
from avae_lib.meanfield import (
    GaussianPrior,
    LatticeIsing,
    annealed_importance_sampling,
    belief_propagation,
    denoising_lattice,
    enumerate_states,
    fit_mean_field,
    lattice_chain,
    one_of_each_digit,
    tree_reweighted_belief_propagation,
)
from avae_lib.notebook_setup import choose

torch.set_default_dtype(torch.float64)  # so that rounding never shows in a result

# %% [markdown]
# ## A picture first
#
# Ten handwritten digits, enlarged to $48 \times 48$ pixels in black and white. Someone has flipped 15 % of the pixels at random. What did the pictures look like
# before?

# %%
# Ten pictures of 48 × 48 pixels: −1 is black, 1 is white.
clean = one_of_each_digit(data.load(choose("digits", colab="mnist")))
generator = torch.Generator().manual_seed(0)
flipped = torch.rand(clean.shape, generator=generator) < 0.15
noisy = torch.where(flipped, -clean, clean)
posterior = denoising_lattice(noisy, flip_probability=0.15, coupling=0.8)
by_mean_field = fit_mean_field(posterior, start=noisy, sweeps=200, tolerance=1e-4).means


def wrong(means):  # percentage of the pixels
    return 100 * (means.sign() != clean).double().mean().item()


pictures = {
    f"what we see: {wrong(noisy):.1f} % wrong": noisy,
    f"what we infer: {wrong(by_mean_field):.1f} % wrong": by_mean_field,
}
plotting.show(plotting.spin_pictures(pictures))

# %% [markdown]
# **Figure 1.** Ten digits with 15 % of their pixels flipped, and what mean field infers from them. The pixels that it gets
# wrong are mostly along the edges of strokes.
#
# <!-- alt: Two panels of ten digits each. On the left they are covered with speckles, on the right they are clean and readable. -->

# %% tags=["build-check"]
page = clean.unsqueeze(1)
edges = F.max_pool2d(page, 3, 1, 1) != -F.max_pool2d(-page, 3, 1, 1)
mistaken = by_mean_field.sign() != clean
assert 14 < wrong(noisy) < 16 and wrong(by_mean_field) < 2
assert (mistaken & edges.squeeze(1)).sum() > 0.7 * mistaken.sum()

# %% [markdown]
# The right panel is an answer to a question about probabilities: given the speckled picture, how likely is each pixel
# to be white? A picture of $48 \times 48$ pixels has $2^{2304}$ possible originals, and the answer is a sum over all of
# them. Nobody can compute it, yet the right panel took a fraction of a second. This lecture explains how.

# %% [markdown]
# ## 1. Why posteriors are out of reach
#
# **Case 1, directed.** A model says how causes $z$ arise and how they produce what we see, $x$. Its joint
# $p(x, z) = p(z)\, p(x \mid z)$ is easy to evaluate. Inference goes the other way:
#
# $$p(z \mid x) = \frac{p(x, z)}{p(x)}, \qquad p(x) = \sum_z p(x, z). \tag{1}$$
#
# The numerator is cheap. The denominator, the *evidence*, sums over every combination of causes. Even if the causes are
# independent in the prior, seeing $x$ couples them: if one of them explains $x$, the others need not ("explaining
# away"). So the sum does not split into small ones.
#
# **Case 2, undirected.** A model gives each state a positive *potential* $\tilde p(s)$, a product of local terms. The
# potentials need not sum to one:
#
# $$p(s) = \frac{\tilde p(s)}{Z}, \qquad Z = \sum_s \tilde p(s). \tag{2}$$
#
# Here even the joint is unknown: the *partition function* $Z$ is the same kind of sum. (If the potentials depend on
# observations $x$, so does $Z(x)$.)
#
# **Both are one problem.** Call the unknown variables $z$ throughout. Case 1 is case 2 with
#
# $$\tilde p(z) = p(x, z), \qquad Z = p(x), \qquad p(z \mid x) = \tilde p(z) / Z. \tag{3}$$
#
# We can evaluate $\tilde p$ at any point; we cannot sum it.

# %%
plotting.show(plotting.intractable_posteriors())
for side in (4, 5, 8, 48):
    digits = side * side * math.log10(2)
    print(f"{side:2d} × {side:2d} spins: 10^{digits:.1f} states to sum over")

# %% [markdown]
# **Figure 2.** Left: three causes of one observation; given $x$ they depend on one another. Right: spins on a grid, each
# coupled to its neighbours. White circles are unknown, the shaded one is observed.
#
# <!-- alt: Left, three white circles z with arrows to a shaded x. Right, nine white circles in a grid joined by lines. -->

# %% tags=["build-check"]
assert round(48 * 48 * math.log10(2), 1) == 693.6 and round(16 * math.log10(2), 1) == 4.8

# %% [markdown]
# **Two ways out.** *Sampling* (Markov chain Monte Carlo) draws states that in the long run are distributed as $p$.
# *Variational inference* searches a family of tractable distributions $q$ for the one nearest to $p$.
#
# | | sampling | variational inference |
# |---|---|---|
# | what it is | simulation | optimisation |
# | answer | averages over sampled states | the parameters of $q$ |
# | with more time | the error falls to zero, like $1/\sqrt{\text{samples}}$ | converges; the error of the family remains |
# | how we know it is done | hard to know | the bound stops rising |
# | gives $\log Z$ | only with extra work (annealing) | a lower bound, at no extra cost |
# | cost | many sweeps | few sweeps |
#
# Section 12 measures the two against each other.

# %% [markdown]
# **Check yourself.** A mixture of two Gaussians with known parameters has the unknown $z \in \{1, 2\}$ for each data
# point. Is $p(z \mid x)$ intractable? And if the means are unknown too?
#
# <details><summary>Answer</summary>
#
# With known parameters, no: the sum in (1) has two terms for each point, and points are independent. With unknown means
# all assignments are coupled through them. Integrating the means out leaves a sum over $2^n$ assignments; not
# integrating them out leaves a continuous posterior with several modes. That is section 9.
# </details>

# %% [markdown]
# ## 2. A bound that can be computed
#
# We want the member $q$ of a family that is nearest to $p$ in $\mathrm{KL}(q \,\|\, p)$. Of the two directions of unit 01
# this is the one that averages over $q$, the distribution we can handle. But
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb{E}_q\bigl[\log q(z) - \log p(z)\bigr] \tag{4}$$
#
# contains $\log p$, hence $\log Z$: the very number we lack. We cannot even say how large the KL of *one* given $q$ is.
#
# **First derivation: take the KL apart.** Put in $\log p = \log \tilde p - \log Z$. Since $\log Z$ does not depend on $z$,
# it comes out of the expectation:
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb{E}_q[\log q(z)] - \mathbb{E}_q[\log \tilde p(z)] + \log Z. \tag{5}$$
#
# The unknown is one *constant*. Solve for it:
#
# $$\log Z = \mathrm{ELBO}(q) + \mathrm{KL}(q \,\|\, p), \qquad
#   \mathrm{ELBO}(q) = \underbrace{\mathbb{E}_q[\log \tilde p(z)]}_{\text{minus energy}} + \underbrace{\mathrm{H}(q)}_{\text{entropy}}. \tag{6}$$
#
# A KL is never negative (unit 01), so the ELBO never exceeds $\log Z$. The left side is fixed, so *raising the ELBO lowers
# the KL by the same amount*. For a directed model, (3) turns the same two lines into
#
# $$\log p(x) = \underbrace{\mathbb{E}_q[\log p(x, z)] + \mathrm{H}(q)}_{\mathrm{ELBO}} + \mathrm{KL}\bigl(q(z) \,\|\, p(z \mid x)\bigr), \tag{7}$$
#
# which explains the name *evidence lower bound*.
#
# **Second derivation: Jensen.** Multiply and divide by $q$. The logarithm is concave, so the logarithm of an average is at
# least the average of the logarithms:
#
# $$\log Z = \log \sum_z q(z)\, \frac{\tilde p(z)}{q(z)} \;\ge\; \sum_z q(z) \log \frac{\tilde p(z)}{q(z)}
#   = \mathbb{E}_q[\log \tilde p(z)] - \mathbb{E}_q[\log q(z)] = \mathrm{ELBO}(q). \tag{8}$$
#
# (A $z$ with $q(z) = 0$ but $\tilde p(z) > 0$ drops out of the first sum, which only strengthens the inequality.) The
# directed case reads $\log p(x) = \log \mathbb{E}_q[p(x, z) / q(z)] \ge \mathbb{E}_q[\log p(x, z) - \log q(z)]$. Jensen is
# quicker; the first derivation says more: the gap *is* the KL. Equality holds if $\tilde p / q$ is constant, that is, if
# $q = p$.
#
# **What each term does.** The *energy* term $\mathbb{E}_q[\log \tilde p]$ is largest if $q$ sits on the single best state. The *entropy* is largest if $q$ spreads out. Without the entropy, inference would be a search for the most probable state; without the
# energy, $q$ would be uniform. Physicists call minus the ELBO the *variational free energy*.

# %%
# Two spins that prefer to be equal (coupling 1.2) in a weak field (0.2).
states = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
log_potential = 1.2 * states[:, 0] * states[:, 1] + 0.2 * states.sum(1)
log_z = log_potential.logsumexp(0)
p = (log_potential - log_z).exp()


def independent(up):  # two independent spins, each up with the same probability
    one = torch.tensor([up, 1 - up])
    return torch.outer(one, one).flatten()


candidates = {"p itself": p, "uniform": independent(0.5), "both up": independent(1.0)}
candidates["independent, p's means"] = independent(p[:2].sum().item())
candidates["independent, 95 % up"] = independent(0.95)

# %%
bounds = {}
for name, q in candidates.items():
    energy, entropy = q @ log_potential, torch.special.entr(q).sum()  # equation (6)
    kl = (torch.xlogy(q, q) - q * p.log()).sum()
    bounds[name] = (energy + entropy).item()
    elbo = f"E[log p̃] {energy:5.2f} + H {entropy:4.2f} = ELBO {bounds[name]:4.2f}"
    print(f"{name:24s} {elbo};  + KL {kl:4.2f} = {log_z:4.2f}")
plotting.show(plotting.bound_and_gap(bounds, log_z.item()))

# %% [markdown]
# **Figure 3.** Equation (6) for five $q$: ELBO and KL always add up to $\log Z$. Among independent spins, those with the
# true means are not the best: $\mathrm{KL}(q \,\|\, p)$ prefers to commit to one of the two likely states.
#
# <!-- alt: Five horizontal bars that all end at log Z. The hatched part, the KL, is absent for p itself and smaller for 95 % up than for p's means. -->

# %% tags=["build-check"]
for name, q in candidates.items():
    assert abs(bounds[name] + (torch.xlogy(q, q) - q * p.log()).sum() - log_z) < 1e-9
assert bounds["independent, 95 % up"] > bounds["independent, p's means"] + 0.1

# %% [markdown]
# **Check yourself.** (a) Someone finds an "ELBO" above $\log Z$. Name two bugs that can cause this. (b) Can the ELBO be used to
# choose between two *models*? (c) Why not minimise $\mathrm{KL}(p \,\|\, q)$ instead?
#
# <details><summary>Answer</summary>
#
# (a) A $q$ that sums to more than one, or an entropy with a factor too many; or a $\tilde p$ that is not the one
# $\log Z$ belongs to. Checking that the bound is not exceeded is the best test of such code. (b) With care: it
# compares $\log p(x)$ minus a gap, and the gaps differ. (c) It averages over $p$, which we cannot do. For exponential
# families it requires $q$ to match $p$'s moments, and those are what inference is meant to find in the first place.
# Expectation propagation does this piece by piece (section 7).
# </details>

# %% [markdown]
# ## 3. Mean field and coordinate ascent
#
# The oldest family makes all variables independent:
#
# $$q(z) = \prod_{t=1}^{T} q_t(z_t). \tag{9}$$

# %%
plotting.show(plotting.factorised_families())

# %% [markdown]
# **Figure 4.** A family of $q$ as the graph of $p$ with edges removed. Left: $p$, where all neighbours depend on each
# other. Middle: mean field keeps the variables and drops every edge. Right: *structured* mean field keeps some edges,
# here one chain for each row, and is still tractable.
#
# <!-- alt: Three grids of nine circles. The first has all lines between neighbours, the second none, the third only the horizontal ones. -->

# %% tags=["build-check"]
assert len(plotting.factorised_families().axes) == 3

# %% [markdown]
# Equation (9) prescribes no form for the factors. Fix all but $q_t$ and look for the best $q_t$. Write $\int dz_t$ for a
# sum if $z_t$ is discrete and for an integral if $q_t$ is a density. The entropy of independent variables is the sum of
# their entropies, so
#
# $$\mathrm{ELBO} = \int q_t(z_t)\, \underbrace{\mathbb{E}_{q_{-t}}\bigl[\log \tilde p(z)\bigr]}_{=:\ \log f_t(z_t)} dz_t
#   + \mathrm{H}(q_t) + \sum_{u \ne t} \mathrm{H}(q_u), \tag{10}$$
#
# where $\mathbb{E}_{q_{-t}}$ averages over all variables but $z_t$. Suppose $F_t = \int f_t(z_t)\, dz_t$ is finite. (A sum
# over finitely many states always is; for a density it is a condition, and without it the ELBO has no maximum.) Then
# $f_t / F_t$ is a distribution, and the first two terms are
#
# $$\int q_t(z_t) \log \frac{f_t(z_t)}{q_t(z_t)}\, dz_t = \log F_t - \mathrm{KL}\bigl(q_t \,\|\, f_t / F_t\bigr). \tag{11}$$
#
# $F_t$ does not depend on $q_t$. The KL, between distributions or between densities, is never negative, and zero only if
# they agree (unit 01). Hence *the* best factor is
#
# $$q_t(z_t) \;\propto\; f_t(z_t) = \exp \mathbb{E}_{q_{-t}}\bigl[\log \tilde p(z)\bigr]. \tag{12}$$
#
# Every update of this lecture follows from this line. Entropies of densities may be negative; nothing above needed their
# sign.
#
# Updating each $t$ in turn and repeating is *coordinate ascent variational inference* (CAVI). Each update is the exact
# maximum in its coordinate, so **the ELBO never falls**, and since it is bounded by $\log Z$ its values converge. Where the factors settle, no single one can be improved. That need not be the highest point.
#
# Two warnings. Use the newest values: updating all factors at once from the old ones may lower the bound or go in circles.
# And independence is a strong assumption. If it hurts, let a block of variables (a chain, a tree) share one factor, as in
# the right panel of figure 4; (12) holds word for word with $z_t$ a block.
#
# **One $q$ for each $x$.** In a directed model $\tilde p(z) = p(x, z)$ contains the observation. A different $x$
# gives a different $\tilde p$, and the optimisation starts from scratch:
#
# $$\lambda^*(x) = \arg\max_\lambda \mathrm{ELBO}(\lambda; x), \qquad \lambda: \text{the parameters of } q. \tag{13}$$

# %%
one = denoising_lattice(noisy[3], flip_probability=0.15, coupling=0.8)
fit = fit_mean_field(one, start=noisy[3], sweeps=200, tolerance=1e-4)
print(f"one picture: {noisy[3].numel()} parameters of q, {len(fit.elbo) - 1} sweeps")

# %% tags=["build-check"]
assert noisy[3].numel() == 2304
assert (fit.means - by_mean_field[3]).abs().max() < 0.02

# %% [markdown]
# Nothing learned from one picture helps with the next. Unit 03 changes that: a network $\lambda = f(x; \theta)$, trained
# once, predicts the parameters of $q$ for any $x$. This is called *amortised* inference.
#
# **Check yourself.** (a) Two binary variables are always equal under $p$: $p(0,0) = p(1,1) = \tfrac12$. Which product $q$
# maximises the ELBO? (b) How many parameters does a mean-field $q$ over $T$ binary variables have, and how many does
# $p$ have in general?
#
# <details><summary>Answer</summary>
#
# (a) $q$ must be zero wherever $p$ is, or the ELBO is $-\infty$. A product with $q(0,1) = q(1,0) = 0$ sits on a single
# state. Both choices are equally good, with ELBO $\log \tfrac12$: mean field picks one. (b) $T$, against $2^T - 1$.
# </details>

# %% [markdown]
# ## 4. The Ising model
#
# Spins $s_i \in \{-1, 1\}$, a symmetric coupling $J$ with zero diagonal, a field $h$:
#
# $$\tilde p(s) = \exp\Bigl(\tfrac12\, s^\top J s + h^\top s\Bigr). \tag{14}$$
#
# The ½ is there because $s^\top J s$ counts each pair twice, as $J_{ij} s_i s_j$ and as $J_{ji} s_j s_i$.
#
# **The update.** Collect the terms of $\log \tilde p$ that contain $s_i$. In $\tfrac12 \sum_{kj} J_{kj} s_k s_j$ spin $i$ occurs once
# as $k$ and once as $j$; both times it multiplies the same sum, which cancels the ½:
#
# $$\log \tilde p(s) = s_i \Bigl( h_i + \sum_j J_{ij} s_j \Bigr) + \text{terms without } s_i. \tag{15}$$
#
# Average over the others. They are independent under $q$, with means $m_j = \mathbb{E}_q[s_j]$, and the bracket is linear in
# them:
#
# $$\mathbb{E}_{q_{-i}}[\log \tilde p(s)] = s_i\, a_i + \text{const}, \qquad a_i = h_i + \sum_j J_{ij} m_j. \tag{16}$$
#
# By (12), $q_i(s_i) = e^{a_i s_i} / (e^{a_i} + e^{-a_i})$, and its mean is
#
# $$m_i = q_i(1) - q_i(-1) = \frac{e^{a_i} - e^{-a_i}}{e^{a_i} + e^{-a_i}} = \tanh\Bigl(h_i + \sum_j J_{ij} m_j\Bigr), \qquad
#   q_i(1) = \sigma(2 a_i). \tag{17}$$
#
# A spin sees the *mean* of the field that its neighbours exert, hence the name. For comparison, *Gibbs sampling* draws
# $s_i$ from its true conditional, which by (15) is $p(s_i = 1 \mid s_{-i}) = \sigma\bigl(2 (h_i + \sum_j J_{ij} s_j)\bigr)$: the same
# formula with spins in place of means.
#
# **The bound.** Since $\mathbb{E}_q[s_i s_j] = m_i m_j$ for $i \ne j$ (and $J_{ii} = 0$), and $q_i(\pm 1) = (1 \pm m_i)/2$,
#
# $$\mathrm{ELBO}(m) = \tfrac12\, m^\top J m + h^\top m - \sum_i \sum_{s = \pm 1} \frac{1 + s\, m_i}{2} \log \frac{1 + s\, m_i}{2}
#   \;\le\; \log Z. \tag{18}$$
#
# **Its slope and curvature.** The entropy of a spin has the derivative $-\operatorname{artanh} m_i$ and the second
# derivative $-1 / (1 - m_i^2)$. So
#
# $$\frac{\partial\, \mathrm{ELBO}}{\partial m_i} = h_i + \sum_j J_{ij} m_j - \operatorname{artanh} m_i, \qquad
#   \frac{\partial^2\, \mathrm{ELBO}}{\partial m_i\, \partial m_j} = J_{ij} - \frac{\delta_{ij}}{1 - m_i^2}. \tag{19}$$
#
# Setting the slope to zero gives (17) again. The diagonal of the curvature is negative, so each coordinate has one
# maximum; the whole matrix need not be negative definite, so the surface can have several summits. At $m = 0$ the
# curvature is $J - I$. Without a field, $m = 0$ is a stationary point; it is a summit if all eigenvalues of $J$ are
# below 1, and a saddle as soon as one exceeds 1. For two spins the eigenvalues are $\pm J$, so the change comes at
# $J = 1$. A field delays it: for the $h = 0.05$ of the next figure the second summit appears at $J \approx 1.18$.
# Drag the slider.

# %%
field = 0.05


def entropy_of_spin(m):
    return torch.special.entr((1 + m) / 2) + torch.special.entr((1 - m) / 2)


def bound_of_two(coupling):
    """Equation (18) for two spins, as a function of their means (n, 2)."""
    return lambda m: coupling * m[:, 0] * m[:, 1] + field * m.sum(1) + entropy_of_spin(m).sum(1)


def true_means(coupling):
    weights = torch.softmax(coupling * states[:, 0] * states[:, 1] + field * states.sum(1), 0)
    return tuple((weights @ states).tolist())


# %%
def climb(coupling, start, updates=200):
    """The points that coordinate ascent visits on two spins: equation (17)."""
    m = torch.tensor(start)
    points = [m.clone()]
    for update in range(updates):
        m[update % 2] = torch.tanh(field + coupling * m[1 - update % 2])
        points.append(m.clone())
    return torch.stack(points)


frames, couplings = [], [0.0, 0.5, 0.8, 1.0, 1.2, 1.5, 2.0]
for J in couplings:
    paths = [climb(J, [-0.9, 0.3]), climb(J, [0.9, -0.5])]
    frames.append(plotting.bound_landscape(bound_of_two(J), paths, true_means(J), f"J = {J:g}"))
plotting.slider(frames, couplings, "J", start=5)

# %% [markdown]
# **Figure 5.** The ELBO of two coupled spins over their two means; one shade is a quarter of a nat. The cross is the truth;
# staircases are coordinate ascent from two starts (rings). At $J = 1$ both reach the same summit. At $J = 1.5$ there are
# two summits with a saddle between them at $m_1 = m_2 = -0.10$, and the truth, at $+0.10$, is near neither summit.
#
# <!-- alt: A map of heights over two means with two staircase paths. For small J they meet at one summit, for J of 1.5 and more they end in opposite corners, and a cross marks the truth near the centre. -->

# %% tags=["build-check"]
ends = {J: [climb(J, [-0.9, 0.3], 2000)[-1], climb(J, [0.9, -0.5], 2000)[-1]] for J in (1.0, 1.17, 1.19, 1.5)}
assert (ends[1.0][0] - ends[1.0][1]).abs().max() < 1e-6 and (ends[1.17][0] - ends[1.17][1]).abs().max() < 1e-3
assert (ends[1.19][0] - ends[1.19][1]).abs().max() > 0.5 and (ends[1.5][0] - ends[1.5][1]).abs().max() > 1.5
m = torch.tensor(-0.1007)
assert (torch.tanh(field + 1.5 * m) - m).abs() < 1e-3 and abs(true_means(1.5)[0] - 0.095) < 0.001

# %% [markdown]
# ### Cleaning digits
#
# Let each spin be a pixel. Prior: neighbours prefer to be equal, with coupling $J$ on a grid. Likelihood: each pixel arrives
# flipped with probability $\epsilon$. Then, with $x_i = \pm 1$ for the pixel we see,
#
# $$\log p(x_i \mid s_i) = \tfrac12 \log \frac{1 - \epsilon}{\epsilon}\; x_i s_i + \text{const} \tag{20}$$
#
# (check both cases of $x_i s_i$). So the posterior over pictures is again an Ising model, with field
# $h_i = \tfrac12 x_i \log\frac{1-\epsilon}{\epsilon}$. This is `denoising_lattice`, and figure 1 was (17), repeated until
# no mean moved by more than $10^{-4}$. Gibbs sampling on the same posterior gives a second opinion.

# %%
begun = time.perf_counter()
fit = fit_mean_field(posterior, start=noisy, sweeps=200, tolerance=1e-4)
halfway = time.perf_counter()
chain = lattice_chain(posterior, noisy, 150, generator)
by_gibbs = chain[30:].mean(0)  # the first 30 sweeps are left out
end = time.perf_counter()
print(f"mean field, {len(fit.elbo) - 1} sweeps: {wrong(fit.means):.2f} % wrong, {halfway - begun:.2f} s")
print(f"Gibbs, 150 sweeps: {wrong(by_gibbs):.2f} % wrong, {end - halfway:.2f} s")
pictures = {"clean": clean, "noisy": noisy, "mean field": fit.means, "Gibbs sampling": by_gibbs}
plotting.show(plotting.spin_pictures(pictures))

# %% [markdown]
# **Figure 6.** The digits, the noisy pictures, and the posterior means by mean field and by Gibbs sampling. The two agree in
# nearly every pixel. Grey marks doubt; it lies along edges, and Gibbs sampling shows more of it.
#
# <!-- alt: Four panels of ten digits: clean, speckled, and twice nearly clean again, with a little grey along the edges of strokes. -->

# %% tags=["build-check"]
assert wrong(fit.means) < 2 and wrong(by_gibbs) < 2 and abs(wrong(fit.means) - wrong(by_gibbs)) < 0.5
assert (fit.means.sign() == by_gibbs.sign()).double().mean() > 0.98
assert (1 - by_gibbs.abs()).mean() > 1.3 * (1 - fit.means.abs()).mean()
doubtful = by_gibbs.abs() < 0.8
assert (doubtful & edges.squeeze(1)).sum() > 0.6 * doubtful.sum()

# %% [markdown]
# How strongly should neighbours agree? Too weak a coupling keeps the noise. With a strong one, something less obvious
# happens, so each fit is now run from two starts: the noisy picture, and a blank page ($m_i = -1$ everywhere).


# %%
def fit_from(start, J):
    lattice = denoising_lattice(noisy, flip_probability=0.15, coupling=J)
    return fit_mean_field(lattice, start=start, sweeps=200, tolerance=1e-4)


strengths = [0.2, 0.4, 0.6, 0.8, 1.2, 2.0, 4.0]
from_noisy = {J: fit_from(noisy, J) for J in strengths}
from_blank = {J: fit_from(-torch.ones_like(noisy), J) for J in strengths}

# %%
frames = []
print("   J    start: noisy picture    start: blank page    blank ends higher")
for J in strengths:
    first, second = from_noisy[J], from_blank[J]
    elbos = [fit.elbo[-1].sum().item() for fit in (first, second)]
    higher = (second.elbo[-1] > first.elbo[-1] + 0.01).sum().item()
    left = f"{elbos[0]:9.1f}, {wrong(first.means):4.1f} % wrong"
    right = f"{elbos[1]:9.1f}, {wrong(second.means):4.1f} % wrong"
    print(f"{J:4.1f}  {left}  {right}  {higher:2d} of 10")
    titles = f"from the noisy picture: ELBO {elbos[0]:,.0f}", f"from a blank page: ELBO {elbos[1]:,.0f}"
    frames.append(plotting.spin_pictures({titles[0]: first.means, titles[1]: second.means}))

# %%
plotting.slider(frames, strengths, "J", start=5)

# %% [markdown]
# **Figure 7.** Mean field from two starts (drag $J$; ELBOs are sums over ten pictures). At $J = 2$ and $4$ the start from the
# noisy picture still shows readable digits, but the blank page has the *higher* bound: in eight of the ten pictures at
# $J = 2$, in all ten at $J = 4$. There the digits are a local optimum, found only because of the start.
#
# <!-- alt: Two panels of ten digits for one coupling J: on the left from the noisy start, on the right from a blank start. For J of 0.8 and more the right panel is all black. -->

# %% tags=["build-check"]
summed = {J: (from_noisy[J].elbo[-1].sum(), from_blank[J].elbo[-1].sum()) for J in strengths}
faults = {J: (wrong(from_noisy[J].means), wrong(from_blank[J].means)) for J in strengths}
lead = {J: from_blank[J].elbo[-1] - from_noisy[J].elbo[-1] for J in strengths}
assert summed[2.0][1] > summed[2.0][0] and (lead[2.0] > 0).sum() == 8 and (lead[4.0] > 0).all()
assert faults[4.0][0] < 3 < 15 < faults[4.0][1]
assert (lead[0.8] < 0).all() and faults[0.8][1] > 15 and lead[0.6].abs().max() > 1
assert min(faults, key=lambda J: faults[J][0]) in (0.6, 0.8, 1.2)
assert lead[0.2].abs().max() < 0.1 and lead[0.4].abs().max() < 0.1

# %% [markdown]
# | coupling | what the table and the figure say |
# |---|---|
# | up to $J = 0.4$ | The start does not matter: both runs reach the same bound. |
# | $J = 0.6$ to $1.2$ | It does, and the bound tells the runs apart. At $J = 0.8$ all ten blank pages have a lower ELBO. Take several starts and keep the best bound. |
# | $J = 2$ and $4$ | The same rule prefers the blank page. The rule is right and the *model* is wrong: a prior this strong favours pages of one colour. The readable digits are a poor approximation of a bad posterior; they look good only because the start did. |
#
# **Check yourself.** (a) With $J = 0$ the cleaned picture has the signs of the noisy one. Why is it grey all the same? (b)
# We know the clean pictures here, so we could choose $J$ by counting errors. How would you choose it otherwise?
#
# <details><summary>Answer</summary>
#
# (a) Without neighbours $m_i = \tanh(h_i) = \pm(1 - 2\epsilon) = \pm 0.7$: each pixel is trusted as far as the noise allows. (b) Not by the ELBO of (18) alone: it bounds the $\log Z$ of the posterior's potential. To get $\log p(x)$, subtract the prior's own $\log Z(J)$, which grows with $J$. Or choose $J$ so that samples of the prior look like clean
# pictures. Better still is a prior that knows about strokes: from unit 03 on, a network learns one.
# </details>

# %% [markdown]
# ## 5. How good is it? Enumerate
#
# On $4 \times 4$ spins there are 65,536 states. We can sum over all of them and compare every number above with the truth. Neighbours are coupled with strength $J$, and each spin has a random field. Mean field runs from three starts (each spin as
# if alone, all up, all down) and keeps the best bound.

# %%
fields = 0.3 * torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
up = torch.full((4, 4), 0.9)


def magnet(strength):
    return LatticeIsing.uniform(strength, fields)


def root_mean_square(error):
    return error.square().mean().sqrt().item()


def best_fit(model, starts):
    """Of the fits from several starts the one with the highest bound."""
    fits = [fit_mean_field(model, start=start) for start in starts]
    return max(fits, key=lambda fit: fit.elbo[-1])


# %%
print("   J    log Z     ELBO    gap   error of the means   gap from one start")
rows = {}
for strength in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0):
    truth = enumerate_states(magnet(strength).general())
    alone = fit_mean_field(magnet(strength))
    fit = best_fit(magnet(strength), [torch.tanh(fields), up, -up])
    error = root_mean_square(fit.means.flatten() - truth.means)
    log_z, bound = truth.log_partition.item(), fit.elbo[-1].item()
    rows[strength] = log_z - bound, error, log_z - alone.elbo[-1].item()
    print(f"{strength:4.1f} {log_z:8.3f} {bound:8.3f} {log_z - bound:6.3f} {error:13.3f} {rows[strength][2]:20.3f}")

# %%
truth = enumerate_states(magnet(0.4).general())
chain = lattice_chain(magnet(0.4), torch.ones(4, 4), 2000, generator)
estimates = {
    "mean field": best_fit(magnet(0.4), [torch.tanh(fields), up, -up]).means,
    "loopy belief propagation": belief_propagation(magnet(0.4).general()).means,
    "Gibbs, 1,900 sweeps": chain[100:].mean(0),
}
plotting.show(plotting.marginals_against_exact(truth.means, estimates))

# %% [markdown]
# **Figure 8.** Means of the sixteen spins at $J = 0.4$ against the truth by enumeration. Taken together, the fields favour "down", and mean field overstates this: all sixteen means are too low, fourteen of them too far from zero. Belief propagation (section 7)
# and Gibbs sampling stay close to the diagonal.
#
# <!-- alt: Scatter of approximate against true means. Mean-field points lie far below the diagonal, the others near it. -->

# %% tags=["build-check"]
too_low = estimates["mean field"].flatten() < truth.means
too_far = estimates["mean field"].flatten().abs() > truth.means.abs()
assert fields.sum() < 0 and too_low.all() and too_far.sum() == 14
leaning = [enumerate_states(magnet(J).general()).means.mean().item() for J in (0.5, 1.0)]
assert abs(leaning[0] + 0.33) < 0.005 and abs(leaning[1] + 0.75) < 0.005
errors = {name: (means.flatten() - truth.means).square().mean().sqrt().item() for name, means in estimates.items()}
assert errors["mean field"] > 0.3 and errors["loopy belief propagation"] < 0.06 and errors["Gibbs, 1,900 sweeps"] < 0.12
assert max(rows, key=lambda J: rows[J][0]) == 0.4 and max(rows, key=lambda J: rows[J][1]) == 0.5
assert 1.0 < rows[0.4][0] < 1.2 and 0.1 < rows[1.0][0] < 0.2 and rows[0.1][0] < 0.1 and 0.2 < rows[1.0][1] < 0.27
assert rows[0.7][2] > rows[0.7][0] + 2 and rows[1.0][2] > rows[1.0][0] + 1.5
assert all(abs(rows[J][0] - rows[J][2]) < 1e-6 for J in (0.1, 0.2, 0.3, 0.4, 0.5))

# %% [markdown]
# | what the numbers say | why |
# |---|---|
# | The gap is largest at a medium coupling, $J = 0.4$. | At weak coupling spins *are* nearly independent. At $J = 1$ they are nearly all up or nearly all down, and within either state they hardly fluctuate: mean field describes one of the two well and pays only for leaving the other out (section 6 says how much). In between, correlations matter, and a product of single spins has none. |
# | The error of the means is largest at $J = 0.5$ and falls again beyond. | The truth itself leans further down: the average of the sixteen true means goes from $-0.33$ at $J = 0.5$ to $-0.75$ at $J = 1$. |
# | It stays above 0.2. | The true means are a compromise between two sides, and mean field has chosen one: each spin sees only the means of its neighbours, not how they fluctuate. |
# | At $J = 0.7$ and $1$ one start alone ends two nats and more below the best (last column). | A poor local optimum. |
#
# **Check yourself.** Fourteen of mean field's sixteen means in figure 8 are too far from zero. Are the *variances* of these
# spins too large or too small?
#
# <details><summary>Answer</summary>
#
# The variance of a spin is $1 - m_i^2$. A mean too far from zero makes the variance too small: mean field is
# overconfident, as the factorised Gaussian of unit 01 was. (The two exceptions have true means above 0.2: they are pulled
# towards the wrong side.)
# </details>

# %% [markdown]
# ## 6. Phase transition and broken symmetry
#
# Now remove the field and let the lattice grow. All spins are alike, so try $m_i = m$. Inside the lattice each has four
# neighbours, and (17) becomes one equation:
#
# $$m = \tanh(4 J m). \tag{21}$$
#
# $m = 0$ always solves it. The right side has slope $4J$ there, and it is concave for $m > 0$. So for $4J > 1$ it starts above
# the line $m$ and crosses it once more: two new solutions $\pm m^*$ appear. The curvature (19) says what happens to $m = 0$:
# the largest eigenvalue of $J$ on the infinite lattice is $4J$ (all spins alike), so the summit at 0 turns into a saddle exactly there.
# **Mean field predicts that the lattice becomes a magnet at $J_c = \tfrac14$.**
#
# The infinite lattice has been solved exactly (Onsager; the magnetisation is due to Yang). Order sets in at
#
# $$J_c = \tfrac12 \log(1 + \sqrt 2) \approx 0.441, \qquad |m| = \bigl(1 - \sinh(2J)^{-4}\bigr)^{1/8} \text{ beyond}. \tag{22}$$
#
# Mean field finds the transition, which is remarkable for one equation, but puts it too early: it ignores that neighbours fluctuate together.

# %%
grid = torch.linspace(0.0, 1.0, 201)
m = torch.ones_like(grid)
for _ in range(3000):
    m = torch.tanh(4 * grid * m)  # equation (21), from above
critical = 0.5 * math.log(1 + math.sqrt(2))
exact = (1 - torch.sinh(2 * grid).clamp(min=1) ** -4) ** 0.125  # equation (22); zero up to the critical coupling

# %% fast="sweeps, long_run = 60, 200"
sweeps, long_run = 1500, 4000

# %%
strengths = [0.1, 0.2, 0.3, 0.35, 0.4, 0.42, 0.44, 0.46, 0.5, 0.6, 0.8]
all_up = torch.ones(48, 48)
generator.manual_seed(0)
magnetisations = []
for strength in strengths:
    lattice = LatticeIsing.uniform(strength, 0 * all_up)
    chain = lattice_chain(lattice, all_up, sweeps, generator)[sweeps // 3 :]
    inner = chain[:, 8:-8, 8:-8].mean(dim=(1, 2))  # far from the free edges
    magnetisations.append(inner.abs().mean().item())
curves = {"mean field (21)": m.where(grid > 0.25, 0.0), "exact, infinite lattice (22)": exact}
measured = {"Gibbs sampling, 48 × 48": (strengths, magnetisations)}
transitions = {"J = ¼": 0.25, "J = 0.441": critical}
plotting.show(plotting.magnetisation(grid, curves, measured, transitions))

# %% [markdown]
# **Figure 9.** Magnetisation against coupling. Mean field orders too early. The points are the average of $|m|$ over the sweeps
# of one run, $m$ being the mean of the inner $32 \times 32$ spins. From $J = 0.5$ on they lie on the exact curve. Near the
# transition a finite lattice has large, slowly changing patches of equal spins, so $|m|$ is neither zero nor steady.
#
# <!-- alt: Two curves that rise from zero, mean field at 0.25 and the exact one steeply at 0.441. Points lie on the exact curve from 0.5 on, and rise from 0.03 to about 0.25 below 0.43. -->

# %% tags=["build-check"]
for strength, value in zip(strengths, magnetisations, strict=True):
    limit = (1 - math.sinh(2 * strength) ** -4) ** 0.125 if strength > critical else 0.0
    assert abs(value - limit) < 0.02 if strength >= 0.5 else value < (0.45 if strength < 0.43 else 0.9)
assert magnetisations[0] < 0.06 and 0.1 < magnetisations[4] < 0.4 < magnetisations[7]

# %% [markdown]
# **Why the average of $|m|$?** Without a field, flipping all spins changes nothing. So the true mean of every spin on any
# *finite* lattice is exactly **zero**, even at $J = 0.6$. A Gibbs chain reaches that mean by flipping as a whole, again and again. To flip, a wall between "up" and "down" has to sweep across the lattice. A wall of length $L$ costs $2J$ in $\log \tilde p$
# for each of its $L$ bonds. Bent walls count too, and there are many, so the price is lower than $2J$: Onsager found
# $2J + \log\tanh J$ for each bond of a long wall, 0.23 at $J = \tfrac12$. The waiting time grows roughly like the exponential of the price times the length. The average of $m$ over a run then says more about the length of the run than about the model; the average of $|m|$ does not.


# %%
def whole_flips(trace):
    """How often the magnetisation changes sides; values within ±0.4 are no side."""
    sides = trace[trace.abs() > 0.4].sign()
    return (sides.diff() != 0).sum().item()


def trace_of(side, J):
    """The mean of all spins after each sweep, from all up."""
    start = torch.ones(side, side)
    lattice = LatticeIsing.uniform(J, 0 * start)
    return lattice_chain(lattice, start, long_run, generator).mean(dim=(1, 2))


# %%
generator.manual_seed(0)
flips = {}
for side in (6, 8, 10, 12):
    trace = trace_of(side, 0.5)
    flips[side] = whole_flips(trace)
    averages = f"mean {trace.mean():+.2f}, mean of |m| {trace.abs().mean():.2f}"
    print(f"{side:2d} × {side:2d}: {flips[side]:3d} flips in {long_run:,} sweeps at J = 0.5, {averages}")

# %%
generator.manual_seed(0)
traces = {}
for J in (0.5, 0.6, 0.8):
    trace = trace_of(8, J)
    averages = f"mean {trace.mean():+.2f}, mean of |m| {trace.abs().mean():.2f}"
    traces[f"J = {J}: {averages}, flips: {whole_flips(trace)}"] = trace.tolist()
plotting.show(plotting.magnetisation_traces(traces))

# %% [markdown]
# **Figure 10.** The mean of $8 \times 8$ spins during Gibbs sampling, from "all up". At $J = 0.5$ the magnet flips
# about two dozen times; at $J = 0.6$ only a few times; at $J = 0.8$ it stays up to the end. The true mean is zero in
# all three.
#
# <!-- alt: Three strips over 4,000 sweeps. The first jumps between plus and minus 0.8 many times, the second a few times, the third stays near plus 0.9. -->

# %% tags=["build-check"]
assert flips[6] > flips[8] > flips[10] > flips[12] and flips[6] > 25 and flips[12] < 10
assert abs(2 * 0.5 + math.log(math.tanh(0.5)) - 0.228) < 0.001
runs = [torch.tensor(trace) for trace in traces.values()]
counts_of_flips = [whole_flips(run) for run in runs]
assert 12 < counts_of_flips[0] < 35 and 0 < counts_of_flips[1] < 10
assert counts_of_flips[2] == 0 and runs[2].mean() > 0.85

# %% [markdown]
# **Symmetry breaking.** Beyond the transition mean field returns $+m^*$ or $-m^*$, depending on the start. This is not a bug: $\mathrm{KL}(q \,\|\, p)$ is mode-seeking (unit 01), and a product cannot represent "all up or all down". How much
# does it cost? If $q$ covers one of two equal halves of $p$ perfectly, $p = \tfrac12 q$ wherever $q$ is positive, and
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb{E}_q\Bigl[\log \frac{q}{q / 2}\Bigr] = \log 2 \approx 0.693. \tag{23}$$
#
# On a finite lattice the saddle at 0 appears where the largest eigenvalue of $J$ reaches 1; for $4 \times 4$ spins with free edges that $J$ is larger than $\tfrac14$.

# %%
silent = LatticeIsing.uniform(1.5, torch.zeros(4, 4))
truth = enumerate_states(silent.general())
print(f"truth: log Z {truth.log_partition:.3f}, largest mean {truth.means.abs().max():.1e}")
largest = torch.linalg.eigvalsh(silent.general().coupling).max().item() / 1.5
print(f"largest eigenvalue: {largest:.3f} J; zero becomes a saddle at J = {1 / largest:.3f}")
gaps = {}
for name, start in {"up": 0.1, "down": -0.1, "exactly zero": 0.0}.items():
    fit = fit_mean_field(silent, start=torch.full((4, 4), start))
    gaps[name] = (truth.log_partition - fit.elbo[-1]).item()
    print(f"{name:12s}: means {fit.means.mean():6.3f}, ELBO {fit.elbo[-1]:.3f}, gap {gaps[name]:.3f}")

# %% tags=["build-check"]
assert abs(largest - 4 * math.cos(math.pi / 5)) < 1e-6 and 0.30 < 1 / largest < 0.32
assert abs(gaps["up"] - gaps["down"]) < 1e-6 and 0.69 < gaps["up"] < 0.71 and gaps["exactly zero"] > 20
assert 36 < truth.log_partition < 38 and truth.means.abs().max() < 1e-9

# %% [markdown]
# From either side the gap is 0.69 to 0.70 nats: $\log 2$, plus a little for what $q$ misses inside its half. A start at exactly zero stays on the
# saddle.
#
# **Check yourself.** The bound falls short of 37 nats by less than one, and yet all means are off by one. Write down one expectation
# that does not change when all spins are flipped, and one that does. Which of them can this $q$ get right?
#
# <details><summary>Answer</summary>
#
# $\mathbb{E}[s_1 s_2]$ does not change, and it can come out right: both halves of $p$ agree on it, and $q$ describes one half
# well. $\mathbb{E}[s_1]$ changes sign, and it cannot: the halves cancel under $p$, and $q$ has only one of them. A tight bound is a statement about $\log Z$, not
# about every expectation. Mixtures have the same symmetry (any relabelling of components), and there it does no harm.
# </details>

# %% [markdown]
# ## 7. Around $\log Z$ from all sides
#
# Mean field bounds $\log Z$ from below. This section derives three other estimates and then measures all four.
#
# ### Belief propagation
#
# Suppose the graph is a **tree**, and cut it at spin $s$. Everything behind its neighbour $t$ can be summed out for each of
# the two values of $s$. The result is the *message* from $t$ to $s$:
#
# $$M_{t \to s}(s_s) = \sum_{s_t = \pm 1} e^{J_{st} s_s s_t + h_t s_t} \prod_{a \in N(t) \setminus s} M_{a \to t}(s_t). \tag{24}$$
#
# $N(t) \setminus s$ are the neighbours of $t$ except $s$. A leaf has no such neighbours, so its message is known, and all
# others follow towards $s$.

# %%
plotting.show(plotting.belief_messages())

# %% [markdown]
# **Figure 11.** Left: on a tree the message from $t$ (orange) needs those of $a$ and $b$, and nothing from $s$. Right: on a loop
# what $s$ sends comes back to it, and (24) counts it as fresh evidence.
#
# <!-- alt: Left, five circles in a tree, with arrows labelled u from a and b to t, from t to s and from c to s. Right, four circles in a ring with arrows all the way round. -->

# %% tags=["build-check"]
assert len(plotting.belief_messages().axes) == 2

# %% [markdown]
# A positive function of one spin is, up to a factor, $e^{u s}$. So each message is one number, the field $u_{t \to s}$ that
# $t$ exerts on $s$. Call $c_{t \to s} = h_t + \sum_{a \ne s} u_{a \to t}$ the *cavity field*: what $t$ feels without $s$. Then (24)
# is $M(s_s) \propto 2 \cosh(J_{st} s_s + c_{t \to s})$, and $e^{2u} = M(1) / M(-1)$ gives
#
# $$u_{t \to s} = \tfrac12 \log \frac{\cosh(c_{t \to s} + J_{st})}{\cosh(c_{t \to s} - J_{st})}, \quad \text{that is,} \quad
#   \tanh u_{t \to s} = \tanh J_{st}\, \tanh c_{t \to s}, \qquad \mathbb{E}[s_s] = \tanh\Bigl(h_s + \sum_t u_{t \to s}\Bigr). \tag{25}$$
#
# Compare with mean field, where $t$ exerts $J_{st} m_t$: belief propagation leaves out what $s$ itself told $t$, and $|u|$
# is at most $|J_{st}|$ and smaller if $t$ is uncertain. *Loopy* belief propagation repeats (25) on any graph, where nothing guarantees that
# it converges, or to what.
#
# **What it optimises.** On a tree $p$ factorises into its marginals, $p(s) = \prod_i p_i \prod_{ij} p_{ij} / (p_i p_j)$:
# start at a root, and every further spin contributes $p(s_j \mid s_i) = p_{ij} / p_i$. Take $-\mathbb{E} \log$: the entropy is
# $\sum_i \mathrm{H}_i - \sum_{ij} \mathrm{I}_{ij}$, with the mutual information $\mathrm{I}_{ij}$ of each edge. Use this on *any*
# graph, with a weight $\rho_{ij}$ on each edge for later ($\rho = 1$ is *Bethe's approximation*):
#
# $$\log Z_\rho = \max_{b}\; \sum_i h_i\, \mathbb{E}_b[s_i] + \sum_{ij} J_{ij}\, \mathbb{E}_b[s_i s_j] + \sum_i \mathrm{H}_i(b) - \sum_{ij} \rho_{ij}\, \mathrm{I}_{ij}(b). \tag{26}$$
#
# The beliefs $b_i$, $b_{ij}$ must agree locally, $\sum_{s_j} b_{ij} = b_i$, but need not be the marginals of any distribution.
# Write $\mathrm{I}_{ij} = \mathrm{H}_i + \mathrm{H}_j - \mathrm{H}_{ij}$ and give the constraints multipliers, which for a spin have the
# form $\rho_{ij}\, c_{i \to j}\, s_i$. Setting the derivatives with respect to $b_{ij}$ and $b_i$ to zero gives
#
# $$b_{ij} \propto \exp\Bigl( \tfrac{J_{ij}}{\rho_{ij}} s_i s_j + c_{i \to j} s_i + c_{j \to i} s_j \Bigr), \qquad
#   b_i \propto e^{H_i s_i} \ \text{ with }\ \Bigl(1 - \sum_j \rho_{ij}\Bigr) H_i = h_i - \sum_j \rho_{ij}\, c_{i \to j}. \tag{27}$$
#
# Define $u_{j \to i} = H_i - c_{i \to j}$. The second equation becomes the sum of fields, and $\sum_{s_j} b_{ij} = b_i$ becomes (25):
#
# $$H_i = h_i + \sum_j \rho_{ij}\, u_{j \to i}, \qquad c_{i \to j} = H_i - u_{j \to i}, \qquad
#   \tanh u_{j \to i} = \tanh \frac{J_{ij}}{\rho_{ij}}\, \tanh c_{j \to i}. \tag{28}$$
#
# With $\rho = 1$ these are the messages of belief propagation: its fixed points are the stationary points of (26). On trees the value is exact. On graphs with loops it is *neither* an upper nor a lower bound, and the iteration may not converge.

# %% [markdown]
# ### Tree-reweighted belief propagation
#
# Let $\theta$ collect all couplings and fields. $\log Z(\theta)$ is a log-sum-exp of linear functions, hence *convex*. Write
# $\theta$ as an average of parameters that live on spanning trees, $\theta = \sum_T w_T\, \theta^{(T)}$. Jensen gives
#
# $$\log Z(\theta) \;\le\; \sum_T w_T \log Z(\theta^{(T)}), \tag{29}$$
#
# and each term on the right is easy. Which $\theta^{(T)}$ make the right side smallest? The problem is convex with a linear
# constraint, so it equals its dual. Let $\tau$ be the multiplier and $\phi(s)$ the statistics (all $s_i$ and $s_i s_j$):
#
# $$\min_{\theta^{(T)}} \sum_T w_T \log Z(\theta^{(T)}) = \max_\tau \Bigl\{ \tau^\top \theta + \sum_T w_T \min_{\theta^{(T)}} \bigl[ \log Z(\theta^{(T)}) - \tau^\top \theta^{(T)} \bigr] \Bigr\}
#   = \max_\tau \Bigl\{ \tau^\top \theta + \sum_T w_T\, \mathrm{H}_T(\tau) \Bigr\}. \tag{30}$$
#
# The last step: at the inner minimum the moments of the tree equal $\tau$, because $\nabla \log Z = \mathbb{E}[\phi]$; and there
# $\log Z - \mathbb{E}[\phi]^\top \theta = -\mathbb{E}[\log p]$ is the entropy of a tree with these moments. (If no distribution on the tree
# has the moments $\tau$, the minimum is $-\infty$. So $\tau$ must agree locally, as the beliefs in (26) must.) That entropy is
# $\sum_i \mathrm{H}_i - \sum_{ij \in T} \mathrm{I}_{ij}$. Averaged over trees it counts $\mathrm{I}_{ij}$ with the share $\rho_{ij}$ of trees that
# hold the edge. So (30) *is* (26) with $\rho_{ij} < 1$ on loops, it is concave in $\tau$, and (28) are its messages: once they
# have converged, an **upper** bound.

# %% [markdown]
# ### Annealed importance sampling
#
# Sampling is easy at $J = 0$. Let $f_k(s) = \exp(\beta_k \tfrac12 s^\top J s + h^\top s)$ with $0 = \beta_0 < \dots < \beta_K = 1$, draw
# $s_0$ from $f_0 / Z_0$, let $s_k$ follow from $s_{k-1}$ by a Gibbs sweep that leaves $f_k / Z_k$ unchanged, and collect a weight:
#
# $$w = Z_0 \prod_{k=0}^{K-1} \frac{f_{k+1}(s_k)}{f_k(s_k)}, \qquad
#   \log w = \log Z_0 + \sum_{k=0}^{K-1} (\beta_{k+1} - \beta_k)\, \tfrac12\, s_k^\top J s_k. \tag{31}$$
#
# **Claim: $\mathbb{E}[w] = Z$.** Let $w_k$ be the weight after $k$ factors. We show by induction that for every function $g$
#
# $$\mathbb{E}\bigl[w_k\, g(s_k)\bigr] = \sum_s f_k(s)\, g(s). \tag{32}$$
#
# For $k = 0$ this says $Z_0\, \mathbb{E}[g(s_0)] = \sum_s f_0\, g$. For the step, multiply by the next factor and let $s' = s_{k+1}$ be drawn from
# the sweep $T(s' \mid s)$:
#
# $$\mathbb{E}\bigl[w_{k+1}\, g(s')\bigr] = \sum_s f_k(s)\, \frac{f_{k+1}(s)}{f_k(s)} \sum_{s'} T(s' \mid s)\, g(s') = \sum_{s'} g(s') \sum_s f_{k+1}(s)\, T(s' \mid s) = \sum_{s'} f_{k+1}(s')\, g(s'). \tag{33}$$
#
# With $g = 1$ and $k = K$ the claim follows. The weight is unbiased for $Z$, so by Jensen its logarithm is too low for $\log Z$ on average. More steps and chains bring it closer.
#
# **Expectation propagation**, in one sentence: replace the factors of $\tilde p$, one after another, by simple ones such that, *in the
# context of all the others*, the moments are right, a KL from the true to the simple distribution at each step. It often gives better
# marginals than mean field and spreads over modes instead of choosing one. It gives no bound and may not converge;
# belief propagation is the special case of factorised approximations.

# %% [markdown]
# ### All four, measured
#
# Two kinds of $4 \times 4$ magnets: all couplings equal to $J$, and the same strength with random signs, so that some spins cannot satisfy all their couplings ("frustration").

# %% fast="strengths = [0.1, 0.5, 1.0]"
strengths = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0, 1.2]

# %%
coins = torch.Generator().manual_seed(2)
signs = [(torch.rand(shape, generator=coins, dtype=torch.float32) - 0.5).sign() for shape in ((4, 3), (3, 4))]
horizontal, vertical = (sign.double() for sign in signs)


def frustrated(strength):
    return LatticeIsing(strength * horizontal, strength * vertical, fields)


# %%
def estimates_of(model):
    """Four estimates of log Z less the truth, the error of the last, and which converged."""
    general, starts = model.general(), [torch.tanh(fields), up, -up, torch.tanh(-3 * fields)]
    loopy = belief_propagation(general, damping=0.3)
    trees = tree_reweighted_belief_propagation(general)
    annealed = annealed_importance_sampling(model, 200, 100, generator)  # chains, steps
    bounds = [loopy.log_partition, trees.log_partition, annealed.log_partition]
    values = torch.stack([best_fit(model, starts).elbo[-1], *bounds])
    exact = enumerate_states(general).log_partition
    return values - exact, annealed.standard_error, (loopy.converged, trees.converged)


# %%
names = ["mean field", "loopy belief propagation", "tree-reweighted", "annealed sampling"]


def compared(make):
    """Estimates, standard errors and convergence by name, at each strength."""
    results = [estimates_of(make(strength)) for strength in strengths]
    values, errors, converged = zip(*results, strict=True)
    differences = dict(zip(names, torch.stack(values).T.tolist(), strict=True))
    came_to_rest = dict(zip(names[1:3], zip(*converged, strict=True), strict=True))
    return differences, {names[3]: torch.stack(errors).tolist()}, came_to_rest


attractive = compared(magnet)
figure = plotting.log_partition_bounds(strengths, *attractive, title="all neighbours alike")
plotting.show(figure)

# %% [markdown]
# **Figure 12.** Estimates of $\log Z$ minus the truth, all couplings equal. Mean field lies below, tree-reweighted above;
# loopy belief propagation is close, and below. Bars are two standard errors; hollow marks would show runs that did not converge.
#
# <!-- alt: Four curves around a zero line. Mean field dips to minus 1.1 and returns, tree-reweighted rises and returns, loopy belief propagation lies a little below zero, annealed sampling near zero. -->

# %% tags=["build-check"]
differences, errors, converged = attractive
assert max(differences["mean field"]) < 0 < min(differences["tree-reweighted"])
assert all(all(kept) for kept in converged.values())
loopy = differences["loopy belief propagation"]
assert min(loopy) > -0.4 and max(loopy) < 1e-6
for value, error in zip(differences["annealed sampling"], errors["annealed sampling"], strict=True):
    assert abs(value) < 5 * error + 0.01

# %%
mixed = compared(frustrated)
print("loopy less log Z:", " ".join(f"{value:+.2f}" for value in mixed[0][names[1]]))
widths = {}
for title, (values, _, _) in {"alike": attractive, "random": mixed}.items():
    widths[title] = np.subtract(values["tree-reweighted"], values["mean field"])
    print(f"from bound to bound, {title:6s}:", " ".join(f"{width:.2f}" for width in widths[title]))
plotting.show(plotting.log_partition_bounds(strengths, *mixed, title="signs at random"))

# %% [markdown]
# **Figure 13.** Estimates of $\log Z$ minus the truth, signs at random. Mean field is still below and tree-reweighted
# above, but loopy belief propagation now lies above the truth and, from $J = 1$ on (hollow marks), no longer
# converges. Annealed sampling stays within 0.15 nats of the truth.
#
# <!-- alt: Four curves around a zero line. Mean field lies below, tree-reweighted far above, loopy belief propagation rises above zero with hollow marks, annealed sampling stays on zero. -->

# %% tags=["build-check"]
differences, errors, converged = mixed
assert max(differences["mean field"]) < 0 < min(differences["tree-reweighted"]) and all(converged["tree-reweighted"])
assert all(value > 0.05 for value in differences["loopy belief propagation"][4:])
assert converged["loopy belief propagation"] == (True,) * 8 + (False,) * 2
for value, error in zip(differences["annealed sampling"], errors["annealed sampling"], strict=True):
    assert abs(value) < min(4 * error + 0.01, 0.15)
assert strengths[widths["alike"].argmax()] == 0.5 and abs(widths["alike"].max() - 1.84) < 0.01
assert widths["random"].argmax() == len(strengths) - 1 and abs(widths["random"].max() - 7.76) < 0.05

# %% [markdown]
# For couplings that are all positive, loopy belief propagation never exceeds $\log Z$; this has been proven (Ruozzi). With random signs
# the messages around a loop contradict each other, and its estimate comes out too high. The true value lies between the two bounds throughout. With equal couplings
# they are farthest apart in the middle, 1.8 nats at $J = 0.5$; with random signs the distance keeps growing, to 7.8 nats at $J = 1.2$.
#
# **Check yourself.** You have no enumeration, only numbers: mean field 120.3, tree-reweighted (converged) 131.0, loopy 126.2,
# annealed 124.9 ± 0.3. What do you know for certain, and what do you believe?
#
# <details><summary>Answer</summary>
#
# Certain: $120.3 \le \log Z \le 131.0$. Believed: near 125, because of annealing. But an annealed estimate is too low when no
# chain finds an important region, and its standard error does not reflect what no chain saw. The test is whether a longer annealing gives the same value.
# </details>

# %% [markdown]
# ## 8. Latent Dirichlet allocation
#
# Now a directed model. A document is a bag of words. Each word was written about some *topic*, and nobody recorded which.
#
# $$\theta_d \sim \mathrm{Dir}(\alpha), \quad \beta_k \sim \mathrm{Dir}(\eta), \quad z_{dn} \mid \theta_d \sim \theta_d, \quad w_{dn} \mid z_{dn} = k \sim \beta_k. \tag{34}$$
#
# $\theta_d$ are the shares of topics in document $d$, $\beta_k$ the probabilities of words in topic $k$. Both are unknown, as is the topic
# $z_{dn}$ of every word.

# %%
plotting.show(plotting.topic_model_plates())

# %% [markdown]
# **Figure 14.** Latent Dirichlet allocation as a *plate diagram*: each box (plate) stands for copies, one for each word, document or topic, and
# only the words (shaded) are observed. Right: the mean-field family. It keeps every unknown, removes every arrow between them, and gives each a
# parameter of its own.
#
# <!-- alt: Left, alpha points to theta inside the plate of documents, theta to z and z to the shaded w inside the plate of words; eta points to beta inside the plate of topics, and beta to w. Right, theta, z and beta stand alone, each below its own parameter gamma, phi and lambda. -->

# %% tags=["build-check"]
assert len(plotting.topic_model_plates().axes) == 2

# %% [markdown]
# The joint is the product of these factors:
#
# $$\log p = \sum_{k, w} (\eta - 1) \log \beta_{kw} + \sum_d \Bigl[ \sum_k (\alpha_k - 1) \log \theta_{dk}
#   + \sum_n \bigl( \log \theta_{d z_{dn}} + \log \beta_{z_{dn} w_{dn}} \bigr) \Bigr] + \text{const}. \tag{35}$$
#
# **The family is explicit, or *uncollapsed*.** It has one factor for every unknown, and nothing is integrated out. (A *collapsed* family first
# integrates $\theta$ and $\beta$ out of $p$ and approximates the $z$ alone. That gives a tighter bound, but the $z$ are then all coupled and the updates are no
# longer closed.) The forms of the factors are derived, not assumed:
#
# $$q = \prod_k q(\beta_k) \prod_d \Bigl[ q(\theta_d) \prod_n q(z_{dn}) \Bigr]. \tag{36}$$
#
# **Topic of a word.** By (12), keep the terms of (35) that contain $z_{dn}$ and average over the rest:
#
# $$\varphi_{dwk} := q(z_{dn} = k) \;\propto\; \exp\bigl( \mathbb{E}[\log \theta_{dk}] + \mathbb{E}[\log \beta_{kw}] \bigr), \qquad w = w_{dn}. \tag{37}$$
#
# It depends on the word only, not on its position: one $\varphi$ for each word of the vocabulary in each document, and counts $n_{dw}$.
#
# **Shares of a document.** $\theta_d$ is continuous, so (12) is used for a density. The terms with $\theta_d$, averaged over $z$, are
# $\sum_k (\alpha_k - 1 + \sum_w n_{dw} \varphi_{dwk}) \log \theta_{dk}$: the logarithm of a Dirichlet density, and its normaliser is finite, as (11) requires,
# because all exponents are above $-1$. Likewise for the topics:
#
# $$q(\theta_d) = \mathrm{Dir}(\gamma_d), \quad \gamma_{dk} = \alpha_k + \sum_w n_{dw}\, \varphi_{dwk}; \qquad
#   q(\beta_k) = \mathrm{Dir}(\lambda_k), \quad \lambda_{kw} = \eta + \sum_d n_{dw}\, \varphi_{dwk}. \tag{38}$$
#
# **The expectation of a logarithm.** A Dirichlet density integrates to one, that is,
# $\int \prod_k \theta_k^{\gamma_k - 1}\, d\theta = \prod_k \Gamma(\gamma_k) / \Gamma(\sum_j \gamma_j) =: e^{A(\gamma)}$. Differentiate both sides with
# respect to $\gamma_k$: on the left this brings down $\log \theta_k$, on the right it gives $e^A\, \partial A / \partial \gamma_k$. Divide by $e^A$:
#
# $$\mathbb{E}[\log \theta_k] = \frac{\partial A}{\partial \gamma_k} = \psi(\gamma_k) - \psi\Bigl(\sum_j \gamma_j\Bigr), \qquad \psi = (\log \Gamma)' \text{ (digamma)}. \tag{39}$$

# %% [markdown]
# **As matrix products.** With $T_{dk} = e^{\mathbb{E} \log \theta_{dk}}$ and $B_{kw} = e^{\mathbb{E} \log \beta_{kw}}$ the normaliser of (37) is $C = TB$, and
# $\varphi_{dwk} = T_{dk} B_{kw} / C_{dw}$ never needs to be stored:
#
# $$\gamma = \alpha + T \odot \Bigl( \tfrac{n}{C}\, B^\top \Bigr), \qquad \lambda = \eta + B \odot \Bigl( T^\top \tfrac{n}{C} \Bigr). \tag{40}$$
#
# **In floating point (40) breaks.** For small arguments $\psi(x) \approx -1/x$. With $\eta = 0.001$, a word that a topic does not use has
# $\mathbb{E}[\log \beta_{kw}] \approx -1000$. Double precision rounds $e^{-1000}$ to 0 (it does so from about $-745$). If that happens in every topic, $C_{dw} = 0$ and $\varphi$ is
# $0/0$. But $\varphi$ depends only on *differences* between topics. Subtract the largest expectation of each word before exponentiating:
#
# $$\tilde B_{kw} = \exp\bigl( \mathbb{E}[\log \beta_{kw}] - b_w \bigr), \quad b_w = \max_k \mathbb{E}[\log \beta_{kw}], \qquad \varphi_{dwk} = \frac{T_{dk} \tilde B_{kw}}{(T \tilde B)_{dw}}, \quad \log C_{dw} = b_w + \log (T \tilde B)_{dw}. \tag{41}$$
#
# Now every word has a topic with $\tilde B = 1$. If the shares $T$ can be as small as that too (tiny $\alpha$), add the two logarithms first and
# subtract the maximum over topics for each document and word: a softmax.

# %%
rare = torch.tensor([[-1000.0], [-1002.0]])  # E[log β] of one word in two topics
shares = torch.tensor([[0.5, 0.5]])
for name, B in {"(40)": rare.exp(), "(41)": (rare - rare.amax(0)).exp()}.items():
    phi = (shares.T * B / (shares @ B)).flatten()
    print(f"equation {name}: φ =", [round(value, 3) for value in phi.tolist()])

# %% tags=["build-check"]
assert (shares.T * rare.exp() / (shares @ rare.exp())).isnan().all()
assert torch.allclose(shares.T * B / (shares @ B), torch.softmax(rare, 0))
assert abs(torch.digamma(torch.tensor(0.001)) + 1000) < 2

# %% [markdown]
# **The bound.** Collect (35) and the entropies, with $\varphi$ at its best, (37). For $z$: $\sum_k \varphi (\mathbb{E} \log \theta + \mathbb{E} \log \beta - \log \varphi) = \log C$, because
# $\log \varphi$ is the bracket minus $\log C$. Two KLs to the priors remain:
#
# $$\mathrm{ELBO} = \sum_{dw} n_{dw} \log C_{dw} - \sum_d \mathrm{KL}\bigl(q(\theta_d) \,\|\, \mathrm{Dir}(\alpha)\bigr) - \sum_k \mathrm{KL}\bigl(q(\beta_k) \,\|\, \mathrm{Dir}(\eta)\bigr). \tag{42}$$


# %%
alpha, eta, num_topics = 0.1, 0.05, 10


def expected_log(concentration):  # equation (39)
    return torch.digamma(concentration) - torch.digamma(concentration.sum(1, keepdim=True))


def share_words_out(counts, log_topics, gamma, updates):
    """Equations (37) and (38) for all documents: products (40), shift (41)."""
    B = (log_topics - log_topics.amax(0)).exp()
    for _ in range(updates):
        T = expected_log(gamma).exp()
        gamma = alpha + T * ((counts / (T @ B)) @ B.T)
    T = expected_log(gamma).exp()
    return gamma, B * (T.T @ (counts / (T @ B)))


# %%
def kl_to_prior(concentration, prior):
    same_for_all = torch.full_like(concentration, prior)
    return kl_divergence(Dirichlet(concentration), Dirichlet(same_for_all)).sum()


def bound_given_topics(counts, gamma, log_topics):
    """The first two terms of equation (42)."""
    shift = log_topics.amax(0)
    log_C = shift + (expected_log(gamma).exp() @ (log_topics - shift).exp()).log()
    return (counts * log_C).sum() - kl_to_prior(gamma, alpha)


# %% [markdown]
# ### What is Python's standard library about?
#
# The text is the documentation of the standard library that runs this notebook. All docstrings of a module make one document, and
# common words of English and of code are left out. (Another version of Python has slightly other documents, and so other topics. What is said about them below held for all versions tried, 3.11 to 3.13.)

# %%
library = load_documentation()
counts = library.counts
words_in_all = counts.sum().item()
print(f"{len(counts)} modules, {len(library.words)} words, {words_in_all:,.0f} occurrences")

# %% fast="sweeps = 15"
sweeps = 50


# %%
def bound_per_word(gamma, concentration):  # equation (42)
    given_topics = bound_given_topics(counts, gamma, expected_log(concentration))
    return (given_topics - kl_to_prior(concentration, eta)).item() / words_in_all


shape = num_topics, len(library.words)
concentration = torch.from_numpy(np.random.RandomState(1).gamma(100.0, 0.01, shape))
climbed = []
for _ in range(sweeps):
    gamma = torch.ones(len(counts), num_topics)  # documents start afresh in each sweep
    gamma, expected = share_words_out(counts, expected_log(concentration), gamma, updates=60)
    concentration = eta + expected
    climbed.append(bound_per_word(gamma, concentration))
print(f"ELBO {climbed[0]:.4f} → {climbed[-1]:.4f} nats per word")
print(f"smallest step of the bound: {min(np.diff(climbed)):+.1e}")
labels = {"y_label": "ELBO (nats per word)", "x_label": "sweep over all documents"}
plotting.show(plotting.learning_curves({"ELBO": climbed}, **labels))

# %% [markdown]
# **Figure 15.** Coordinate ascent on the bound of the topic model. It rises steeply while topics sort themselves out, then slowly, and never
# falls.
#
# <!-- alt: A curve that rises steeply in the first ten sweeps and flattens after that. -->

# %% tags=["build-check"]
from avae_lib.meanfield.lda import lda_elbo

same = lda_elbo(counts, torch.full((num_topics,), alpha), eta, gamma, concentration) / words_in_all
assert abs(same - climbed[-1]) < 1e-9 and min(np.diff(climbed)) > 0
assert climbed[9] - climbed[0] > 4 * (climbed[-1] - climbed[9])

# %% [markdown]
# Each document's shares start afresh in every sweep. If they were kept from the first sweep, when all topics are still noise, they would hardly
# move again. (Strictly, the bound may then fall, if a document climbs a different summit from before. The line above prints whether it did.)
#
# **An independent check.** scikit-learn's `LatentDirichletAllocation` runs the same updates in its batch form. We draw our random start the way it does, so both climb from (nearly) the same point. Topics have no order, so they are matched by the words they share.

# %%
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import LatentDirichletAllocation

priors = {"doc_topic_prior": alpha, "topic_word_prior": eta}
lengths = {"max_iter": sweeps, "max_doc_update_iter": 60}
model = LatentDirichletAllocation(num_topics, **priors, **lengths, random_state=1)
theirs = torch.from_numpy(model.fit(counts.numpy()).components_)
begin = torch.ones_like(gamma)
their_gamma, _ = share_words_out(counts, expected_log(theirs), begin, updates=100)
their_bound = bound_per_word(their_gamma, theirs)
print(f"ELBO by (42), nats per word: ours {climbed[-1]:.4f}, theirs {their_bound:.4f}")

# %%
topics, their_topics = (F.normalize(rows, p=1, dim=1) for rows in (concentration, theirs))
# The overlap of two topics is 1 if they are equal and 0 if they share no word.
overlap = torch.minimum(topics.unsqueeze(1), their_topics).sum(2)
_, match = linear_sum_assignment(-overlap.numpy())
order = concentration.sum(1).argsort(descending=True)
ours_listed = library.most_likely(topics[order])
theirs_listed = library.most_likely(their_topics[match][order])
overlaps = [overlap[k, match[k]].item() for k in order.tolist()]
print("overlap of matched topics:", " ".join(f"{value:.2f}" for value in overlaps))
columns = {"coordinate ascent (40)": ours_listed, "scikit-learn": theirs_listed}
plotting.show(plotting.topics_side_by_side(columns))

# %% [markdown]
# **Figure 16.** Ten topics of the standard library's documentation, the largest first: the eight likeliest words of each, by
# the equations above and by scikit-learn. Words in both lists are dark: at least three in four.
#
# <!-- alt: Two columns of ten word lists, such as server, socket, request, response. Most words appear in both columns. -->

# %% tags=["build-check"]
shared_words = [len(set(a) & set(b)) for a, b in zip(ours_listed, theirs_listed, strict=True)]
assert sum(shared_words) > 0.75 * 80 and abs(their_bound - climbed[-1]) < 0.02
assert sum(value > 0.7 for value in overlaps) >= 8

# %%
document_shares = F.normalize(gamma, p=1, dim=1)[:, order]
topic_names = [" ".join(words[:2]) for words in ours_listed]
wanted = ["argparse", "asyncio.events", "email.message", "http.server", "logging", "pathlib", "turtle"]
rows = {
    title: document_shares[library.titles.index(title)].tolist()
    for title in [*wanted, "statistics", "zipfile"]
    if title in library.titles
}
plotting.show(plotting.topic_shares(rows, topic_names))

# %% [markdown]
# **Figure 17.** What some modules are about: expected shares of topics, in per cent (shares below 5 % are left blank), each topic named by its two likeliest words. In
# most rows one or two topics hold more than 80 %; `http.server` is spread over three or more.
#
# <!-- alt: A table of modules and ten topics. In most rows one or two cells are dark; the row of logging has one. -->

# %% tags=["build-check"]
largest_two = [sum(sorted(shares)[-2:]) for shares in rows.values()]
assert len(rows) >= 7 and sum(value > 0.8 for value in largest_two) > len(rows) / 2
assert max(rows["http.server"]) < 0.6 and sum(share > 0.05 for share in rows["http.server"]) >= 3
assert max(rows["logging"]) > 0.8

# %% [markdown]
# Not every module finds a topic of its own. `http.server` splits its words over several topics, none with more than 60 % of them: ten topics for about 250 modules are
# too few to give each subject its own, so part of its words are counted towards topics of other modules. The name of a topic is only its two likeliest words; a module that uses the topic need not contain them.
#
# The model was told nothing about networks or numbers. It found sets of words that occur together, because few topics for each document (small
# $\alpha$) and few words for each topic (small $\eta$) make the data likely.
#
# **Check yourself.** (a) Why does $\psi(\sum_j \gamma_j)$ of (39) make no difference in (37)? (b) With another random start the topics
# come out differently. Is that a bug?
#
# <details><summary>Answer</summary>
#
# (a) It is the same for all $k$ of a document, so it cancels when $\varphi$ is normalised over topics. In the bound (42) it does
# count. (b) No: coordinate ascent finds *a* summit of the ELBO, and there are many. Run several and keep the highest; believe what all of them
# find.
# </details>

# %% [markdown]
# ## 9. A Bayesian mixture of Gaussians
#
# Points come from components with unknown weights, means and precisions:
#
# $$\pi \sim \mathrm{Dir}(\alpha_0), \quad \tau_{kd} \sim \mathrm{Gamma}\bigl(\tfrac{\nu_0}{2}, \tfrac{S_d}{2}\bigr), \quad
#   \mu_{kd} \mid \tau_{kd} \sim \mathcal{N}\bigl(m_{0d}, (\beta_0 \tau_{kd})^{-1}\bigr), \quad z_n \sim \pi, \quad x_{nd} \mid z_n = k \sim \mathcal{N}(\mu_{kd}, \tau_{kd}^{-1}). \tag{43}$$
#
# The family separates assignments from parameters, $q(z)\, q(\pi)\, \prod_k q(\mu_k, \tau_k)$.
#
# **Assignments.** (12) asks for the expectation of the log density:
#
# $$\log r_{nk} = g_{nk} - \log \sum_j e^{g_{nj}}, \qquad g_{nk} = \mathbb{E}[\log \pi_k] + \tfrac12 \sum_d \Bigl( \mathbb{E}[\log \tau_{kd}] - \log 2\pi - \mathbb{E}\bigl[\tau_{kd} (x_{nd} - \mu_{kd})^2\bigr] \Bigr). \tag{44}$$
#
# The last expectation, in two steps: given $\tau$, $\mu \sim \mathcal{N}(m, (\beta\tau)^{-1})$, so $\mathbb{E}[(x - \mu)^2 \mid \tau] = (x - m)^2 + \frac{1}{\beta\tau}$; multiply by
# $\tau$ and average:
#
# $$\mathbb{E}\bigl[\tau (x - \mu)^2\bigr] = \mathbb{E}[\tau]\, (x - m)^2 + \frac1\beta: \tag{45}$$
#
# the usual squared distance, and a charge for not knowing the mean. Only one term of $g_{nk}$ depends on the point. The assignment's function takes all the others as one number for each component, `weights_log`: the expected log weight plus the terms of $\mathbb{E}[\log \tau]$ and $1/\beta$ that do not depend on the point. (It gets $\mathbb{E}[\tau]$ as the precision and adds $\tfrac12 \sum_d \log \mathbb{E}[\tau_{kd}]$ itself,
# so `weights_log` is $\mathbb{E}[\log \pi_k] + \tfrac12 \sum_d (\mathbb{E}[\log \tau_{kd}] - \log \mathbb{E}[\tau_{kd}] - 1/\beta_k)$.)
#
# **Parameters.** Let $N_k = \sum_n r_{nk}$ and $\bar x_k = \sum_n r_{nk} x_n / N_k$. The weights are a Dirichlet again, $\alpha_k = \alpha_0 + N_k$, as in (38). For one dimension of one component, collect the terms
# of $\mathbb{E}_{q(z)}[\log p]$ with $\mu$ and $\tau$:
#
# $$\log q(\mu, \tau) = \tfrac12 (N_k + 1 + \nu_0 - 2) \log \tau - \tfrac{\tau}{2} \Bigl[ \underbrace{\sum_n r_{nk} (x_n - \mu)^2 + \beta_0 (\mu - m_0)^2}_{(*)} + S \Bigr] + \text{const}. \tag{46}$$
#
# $(*)$ is a parabola in $\mu$. Its slope is zero at $m_k$ below, its curvature is $2\beta_k$, and its height at $m_k$ is what remains:
#
# $$(*) = \beta_k (\mu - m_k)^2 + \sum_n r_{nk} (x_n - m_k)^2 + \beta_0 (m_0 - m_k)^2, \qquad \beta_k = \beta_0 + N_k, \quad m_k = \frac{\beta_0 m_0 + N_k \bar x_k}{\beta_k}. \tag{47}$$
#
# Split $\log \tau$ in (46): $\tfrac12 \log \tau$ goes with $-\tfrac12 \beta_k \tau (\mu - m_k)^2$ and makes the Gaussian $q(\mu \mid \tau) = \mathcal{N}(m_k, (\beta_k \tau)^{-1})$. The rest,
# $(\tfrac{\nu_k}{2} - 1) \log \tau - \tfrac12 S_k \tau$, is the logarithm of a gamma density:
#
# $$q(\tau) = \mathrm{Gamma}\bigl(\tfrac{\nu_k}{2}, \tfrac{S_k}{2}\bigr), \qquad \nu_k = \nu_0 + N_k, \qquad S_k = S + \sum_n r_{nk} (x_n - m_k)^2 + \beta_0 (m_0 - m_k)^2. \tag{48}$$
#
# **Its expectations.** $\int \tau^{a-1} e^{-b\tau} d\tau = \Gamma(a)\, b^{-a}$. Differentiate the logarithm of both sides with respect to $a$, as in (39), and with respect to $b$:
#
# $$\mathbb{E}[\log \tau_k] = \psi\bigl(\tfrac{\nu_k}{2}\bigr) - \log \tfrac{S_k}{2}, \qquad \mathbb{E}[\tau_k] = \frac{\nu_k}{S_k}. \tag{49}$$
#
# **The bound.** As in (42), the terms of $z$ collapse to the logarithm of the normaliser of (44), and KLs to the priors remain:
#
# $$\mathrm{ELBO} = \sum_n \log \sum_k e^{g_{nk}} - \mathrm{KL}\bigl(q(\pi) \,\|\, p(\pi)\bigr) - \sum_k \mathrm{KL}\bigl(q(\mu_k, \tau_k) \,\|\, p(\mu_k, \tau_k)\bigr). \tag{50}$$
#
# (It holds right after an update of $r$, which is where we evaluate it.) Each KL is a price: a component that is used moves away from its prior and pays for it. A component
# without points falls back to its prior, and its mean and precision cost nothing.

# %%
from sklearn.datasets import load_iris

# 150 flowers: length and width of the petals, cm
flowers = torch.from_numpy(load_iris().data[:, 2:4])
alpha_0, offered = 0.01, 8
prior = GaussianPrior(
    mean=flowers.mean(0), mean_precision=0.01, degrees_of_freedom=2.0, scatter=2.0 * flowers.var(0) / 5
)


# %%
def sweep_of(r):
    """Parameters by (46) to (49), then assignments by (44) and (45), then the bound (50)."""
    concentration, q = alpha_0 + r.sum(0), prior.posterior(flowers, r)
    half = q.degrees_of_freedom.unsqueeze(1) / 2
    log_precision = torch.digamma(half) - (q.scatter / 2).log()
    squares = (flowers.unsqueeze(1) - q.mean) ** 2
    distance = q.expected_precision * squares + 1 / q.mean_precision.unsqueeze(1)
    log_weight = torch.digamma(concentration) - torch.digamma(concentration.sum())
    g = log_weight + 0.5 * (log_precision - math.log(2 * math.pi) - distance).sum(2)
    bound = g.logsumexp(1).sum() - kl_to_prior(concentration, alpha_0) - q.kl(prior).sum()
    return torch.softmax(g, dim=1), bound.item(), (q, concentration)


# %%
def random_start(groups):
    """Every flower belongs to the nearest of a few random flowers; other components are empty."""
    centres = flowers[torch.randperm(len(flowers), generator=generator)[:groups]]
    return F.one_hot(torch.cdist(flowers, centres).argmin(1), offered).double()


def in_use(r):
    return int((r.sum(0) > 1).sum())


def drawn(r, parameters, sweep):
    q, concentration = parameters
    weights = concentration / concentration.sum()
    title = f"sweep {sweep}: {in_use(r)} components in use"
    axes = "length of petal (cm)", "width of petal (cm)"
    return plotting.mixture_components(flowers, r, q.mean, q.covariance, weights, title, axes)


# %%
generator.manual_seed(2)
r, frames, moments = random_start(offered), [], [1, 2, 3, 5, 10, 20, 50, 100]
for sweep in range(1, max(moments) + 1):
    before = r
    r, bound, parameters = sweep_of(r)
    if sweep in moments:
        frames.append(drawn(before, parameters, sweep))
print(f"after {sweep} sweeps: {in_use(r)} components in use, ELBO {bound:.1f}")
plotting.slider(frames, moments, "sweep", start=len(moments) - 1)

# %% [markdown]
# **Figure 18.** Coordinate ascent on a mixture of eight Gaussians, with 150 flowers (drag the slider). Components lose their points to others; four
# are left after a hundred sweeps.
# Ellipses are two standard deviations, and thicker for heavier components.
#
# <!-- alt: Points of flowers in two groups, coloured by component, with ellipses; the number of ellipses falls to four as sweeps go on. -->

# %% tags=["build-check"]
from avae_lib.meanfield.mixture_fit import mixture_elbo

checked_r, checked_bound, (q, concentration_of_weights) = sweep_of(before)
assert abs(checked_bound - mixture_elbo(flowers, prior, alpha_0, checked_r, concentration_of_weights, q)) < 1e-8
assert in_use(r) == 4 and abs(bound + 239.1) < 0.1

# %% [markdown]
# The flowers are of three species. So is the number of components in figure 18 a discovery, or an accident of the start? The bound can tell. The same model, the same eight components,
# but starts that use only $1, 2, \dots, 6$ of them:

# %% fast="starts_each, sweeps_each = 2, 20"
starts_each, sweeps_each = 10, 150

# %%
generator.manual_seed(0)
climbs, best = [], {}
for groups in (1, 2, 3, 4, 5, 6, offered):
    for _ in range(starts_each):
        r, bounds = random_start(groups), []
        for _ in range(sweeps_each):
            r, bound, _ = sweep_of(r)
            bounds.append(bound)
        if bounds[-1] > best.get(in_use(r), (-math.inf,))[0]:
            best[in_use(r)] = bounds[-1], r
        if groups == offered:
            climbs.append((in_use(r), bounds))

# %%
species = torch.from_numpy(load_iris().target)
bounds = {used: best[used][0] for used in sorted(best)}
for used, bound in bounds.items():
    print(f"{used} components in use: best bound {bound:.1f}")
print("in use at the end of the starts with all eight:", sorted(used for used, _ in climbs))
table = F.one_hot(species).T @ F.one_hot(best[3][1].argmax(1), offered)
print("flowers of each species in the three components:", table[:, table.sum(0) > 0].tolist())
several = {used: bound for used, bound in bounds.items() if used > 1}
plotting.show(plotting.mixture_bounds(climbs, several, ("best with three", bounds[3])))

# %% [markdown]
# **Figure 19.** Left: the ELBO of ten starts that use all eight components. They end with four components ($-239.1$) or five ($-250.4$), and none reaches the dotted line,
# the best solution with three ($-233.4$). Right: the best bound found for each number of components in use (one component, at $-487$, is left out).
#
# <!-- alt: Left, ten rising curves that level off below a dotted line. Right, the best bound against components in use: low for two, highest for three, falling again for four and more. -->

# %% tags=["build-check"]
assert max(bounds, key=bounds.get) == 3 and all(bound < bounds[3] - 2 for _, (*_, bound) in climbs)
assert all(used >= 4 for used, _ in climbs)
assert round(bounds[1]) == -487 and {used for used, _ in climbs} == {4, 5}
assert [round(bounds[used], 1) for used in (3, 4, 5)] == [-233.4, -239.1, -250.4]
assert table.max(0).values.sum() == 144
labellings = {used: math.log(math.perm(offered, used)) for used in bounds}
assert round(labellings[3], 1) == 5.8 and round(labellings[4], 1) == 7.4
assert max(bounds, key=lambda used: bounds[used] + labellings[used]) == 3

# %% [markdown]
# | what figure 19 shows | what follows |
# |---|---|
# | The bound prefers three components, by more than five nats over four: adding the fourth gains less than its KL costs. | This is the charge for complexity, in numbers. (Each run describes one of many equal labellings. Counting them all would add $\log(8 \cdot 7 \cdot 6) = 5.8$ nats for three components and $7.4$ for four, and leave the order as it is.) Maximum likelihood has no such charge: its optimum never falls when a component is added, and it grows without limit if a component shrinks onto a single point. |
# | Coordinate ascent from eight components *does not find* the three. | A fourth component that is needed only a little gives up no points, and no single update merges two components. The number of components that survive a run estimates nothing; take the run with the highest bound. |
# | The three components agree with the species in 144 of 150 flowers. | The model was told nothing about species. |
#
# **Check yourself.** (a) Which term of (50) charges for a component that is used? (b) Where does (45)'s $1/\beta_k$ matter most?
#
# <details><summary>Answer</summary>
#
# (a) $\mathrm{KL}(q(\mu_k, \tau_k) \| p)$: its posterior has moved away from the prior, and the more points it explains, the further it has moved. The KL of the weights adds a little. (b) For components
# with few points, $\beta_k = \beta_0 + N_k$: they are charged most for their unknown mean, so they tend to lose their last points.
# </details>

# %% [markdown]
# ## 10. Stochastic variational inference
#
# One sweep of (40) reads *all* documents before it improves the topics once. With millions of documents that is wasteful: the first
# thousand already show roughly where the topics should go.
#
# How does the ELBO depend on $\lambda$, the parameters of a topic, if each document's $\gamma, \varphi$ are at their best? (At their best, their own derivative is zero, so they
# may be held fixed.) The terms of the joint with $\beta$ contain the coordinate update $\hat\lambda = \eta + \sum_d n_d \varphi_d$ of (38); the entropy contains $\lambda$ itself:
#
# $$\mathrm{ELBO}(\lambda) = \underbrace{(\hat\lambda - 1)^\top \mathbb{E}[\log \beta]}_{\text{joint}} \underbrace{- (\lambda - 1)^\top \mathbb{E}[\log \beta] + A(\lambda)}_{\text{entropy}} + \text{const}.$$
#
# By (39), $\mathbb{E}[\log \beta] = \nabla A(\lambda)$. Put it in and differentiate:
#
# $$\mathrm{ELBO}(\lambda) = (\hat\lambda - \lambda)^\top \nabla A(\lambda) + A(\lambda) + \text{const}, \qquad
#   \nabla_\lambda \mathrm{ELBO} = \nabla^2 A(\lambda)\, (\hat\lambda - \lambda). \tag{51}$$
#
# $\nabla^2 A$ is the covariance of $\log \beta$, which is the Fisher information of $q$: a step $\delta$ changes $q$ by a KL of about $\tfrac12 \delta^\top \nabla^2 A\, \delta$. The *natural* gradient
# measures steps by this KL, so it divides by $\nabla^2 A$, and what is left is the step from $\lambda$ to the coordinate update:
#
# $$\tilde\nabla_\lambda \mathrm{ELBO} = \hat\lambda - \lambda = \eta + \sum_d n_d\, \varphi_d - \lambda. \tag{52}$$
#
# The sum over documents can be estimated from a batch $b$, and noise averages out if steps shrink (Robbins and Monro):
#
# $$\lambda \leftarrow (1 - \rho_t)\, \lambda + \rho_t \Bigl( \eta + \frac{D}{|b|} \sum_{d \in b} n_d\, \varphi_d \Bigr), \qquad \sum_t \rho_t = \infty, \quad \sum_t \rho_t^2 < \infty. \tag{53}$$
#
# With $\rho = 1$ and all documents in the batch it is coordinate ascent again. To get many documents, treat every docstring as a document.

# %%
pieces = load_documentation(pieces=True)
generator.manual_seed(0)
many = pieces.counts[torch.randperm(len(pieces.counts), generator=generator)]
test, many = many[:200], many[200:]
print(f"{len(many):,} docstrings to learn from, {len(test)} to test on")


def test_bound(concentration):
    """The bound on the test documents, in nats per word, the topics given."""
    log_topics = expected_log(concentration)
    gamma, _ = share_words_out(test, log_topics, torch.ones(len(test), num_topics), updates=20)
    return (bound_given_topics(test, gamma, log_topics) / test.sum()).item()


# %%
def updated(concentration, batch, rho):
    """Equation (53): part of the way to what this batch alone says of the topics."""
    begin = torch.ones(len(batch), num_topics)
    _, expected = share_words_out(batch, expected_log(concentration), begin, updates=10)
    from_batch = eta + len(many) / len(batch) * expected
    return (1 - rho) * concentration + rho * from_batch


# %%
def learn(batch_size, rate, passes, seed):
    """Documents read and the test bound, several times in each pass over all of them."""
    random = torch.Generator().manual_seed(seed)
    concentration = 0.5 + torch.rand(num_topics, many.shape[1], generator=random)
    read, bounds, step, seen = [], [], 0, 0
    for _ in range(passes):
        batches = many[torch.randperm(len(many), generator=random)].split(batch_size)
        for number, batch in enumerate(batches, 1):
            step, seen = step + 1, seen + len(batch)
            concentration = updated(concentration, batch, rate(step))
            if number % 9 == 0 or number == len(batches):
                read.append(seen)
                bounds.append(test_bound(concentration))
    return read, bounds


# %% fast="passes, seeds = 2, (1,)"
passes, seeds = 12, (1, 2, 3)

# %%
rules = {
    "all documents at once": (len(many), lambda t: 1.0),
    "batches of 64, large first steps": (64, lambda t: (t + 5) ** -0.7),
    "batches of 64, small first steps": (64, lambda t: (t + 64) ** -0.7),
}
curves, finals = {}, {}
for name, (batch_size, rate) in rules.items():
    runs = [learn(batch_size, rate, passes, seed) for seed in seeds]
    curves[name] = runs[0][0], np.mean([bounds for _, bounds in runs], axis=0)
    finals[name] = [bounds[-1] for _, bounds in runs]
    first_pass = np.interp(len(many), *curves[name])  # average over seeds
    print(f"{name:33s} first pass {first_pass:.2f}, final {' '.join(f'{end:.3f}' for end in finals[name])}")
labels = {"y_label": "bound on test docstrings (nats per word)", "x_label": "documents read"}
plotting.show(plotting.learning_curves(curves, **labels))

# %% [markdown]
# **Figure 20.** Topics learned from all docstrings at once and from batches of 64, each reading the same number of documents; averages over three seeds, judged on held-out docstrings. Both batch rules lead early. The one with large first steps is overtaken; the one with smaller first steps is not.
#
# <!-- alt: Three rising curves against documents read. Both curves of batches start higher than that of all documents; one of them flattens early and is crossed, the other stays on top. -->

# %% tags=["build-check"]
names_of_rules = list(rules)


def at(name, documents):
    return np.interp(documents, *curves[name])


full, bold, careful = names_of_rules
assert len({curve[0][-1] for curve in curves.values()}) == 1
assert len(many) < 2000
one_pass, two_passes = len(many), 2 * len(many)
assert at(careful, two_passes) > at(full, two_passes) + 0.1 and at(bold, two_passes) > at(full, two_passes)
assert at(bold, one_pass) > at(full, one_pass) + 0.1 and at(careful, one_pass) > at(full, one_pass) + 0.25
gains = [better - worse for better, worse in zip(finals[careful], finals[full], strict=True)]
assert max(map(abs, gains)) < 0.1 and np.mean(gains) > 0
assert np.mean(finals[bold]) < np.mean(finals[full]) - 0.03
assert at(bold, 4000) > at(full, 4000) and at(bold, 10_000) < at(full, 10_000)

# %% [markdown]
# So batches give an early lead, and **the step size decides** whether it lasts. A likely reason: large first steps ($\rho_t = (t + 5)^{-0.7}$) commit the topics to the first batches, and the later, small ones do not undo it. The final
# differences between the better rule ($\rho_t = (t + 64)^{-0.7}$) and the full batch are small, less than 0.1 nats per word in each of the three seeds: near a tie. After the first pass its lead is more than a quarter of a nat. With a million documents the first pass may be all one can afford;
# with fewer than two thousand the full batch is a fair choice.
#
# **Check yourself.** Why are $\gamma$ and $\varphi$ of a document never averaged over steps, but $\lambda$ is?
#
# <details><summary>Answer</summary>
#
# They are *local*: they belong to one document and can be optimised exactly, given the topics. $\lambda$ is *global*: every document informs it, a batch only gives a noisy estimate, and
# (53) averages the noise out.
# </details>

# %% [markdown]
# ## 11. Black-box variational inference
#
# All updates so far needed expectations in closed form. For anything else, estimate the *gradient* of the ELBO by samples
# from $q_\lambda$. With
#
# $$f_\lambda(z) = \log \tilde p(z) - \log q_\lambda(z), \qquad \mathrm{ELBO} = \mathbb{E}_{q_\lambda}[f_\lambda(z)].$$
#
# **Score function.** Differentiate the density and the integrand, with $\nabla q = q\, \nabla \log q$. (This exchanges derivative and integral. It is allowed if the support of $q_\lambda$
# does not depend on $\lambda$ and the derivatives have an integrable bound, as for Gaussians.)
#
# $$\nabla_\lambda \mathrm{ELBO} = \int \nabla_\lambda q_\lambda(z)\, f_\lambda(z)\, dz + \int q_\lambda(z)\, \nabla_\lambda f_\lambda(z)\, dz
#   = \mathbb{E}_q\bigl[f_\lambda(z)\, \nabla_\lambda \log q_\lambda(z)\bigr] - \underbrace{\mathbb{E}_q\bigl[\nabla_\lambda \log q_\lambda(z)\bigr]}_{= 0}. \tag{54}$$
#
# The last term vanishes because $\int q\, \nabla \log q = \nabla \int q = \nabla 1 = 0$. For the same reason a constant $b$ may be subtracted from $f$:
#
# $$\hat g_{\text{score}} = \frac1S \sum_{s=1}^{S} \bigl(f(z_s) - b\bigr)\, \nabla_\lambda \log q_\lambda(z_s), \qquad z_s \sim q_\lambda. \tag{55}$$
#
# It needs only *values* of $\log \tilde p$, so it works for discrete variables and simulators too. Which $b$ is best? The variance of one component with score
# $g = \partial_\lambda \log q$ is $\mathbb{E}[(f - b)^2 g^2]$ minus a constant; its derivative in $b$ vanishes at
#
# $$b^* = \frac{\mathbb{E}[f g^2]}{\mathbb{E}[g^2]}, \qquad \text{and } b = \mathbb{E}[f] = \mathrm{ELBO} \text{ is a cheap guess.} \tag{56}$$
#
# (A baseline made from the same samples it is subtracted from would introduce a bias.)
#
# **Pathwise.** If $z = \mu + \sigma \varepsilon$ with $\varepsilon \sim \mathcal{N}(0, 1)$, the expectation is over $\varepsilon$, which does not depend on $\lambda$,
# and the gradient goes inside (if $f$ is differentiable almost everywhere and continuous, with the same kind of bound):
#
# $$\hat g_{\text{path}} = \frac1S \sum_{s=1}^{S} \nabla_\lambda f_\lambda(\mu + \sigma \varepsilon_s), \qquad \varepsilon_s \sim \mathcal{N}(0, 1). \tag{57}$$
#
# It needs a *slope* of $\log \tilde p$, and a $q$ that can be written this way.
#
# **A model that is not conjugate:** Bayesian logistic regression. Is a digit a 3 or an 8? Labels $y_n = \pm 1$, a standard normal prior on the
# weights, $\log \tilde p(z) = \log \mathcal{N}(z; 0, I) + \sum_n \log \sigma(y_n\, x_n^\top z)$.

# %%
digits = data.load("digits")
chosen = (digits.train_labels == 3) | (digits.train_labels == 8)
pixels = digits.train[chosen].flatten(1).double()
pixels = pixels - pixels.mean(0)
_, _, directions = torch.linalg.svd(pixels, full_matrices=False)
x = F.normalize(pixels @ directions[:20].T, dim=1) * 4  # twenty principal components
y = torch.where(digits.train_labels[chosen] == 3, 1.0, -1.0).double()


def normal(*shape):
    return torch.randn(shape, generator=generator)


def log_joint(z):  # (samples, 20) → (samples,)
    return Normal(0.0, 1.0).log_prob(z).sum(1) + F.logsigmoid(y * (z @ x.T)).sum(1)


# %%
def score_function(mean, log_std, samples, baseline):
    """Equation (55) by automatic differentiation of log q alone, and the values of f."""
    mean, log_std = mean.detach().requires_grad_(), log_std.detach().requires_grad_()
    q = Normal(mean, log_std.exp())
    z = q.sample((samples,))  # constants: nothing is differentiated through them
    log_q = q.log_prob(z).sum(1)
    f = (log_joint(z) - log_q).detach()
    return torch.cat(torch.autograd.grad(((f - baseline) * log_q).mean(), (mean, log_std))), f


def pathwise(mean, log_std, samples):
    """Equation (57), and the values of f."""
    mean, log_std = mean.detach().requires_grad_(), log_std.detach().requires_grad_()
    q = Normal(mean, log_std.exp())
    z = q.rsample((samples,))  # a differentiable function of mean and log_std
    f = log_joint(z) - q.log_prob(z).sum(1)
    return torch.cat(torch.autograd.grad(f.mean(), (mean, log_std))), f.detach()


# %% [markdown]
# First, the estimators at one point: the derivative with respect to the first mean, estimated many times from a
# single sample each.

# %% fast="draws = 20"
draws = 1000

# %%
torch.manual_seed(0)
q = torch.zeros(20), torch.full((20,), -1.0)  # means and log standard deviations
level = score_function(*q, 500, 0.0)[1].mean()  # the baseline has samples of its own
estimators = {
    "score function": lambda samples: score_function(*q, samples, 0.0)[0],
    "with a baseline": lambda samples: score_function(*q, samples, level)[0],
    "pathwise": lambda samples: pathwise(*q, samples)[0],
}
single = {name: torch.stack([g(1)[0] for _ in range(draws)]) for name, g in estimators.items()}
exact = pathwise(*q, 20_000)[0][0].item()
for name, values in single.items():
    error, variance = values.std() / draws**0.5, values.var(correction=0)
    print(f"{name:16s} mean {values.mean():7.1f} ± {error:4.1f}, variance {variance:9,.0f}")
plotting.show(plotting.gradient_estimates(single, exact))

# %% [markdown]
# **Figure 21.** Estimates of one derivative of the ELBO, one dot for each sample, on one scale. Black: mean and standard deviation; dotted: the
# pathwise mean of 20,000 samples. All three are right on average, but their spread differs.
#
# <!-- alt: Three rows of dots around one dotted line: very wide for the score function, narrower with a baseline, very narrow for pathwise. -->

# %% tags=["build-check"]
variances = {name: values.var().item() for name, values in single.items()}
for values in single.values():
    assert abs(values.mean() - exact) < 4 * values.std() / len(values) ** 0.5
assert variances["score function"] > 3 * variances["with a baseline"] > 24 * variances["pathwise"]

# %% fast="repeats = 20"
sizes, repeats = [1, 3, 10, 30, 100], 400

# %%
torch.manual_seed(0)
spread = {}
for name, g in estimators.items():
    repeated = [torch.stack([g(samples) for _ in range(repeats)]) for samples in sizes]
    spread[name] = [gradients.var(0).mean().item() for gradients in repeated]
ratios = {name: spread[name][0] / spread["pathwise"][0] for name in spread}
for name, ratio in ratios.items():
    print(f"{name:16s} {ratio:4.0f} samples are as accurate as one pathwise sample")
plotting.show(plotting.gradient_variance(sizes, spread))

# %% [markdown]
# **Figure 22.** Variance of the gradient, averaged over the forty parameters, against the number of samples in one estimate. All three
# fall in proportion to $1/S$, so the vertical distance between two lines is also the ratio of the samples they need.
#
# <!-- alt: Three parallel falling lines in a log-log plot: score function highest, with baseline lower, pathwise lowest. -->

# %% tags=["build-check"]
assert ratios["score function"] > 3 * ratios["with a baseline"] > 9
for values in spread.values():
    assert 40 < values[0] / values[-1] < 250


# %%
def fit(estimate, steps, samples=10, rate=0.05):
    """Adam on the ELBO of a diagonal Gaussian; the baseline is a running mean of the past."""
    mean, log_std = torch.zeros(20), torch.full((20,), -1.0)
    optimizer = torch.optim.Adam([mean, log_std], lr=rate, maximize=True)
    baseline, curve = None, []
    for _ in range(steps):
        gradient, f = estimate(mean, log_std, samples=samples, baseline=baseline or 0.0)
        mean.grad, log_std.grad = gradient.chunk(2)
        optimizer.step()
        baseline = f.mean() if baseline is None else 0.9 * baseline + 0.1 * f.mean()
        curve.append(f.mean().item())
    return curve


# %% fast="steps = 100"
steps = 600

# %%
torch.manual_seed(0)
curves = {
    "score function, no baseline": fit(lambda *q, samples, baseline: score_function(*q, samples, 0.0), steps),
    "score function, baseline": fit(score_function, steps),
    "pathwise": fit(lambda *q, samples, baseline: pathwise(*q, samples), steps),
}
ends = {name: float(np.mean(curve[-50:])) for name, curve in curves.items()}
for name, value in ends.items():
    print(f"{name:28s} average ELBO of the last 50 steps {value:6.1f}")
plotting.show(plotting.learning_curves(curves, y_label="ELBO (nats)", log_steps=True))

# %% [markdown]
# **Figure 23.** The same optimiser and step size with three estimators of the same gradient, ten samples each, one run each (logarithmic axis; faint: single steps, thick: running mean). With a baseline the score function reaches the same ELBO as the pathwise gradient, but later; without one it is still about ten nats below after 600 steps.
#
# <!-- alt: Three noisy rising curves: pathwise rises at once, with baseline later, without baseline slowest. -->

# %% tags=["build-check"]
plain_end, baseline_end, pathwise_end = ends.values()
assert abs(pathwise_end - baseline_end) < 1 and 8 < pathwise_end - plain_end < 16
assert np.mean(curves["pathwise"][20:40]) > np.mean(curves["score function, baseline"][20:40]) + 10

# %% [markdown]
# The pathwise gradient makes variational autoencoders work, and **unit 03 begins here**: there, a network
# predicts $\mu$ and $\sigma$ from $x$, and the model itself is learned by the same bound.
#
# **Check yourself.** (a) The spins of section 4 are discrete. Which of the two estimators could be used there? (b) Why is the variance of the score
# function so much larger, although both sample from the same $q$?
#
# <details><summary>Answer</summary>
#
# (a) The score function. A sampled spin does not change smoothly with its mean, so (57) has no slope to follow. (b) It learns from
# *values*: to find out in which direction $f$ grows it has to compare samples, and in each sample all twenty coordinates have moved at once.
# The slope tells the direction for every coordinate separately.
# </details>

# %% [markdown]
# ## 12. Mean field or sampling?
#
# Back to $4 \times 4$ spins at $J = 0.3$, where the truth is known. On the left, the bound against sweeps from several starts; on the right, the error of the
# means that Gibbs sampling reaches in a given time, next to mean field's.

# %% fast="chains, sweeps = 4, 300"
chains, sweeps = 12, 6000

# %%
generator.manual_seed(0)
model, truth = magnet(0.3), enumerate_states(magnet(0.3).general())
starts = [torch.tanh(3 * normal(4, 4)) for _ in range(3)]
climbs = [fit_mean_field(model, start, sweeps=12, tolerance=0.0) for start in starts]
begun = time.perf_counter()
best = fit_mean_field(model, tolerance=1e-4)
mean_field_seconds = time.perf_counter() - begun
mean_field_error = root_mean_square(best.means.flatten() - truth.means)

# %%
begun = time.perf_counter()
lattice_chain(model, torch.ones(4, 4), 200, generator)
seconds_per_sweep = (time.perf_counter() - begun) / 200  # of one chain
together = LatticeIsing.uniform(0.3, fields.expand(chains, 4, 4))
spins = lattice_chain(together, torch.ones(chains, 4, 4), sweeps, generator)
running = spins.cumsum(0) / torch.arange(1, sweeps + 1).view(-1, 1, 1, 1)
errors = (running - truth.means.view(4, 4)).square().mean(dim=(2, 3)).sqrt()  # (sweeps, chains)

# %%
moments = torch.logspace(0, math.log10(sweeps), 40).round().long().unique() - 1
average = errors.square().mean(1).sqrt()
needed = int((average < mean_field_error).nonzero()[0]) + 1
print(f"mean field: error {mean_field_error:.3f} after {len(best.elbo) - 1} sweeps")
print(f"Gibbs sampling: below that after {needed} sweeps, {average[-1]:.3f} after {sweeps:,}")
bounds = {f"start {number}": climb.elbo.tolist() for number, climb in enumerate(climbs, 1)}
sampling = (seconds_per_sweep * (moments + 1)).tolist(), errors[moments].T.tolist()
mean_field = mean_field_seconds, mean_field_error
log_z = truth.log_partition.item()
plotting.show(plotting.bound_next_to_sampling(bounds, log_z, sampling, mean_field))

# %% [markdown]
# **Figure 24.** Left: within a few sweeps the ELBO reaches its maximum, 0.79 nats below $\log Z$, and stays there. Right: the error of Gibbs
# sampling (faint: single chains, from all up, every sweep counted) keeps falling, like one over the square root of time. Mean field stops after 19 sweeps (tolerance $10^{-4}$); Gibbs sampling needs about
# five times as many for the same error. At $J = 0.3$ chains mix fast; at the couplings of figure 10 they do not.
#
# <!-- alt: Left, three curves that rise within a few sweeps to a level below a dotted line. Right, errors that fall with time in a log-log plot, and one point for mean field with a horizontal dashed line. -->

# %% tags=["build-check"]
gap = truth.log_partition.item() - max(values[-1] for values in bounds.values())
assert len(best.elbo) - 1 == 19 and 60 < needed < 140
assert 0.7 < gap < 0.85 and average[-1] < mean_field_error / 3 and needed > 5

# %% [markdown]
# **Check yourself.** Your posterior has a million variables, and you need the mean of each to within 0.1, today. Which of the two do you try first, and how would you notice that it was the wrong choice?
#
# <details><summary>Answer</summary>
#
# Mean field first: a few sweeps, and a number that says when it is done. Its error is unknown from the bound alone, so compare with a sampler on a part that is small enough, or on a smaller
# model of the same kind, and try several starts: if they end at different means with similar bounds, the posterior has several modes and the means cannot be trusted.
# </details>

# %% [markdown]
# ## What to remember
#
# 1. $\log Z = \mathrm{ELBO} + \mathrm{KL}(q \,\|\, p)$: the unknown constant is bounded from below, and the gap is what we minimise.
# 2. The ELBO is expected log potential plus entropy: find the good states, and do not bet on one of them.
# 3. Mean field: $q_t \propto \exp \mathbb{E}_{-t}[\log \tilde p]$, one factor at a time, with the newest values; the bound never falls.
# 4. Assuming independence overstates certainty, predicts order too early, picks one of several modes, and ends in local optima: take several starts and compare bounds.
# 5. If no expectation has a closed form, sample the gradient: pathwise if $\log \tilde p$ has a slope, with the score function and a baseline if not.

# %% [markdown]
# ## What goes wrong in practice
#
# | what you see | why | what to do |
# |---|---|---|
# | the bound falls, or the means oscillate (try two spins with $J = -2$) | all factors were updated at once from old values | sweep, or update sets of variables that do not interact, like the black and white squares of a checkerboard |
# | the bound falls although the sweep is right | some update does not maximise the ELBO that is reported: a bug | check in every test that it never falls |
# | nothing moves | the start is symmetric: all-zero means without a field, equal responsibilities, equal topics | break the symmetry at random |
# | nan | $0 \log 0$, or a quotient of densities that are both 0 | `torch.special.entr`; normalise from logarithms, with the maximum subtracted |
# | error bars are too small | factorised $q$ are too narrow (unit 01) | take means from them, and variances with caution |
# | two runs disagree | local optima | several starts; report the best bound and how often it was found |
# | the best bound looks absurd (figure 7) | the optimiser has found what the model prefers | change the model |
# | more components than make sense | the number that survives a run depends on the start | compare bounds (figure 19) |
# | a topic that makes no sense | its top words are a small part of it | look at documents too (figure 17), and at another number of topics |
# | a biased score-function gradient | the baseline was computed from the same samples | use earlier samples, or leave each sample out of its own baseline |

# %% [markdown]
# ## Sources
#
# | for | source |
# |---|---|
# | sections 2 to 7 | M. J. Wainwright and M. I. Jordan, *Graphical Models, Exponential Families, and Variational Inference*, Foundations and Trends in Machine Learning 1, 2008 |
# | to read next | D. M. Blei, A. Kucukelbir and J. D. McAuliffe, [Variational Inference: A Review for Statisticians](https://arxiv.org/abs/1601.00670), JASA 112, 2017 |
# | denoising | S. Geman and D. Geman, *Stochastic Relaxation, Gibbs Distributions, and the Bayesian Restoration of Images*, IEEE PAMI 6, 1984 |
# | equation (22), the price of a wall | L. Onsager, *Crystal Statistics I*, Physical Review 65, 1944; C. N. Yang, *The Spontaneous Magnetization of a Two-Dimensional Ising Model*, Physical Review 85, 1952 |
# | equations (26), (27) | J. S. Yedidia, W. T. Freeman and Y. Weiss, *Constructing Free-Energy Approximations and Generalized Belief Propagation Algorithms*, IEEE Transactions on Information Theory 51, 2005 |
# | why it lies below in figure 12 | N. Ruozzi, [The Bethe Partition Function of Log-supermodular Graphical Models](https://arxiv.org/abs/1202.6035), NIPS 2012 |
# | equations (28) to (30) | M. J. Wainwright, T. S. Jaakkola and A. S. Willsky, *A New Class of Upper Bounds on the Log Partition Function*, IEEE Transactions on Information Theory 51, 2005 |
# | equations (31) to (33) | R. M. Neal, [Annealed Importance Sampling](https://arxiv.org/abs/physics/9803008), Statistics and Computing 11, 2001 |
# | expectation propagation | T. P. Minka, [Expectation Propagation for Approximate Bayesian Inference](https://arxiv.org/abs/1301.2294), UAI 2001 |
# | section 8 | D. M. Blei, A. Y. Ng and M. I. Jordan, *Latent Dirichlet Allocation*, JMLR 3, 2003; for the collapsed family Y. W. Teh, D. Newman and M. Welling, *A Collapsed Variational Bayesian Inference Algorithm for Latent Dirichlet Allocation*, NIPS 2006 |
# | section 9 | C. M. Bishop, *Pattern Recognition and Machine Learning*, 2006, section 10.2 |
# | section 10 | M. D. Hoffman, D. M. Blei, C. Wang and J. Paisley, [Stochastic Variational Inference](https://arxiv.org/abs/1206.7055), JMLR 14, 2013 |
# | section 11 | R. Ranganath, S. Gerrish and D. M. Blei, [Black Box Variational Inference](https://arxiv.org/abs/1401.0118), AISTATS 2014; R. J. Williams, *Simple statistical gradient-following algorithms for connectionist reinforcement learning*, Machine Learning 8, 1992 |
# | the digits | E. Alpaydin and C. Kaynak, *Optical recognition of handwritten digits*, UCI repository, 1998 |
# | the flowers | R. A. Fisher, *The use of multiple measurements in taxonomic problems*, Annals of Eugenics 7, 1936 (data by E. Anderson) |

# %% [markdown]
# ## Where next
#
# In this unit's **assignment** you write the functions behind this lecture: the mean-field sweep, its bound and a fit that runs until it has converged, the Gibbs sweep, the updates of the topic model and of the mixture, and the score-function gradient. Then your functions denoise a page of digits and name the topics of the standard library. **Unit 03** lets a network do the
# inference, with the pathwise gradient of section 11.
