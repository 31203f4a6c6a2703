# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 05: Hierarchical VAEs
#
# The VAE of unit 03 draws all its latent variables at once. A hierarchy draws them in turn: first a few that settle the
# layout of an image, then more that fill in what the first ones left open. With 45 layers, such a hierarchy
# comes close to models that generate an image one pixel at a time:
#
# | CIFAR-10, bits per dimension (as reported by Child, 2021) | Very Deep VAE | PixelCNN++ | PixelSNAIL | Sparse Transformer |
# |---|---|---|---|---|
# | lower is better | 2.87 | 2.92 | 2.85 | 2.80 |
#
# What are the layers for, why does the obvious way to stack them fail, and what makes 45 of them trainable?
#
# **What you will be able to do**
#
# 1. Write down the bound of a hierarchy for bottom-up and for top-down inference, and say which of its KL terms have a closed form.
# 2. Explain why the upper layers of a plain stack die and those of a ladder do not, and derive the merge of two Gaussians by
#    their precisions.
# 3. Derive the KL of a residual Gaussian in terms of its shifts, and predict what it does when the prior moves.
# 4. Prove that $N$ layers can be any autoregressive model of $N$ discrete variables, say what proposition 2 needs, and compute how far
#    Gaussian layers fall short of a given density.
# 5. Compute what $1/\sqrt N$ scaling and a learned upsampler do to a fresh network, read a cumulative KL, and say what a small
#    experiment can and cannot confirm of a published table.
#
# **What you need first.** The KL between Gaussians (unit 01), the evidence lower bound and its gradient (unit 03), convolutions.
#
# | what it costs | |
# |---|---|
# | reading | two and a half hours, with a pencil for the derivations |
# | running, on the images that come with the course | 90 seconds of processor time on one thread, with PyTorch 2.14 |
# | memory | 1.2 GB |
# | Colab | the same cells and the same images; not timed there |

# %% [markdown]
# {{how to keep your work}}

# %%
# {{set-up}}

# %%
import math
import time
from dataclasses import replace
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from avae_lib import data, plotting
from avae_lib.gaussians import gaussian_kl_per_layer, precision_weighted, residual_gaussian
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.models.vdvae_layers import top_down_step
from avae_lib.nn.bottleneck import Bottleneck, bottleneck_block

# %%
from avae_lib.nn.nvae_cells import SqueezeExcite, decoder_cell
from avae_lib.nn.unpooling import unpool_nearest
from avae_lib.objectives import balanced_kl, negative_elbo, spectral_norms
from avae_lib.presets import find_preset
from avae_lib.training.skipped_updates import should_skip_update

torch.set_num_threads(1)  # networks this small are faster on one thread than on several

# %% fast="updates = 60"
updates = 1500  # for each of the two networks trained here

# %% [markdown]
# ## A first picture
#
# Here is a trained hierarchy: a small Very Deep VAE on crops of two photographs, 32 × 32 pixels each. It describes a crop by drawing the latents of each layer in turn, from the
# coarsest (one pixel) to the finest (32 × 32). We take a few crops from parts of the photographs it has never seen, keep the latents that it infers in its upper layers, and draw all
# the others from its prior.

# %%
test = data.load("photos32").test
photos = test[test.float().std(dim=(1, 2, 3)).argsort(descending=True)[:96:8]]  # twelve with plenty of detail

# %%
# needs: top_down_step, bottleneck_block, unpool_nearest, gaussian_kl_per_layer
hierarchy = data.recorded_model("hierarchy-photos32")
sides = [layer.resolution for layer in hierarchy.layers]
rows, errors = {"photographs": photos}, []
torch.manual_seed(0)
for up_to in (32, 4, 1, 0):
    keep = sum(side <= up_to for side in sides)
    with torch.no_grad():
        rows[f"{keep} of {len(sides)} layers"] = images = hierarchy.reconstruct(photos, keep_layers=keep)
    errors.append((images.float() - photos.float()).square().mean().sqrt().item())
plotting.show(plotting.image_rows(rows))

# %% [markdown]
# **Figure 1.** Crops, and the model's pictures of them when it keeps all its layers; only those at 1 × 1 and 4 × 4; only the one at 1 × 1; none. With all layers the crop comes back, blurred. The first three layers give its areas of light and colour,
# and the rest is invented. The first layer alone gives little more than a tint. With none kept, nothing of the crop is left.
#
# <!-- alt: Five rows of twelve small pictures: crops of photographs, blurred copies of them, copies with the right colours in rough blocks, pictures of about the right tint, and pictures that have nothing to do with the crops. -->

# %% tags=["build-check"]
assert errors == sorted(errors) and errors[1] < 0.6 * errors[3] and errors[2] < 0.85 * errors[3] and errors[0] < 0.5 * errors[3], errors

# %% [markdown]
# What decides which layer holds what? And does every layer hold anything? Both questions can be answered in nats.

# %% [markdown]
# ## 1. A chain of latent variables
#
# Split the latents into $L$ layers, $z = \{z_1, \dots, z_L\}$. Layer 1 is the *top*: it is drawn first, and each layer is drawn given all those
# above it. The posterior factorises in the same order:
#
# $$p(x, z) = p(z_1) \prod_{l=2}^{L} p(z_l \mid z_{<l}) \cdot p(x \mid z), \tag{1}$$
#
# $$q(z \mid x) = q(z_1 \mid x) \prod_{l=2}^{L} q(z_l \mid z_{<l}, x), \tag{2}$$
#
# where $z_{<l}$ stands for $z_1, \dots, z_{l-1}$. The list of variables to condition on grows with $l$. Networks take inputs of a fixed size, so a *context* summarises what has been drawn so far:
#
# $$c_l = T_l(z_{l-1} \oplus c_{l-1}), \qquad p(z_l \mid z_{<l}) = p(z_l \mid c_l). \tag{3}$$
#
# $\oplus$ puts two tensors side by side and $T_l$ is a network. A context is passed only from one layer to the next; whether that is enough is the question of unit 06.
#
# **The bound.** Take the logarithm of the ratio of (1) and (2) and average over $q$. The term of layer $l$ contains $z_1, \dots, z_l$ only, so the average over the layers below is an average of a
# constant. What remains is first an average over $z_l$ given $z_{<l}$, which is minus a KL, and then one over $z_{<l}$:
#
# $$
# \begin{aligned}
# \mathrm{ELBO}(x) &= \mathbb{E}_{q}\Bigl[\log p(x \mid z) + \sum_{l} \log \frac{p(z_l \mid z_{<l})}{q(z_l \mid z_{<l}, x)}\Bigr] \\
# &= \mathbb{E}_{q}\bigl[\log p(x \mid z)\bigr] - \sum_{l=1}^{L} \mathbb{E}_{q(z_{<l} \mid x)}\, \mathrm{KL}\bigl(q(z_l \mid z_{<l}, x) \,\|\, p(z_l \mid z_{<l})\bigr).
# \end{aligned} \tag{4}
# $$
#
# Each layer contributes its own rate. If its two distributions are diagonal Gaussians, the KL has the closed form of unit 01, and one draw of $z_{<l}$ stands for the outer average.

# %% [markdown]
# **Two orders of inference.** Equation (2) goes *top-down*, in the order of generation. The older way is *bottom-up*: infer the lowest layer from the image, the next one from it, and so on,
#
# $$q(z \mid x) = q(z_L \mid x) \prod_{l=1}^{L-1} q(z_l \mid z_{l+1}). \tag{5}$$
#
# It is a VAE on top of a VAE. The bound is still $\mathbb{E}_q[\log p(x, z) - \log q(z \mid x)]$, but it splits differently. In the term of layer $l$, the variables $z_{<l}$ that its prior depends on are
# now drawn *after* $z_l$ and depend on it. The average over $z_l$ with $z_{<l}$ fixed is then not over $q(z_l \mid z_{l+1})$, and the closed form would be wrong. Only the top layer keeps it, because $p(z_1)$ depends on nothing. In all layers, the library uses the
# difference of the two log-densities at the draw, which is unbiased and may be negative.

# %%
plotting.show(plotting.hierarchy_and_its_inference())

# %% [markdown]
# **Figure 2.** Three layers. Left, generation: every layer depends on all layers above it. Middle, bottom-up inference (dashed) passes through the latents
# themselves, against the direction of generation. Right, top-down inference: features $e_l$ of the image are computed upwards without drawing anything, then latents are drawn downwards, in
# the order in which the model draws them.
#
# <!-- alt: Three graphs. Generation: z1 points to z2, z3 and x, z2 to z3 and x, z3 to x. Bottom-up inference: x points to z3, z3 to z2, z2 to z1. Top-down inference: x points up through boxes e3, e2, e1, each e points to its z, and z1 points to z2 and z3, z2 to z3. -->

# %% tags=["build-check"]
titles = [axes.get_title(loc="left") for axes in plotting.hierarchy_and_its_inference().axes]
assert titles == ["generation", "inference, bottom-up", "inference, top-down"]

# %% [markdown]
# **Check yourself.** (a) In (4), why is a single draw of $z_{<l}$ enough for an unbiased estimate of the bound, though its gradient has to pass through that draw? (b) The terms of single layers may be negative
# in bottom-up inference. Can their sum be negative on average?
#
# <details><summary>Answer</summary>
#
# (a) The outer average is over $q(z_{<l} \mid x)$, from which $z_{<l}$ was drawn. Each layer is reparameterised, so the draw is a differentiable function of noise and weights, and gradients of lower layers' KL reach the
# posteriors of the upper ones. (b) No. Summed over layers and averaged over $q$ it is $\mathrm{KL}(q(z \mid x) \,\|\, p(z))$ of the whole hierarchy, which is never negative.
# </details>

# %% [markdown]
# ## 2. What dies in a plain stack
#
# The obvious hierarchy is the plain stack (5): a VAE whose latents are modelled by another VAE. The *Ladder VAE* (Sønderby et al., 2016) has the same generative model and infers
# top-down. Both are in the library, with three layers for digits of 8 × 8 black or white pixels. We train one of each, with the weight of the KL rising from 0 to 1 over the first 600 updates (a *warm-up*, unit 04).

# %%
# needs: precision_weighted, gaussian_kl_per_layer
preset = find_preset("digits-ladder")
digits = preset.data.load()


def trained(inference):
    torch.manual_seed(0)
    model = replace(preset.model, inference=inference).build()
    batches = data.BatchSampler(digits, batch_size=100)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for update in range(1, updates + 1):
        elbo = model(batches.draw())
        loss = negative_elbo(elbo.log_likelihood, elbo.kl, beta=min(1.0, update / 600))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


# %%
# needs: precision_weighted, gaussian_kl_per_layer
models = {"ladder": trained("ladder"), "plain stack": trained("bottom_up")}
print("KL of layer 1 (top), 2, 3: nats per test image")
for label, model in models.items():
    with torch.no_grad():
        elbos = [model(digits.pixels("test")) for _ in range(20)]
    kl = torch.stack([elbo.kl.mean(0) for elbo in elbos]).mean(0)
    bound = torch.stack([elbo.bound.mean() for elbo in elbos]).mean()
    print(f"{label:12s}", "  ".join(f"{value:5.2f}" for value in kl), f"   −ELBO {-bound:.2f}")

# %% tags=["build-check"]
assert kl[0] < 0.3 and kl.sum() > 5, "the plain stack is the last one printed: its top layer is hardly used"

# %% [markdown]
# The plain stack's top layer is hardly used. Is that bad luck? The record holds three seeds of each, with the warm-up and without it, and the KL of each
# layer on held-out training images along the way (`experiments/ladder_against_plain`).

# %%
record = data.experiment_record("ladder_against_plain")
curves = {}
print("nats, test images: KL of layer 1 (top), 2, 3, mean of 3 seeds     −ELBO of each seed")
for arm in record["arms"]:
    curves[f"{arm['model']}\n{arm['beta']}"] = (arm["runs"][0]["step"], [run["valid"] for run in arm["runs"]])
    kl = torch.tensor([run["test"]["kl"] for run in arm["runs"]]).mean(0)
    bounds = "  ".join(f"{run['test']['negative_elbo']:.2f}" for run in arm["runs"])
    print(f"{arm['model'] + ', ' + arm['beta']:25s}", "  ".join(f"{value:5.2f}" for value in kl), f"{bounds:>32s}")

# %%
plotting.show(plotting.layers_in_use(curves, highest_kl=7))

# %% [markdown]
# **Figure 3.** KL of each layer on held-out images during training; bands span three seeds, and values above 7 nats are cut off. With the warm-up the ladder ends with all three layers in use; in the plain stack the top layer starts below a quarter of a nat and fades to nothing.
# Without the warm-up the plain stack uses mostly its lowest layer, and the ladder's middle layer depends on the seed.
#
# <!-- alt: Four panels of KL against updates with one line for each of three layers. Ladder with warm-up: all three lines stay above half a nat. Ladder without: two lower lines between zero and one and a half. Plain stack with warm-up: the top layer's line at zero. Plain stack without: only the lowest layer's line is far above zero. -->

# %% tags=["build-check"]
ends = {f"{arm['model']}, {arm['beta']}": torch.tensor([run["test"]["kl"] for run in arm["runs"]]) for arm in record["arms"]}
losses = {f"{arm['model']}, {arm['beta']}": [run["test"]["negative_elbo"] for run in arm["runs"]] for arm in record["arms"]}
assert (ends["ladder, warm-up"] > 0.5).all() and (ends["plain stack, warm-up"][:, 0] < 0.1).all(), ends
assert (ends["plain stack, warm-up"][:, 1:] > 2).all() and (ends["plain stack, no warm-up"][:, 0] < 0.1).all()
assert (ends["plain stack, no warm-up"][:, 2] > 4 * ends["plain stack, no warm-up"][:, 1]).all()
assert (ends["ladder, no warm-up"][:, 0] > 0.5).all() and ends["ladder, no warm-up"][:, 1].max() > 10 * ends["ladder, no warm-up"][:, 1].min()

# %% [markdown]
# ### Why
#
# In both models generation is a chain, $p(z_l \mid z_{<l}) = p(z_l \mid z_{l-1})$ and $p(x \mid z) = p(x \mid z_L)$. Take the plain stack and collect everything that belongs to the layers above $z_L$:
#
# $$
# \begin{aligned}
# \mathrm{ELBO}(x) &= \mathbb{E}_{q(z_L \mid x)}\bigl[\log p(x \mid z_L) - \log q(z_L \mid x) + B(z_L)\bigr], \\
# B(z_L) &= \mathbb{E}_{q(z_{<L} \mid z_L)}\bigl[\log p(z_{<L}, z_L) - \log q(z_{<L} \mid z_L)\bigr] \;\le\; \log p(z_L).
# \end{aligned} \tag{6}
# $$
#
# $B$ is itself an evidence lower bound: the upper layers are a VAE *whose data are draws of* $z_L$. Two things follow.
#
# **The reconstruction term never reaches the upper posteriors.** $z_L$ is drawn before they are evaluated, and $\log p(x \mid z_L)$ does not contain their weights. Its gradient with respect to them is exactly zero. They
# are trained by $B$ alone.
#
# **And there is little to gain in $B$.** Averaged over images, $z_L$ has the distribution $q(z_L) = \mathbb{E}_x\, q(z_L \mid x)$, and
#
# $$\mathbb{E}_{q(z_L)}\, B(z_L) \le \mathbb{E}_{q(z_L)} \log p(z_L) = -H\bigl(q(z_L)\bigr) - \mathrm{KL}\bigl(q(z_L) \,\|\, p(z_L)\bigr). \tag{7}$$
#
# With the upper layers switched off, $p(z_L)$ is a single Gaussian; if they were perfect, the last KL would be zero. So they can gain at most the distance of $q(z_L)$ from the best diagonal Gaussian. Early in training $q(z_L \mid x)$ is much the
# same for all images, this distance is nearly nothing, and using an upper layer costs nats at once: the loss falls if the layer is switched off. Once $p(z_L \mid z_{<L})$ is the best Gaussian that ignores $z_{<L}$ and the upper posteriors equal their priors, the expected gradient that could bring them back is zero. A warm-up helps because
# $q(z_L)$ gets some structure before the KL counts in full: layer 2 survives. Then the argument repeats one layer higher, with the draws of layer 2 as data.

# %% [markdown]
# In the ladder, $z_L$ is drawn from a posterior that contains the prior given $z_{<L}$ (section 3). A draw of an upper layer therefore moves every draw below it, and the reconstruction term rewards this if it helps. The upper layers'
# evidence also comes from the image itself, not from a noisy draw. The claim about gradients can be checked to the last bit:

# %%
# needs: precision_weighted, gaussian_kl_per_layer
x, norms = digits.pixels("test")[:100], {}
for label, inference in {"ladder": "ladder", "plain stack": "bottom_up"}.items():
    torch.manual_seed(0)
    fresh = replace(preset.model, inference=inference).build()
    top_posterior = list(fresh.bottom_up.gaussians[-1].parameters())
    elbo = fresh(x)
    for term, value in {"log p(x | z)": elbo.log_likelihood.mean(), "KL": elbo.kl.sum(1).mean()}.items():
        gradients = torch.autograd.grad(value, top_posterior, retain_graph=True, allow_unused=True)
        norm = math.hypot(*(0.0 if gradient is None else gradient.norm().item() for gradient in gradients))
        print(f"{label:12s} gradient of {term:12s} with respect to the top posterior: norm {norm:.6f}")
        norms[label, term] = norm

# %% tags=["build-check"]
assert norms["plain stack", "log p(x | z)"] == 0 < norms["ladder", "log p(x | z)"] and min(norms[label, "KL"] for label in models) > 0
assert all(parameter is not None for parameter in top_posterior) and gradients[0] is not None

# %% [markdown]
# **What it costs here: little.** With the warm-up the ladder's bound is better in every pair of seeds, by 0.2 nats on average. Without it the seeds of the two overlap, and three seeds cannot decide. The ladder also has more weights (83,112 against 74,152), since its upward path carries features instead of a few latents. A third layer can add little for 64 pixels. The top layer is unused in one model and used in the other,
# in every seed; what it is worth depends on the data.

# %% tags=["build-check"]
means = {name: sum(values) / len(values) for name, values in losses.items()}
assert 0.15 < means["plain stack, warm-up"] - means["ladder, warm-up"] < 0.25, means
assert max(losses["ladder, warm-up"]) < min(losses["plain stack, warm-up"])
assert min(losses["ladder, no warm-up"]) < min(losses["plain stack, no warm-up"]) < max(losses["ladder, no warm-up"])

# %% [markdown]
# **Check yourself.** (a) Would reconstruction reach the upper layers of a plain stack if the decoder read *all* latents, $p(x \mid z_1, \dots, z_L)$? (b) In the printed gradients, why is the KL's gradient with
# respect to the top posterior not zero in the plain stack?
#
# <details><summary>Answer</summary>
#
# (a) Yes: then $\log p(x \mid z)$ contains draws made with their weights, and its gradient reaches them. The information still has to climb through noisy draws of the layers in between, so the upper layers know less about the image than the lower
# ones. BIVA builds on this idea with skip connections. (b) The top layer is a VAE of what lies below it: $B$ in (6) contains $\log p(z_2 \mid z_1)$, its reconstruction, and its own rate. Both are in the library's KL terms.
# </details>

# %% [markdown]
# ## 3. Merging the image's evidence with the prior
#
# In the ladder, two sources say something about the latent of layer $l$. The features of the image give a Gaussian $\mathcal N(\hat\mu, \hat\sigma^2)$, the *evidence*; the layers above give the prior $\mathcal N(\mu_p, \sigma_p^2)$. If the first is read as a likelihood of $z$, up to a
# constant, Bayes' rule says what to do: multiply and normalise.
#
# $$\log q(z) = -\frac12 \left[ \frac{(z - \hat\mu)^2}{\hat\sigma^2} + \frac{(z - \mu_p)^2}{\sigma_p^2} \right] + \text{const}. \tag{8}$$
#
# Collect powers of $z$. The coefficient of $-\frac12 z^2$ and that of $z$ are
#
# $$\frac{1}{\hat\sigma^2} + \frac{1}{\sigma_p^2} =: \frac{1}{\sigma^2}, \qquad
#   \frac{\hat\mu}{\hat\sigma^2} + \frac{\mu_p}{\sigma_p^2} =: \frac{\mu}{\sigma^2}. \tag{9}$$
#
# With these names (8) reads $-\frac12 z^2/\sigma^2 + z \mu/\sigma^2 + \text{const}$. Complete the square: add and subtract $\frac12 \mu^2/\sigma^2$, which does not depend on $z$,
#
# $$\log q(z) = -\frac{(z - \mu)^2}{2\sigma^2} + \text{const} \quad\Longrightarrow\quad q = \mathcal N(\mu, \sigma^2). \tag{10}$$
#
# The normalised product of two Gaussians is a Gaussian. Precisions $1/\sigma^2$ add up, and the mean is the average of the two means weighted by their precisions. In the assignment you write this so that it survives
# $\log \sigma$ from $-12$ to $8$, where precisions lie seventeen powers of ten apart.

# %%
# needs: precision_weighted, gaussian_kl_per_layer
frames, stds = [], [0.3, 0.6, 1.0, 2.0, 6.0]
prices = []
for std in stds:
    evidence, prior = (torch.tensor([2.0]), torch.tensor([std]).log()), (torch.tensor([-1.0]), torch.zeros(1))
    mean, log_std = precision_weighted(*evidence, *prior)
    layer = ([parameter[None]] for parameter in (mean, log_std, *prior))
    prices.append(gaussian_kl_per_layer(*layer).item())
    title = f"merged: mean {mean.item():.2f}, σ {log_std.exp().item():.2f}, KL to the prior {prices[-1]:.2f} nats"
    frames.append(plotting.merged_gaussians((2.0, std), (-1.0, 1.0), (mean.item(), log_std.exp().item()), title))
plotting.slider(frames, stds, "σ of the evidence", start=1)

# %% [markdown]
# **Figure 4.** Evidence around 2, prior around −1 with $\sigma_p = 1$. Drag the spread of the evidence. Precise evidence wins and costs nats; vague evidence leaves the prior nearly as it was, for nearly nothing. The merged
# Gaussian is always the narrowest of the three. (For the most precise evidence, two peaks are cut off at the top.)
#
# <!-- alt: Three bell curves over z: the prior around minus one, the evidence around two, and the merged one between them, taller and narrower than both. As the evidence widens, the merged curve moves to the prior. -->

# %% tags=["build-check"]
assert prices == sorted(prices, reverse=True) and prices[0] > 3 and prices[-1] < 0.02, prices
grid = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
for std in stds:
    product = torch.distributions.Normal(2.0, std).log_prob(grid).exp() * torch.distributions.Normal(-1.0, 1.0).log_prob(grid).exp()
    product /= product.sum()
    centre = (grid * product).sum()
    mean, log_std = precision_weighted(*torch.tensor([[2.0], [math.log(std)], [-1.0], [0.0]]))
    assert abs(centre - mean.item()) < 1e-5 and abs(((grid - centre) ** 2 * product).sum().sqrt() - log_std.exp().item()) < 1e-5
    assert log_std.exp().item() < min(std, 1.0)

# %% [markdown]
# **Check yourself.** (a) A layer should be able to carry nothing: $q = p$, no rate. Which evidence achieves that here? (b) Which posterior can the merge (9) not express, whatever the evidence?
#
# <details><summary>Answer</summary>
#
# (a) $\hat\sigma \to \infty$: its precision goes to zero and (9) returns the prior. (b) One that is wider than the prior, since precisions only add. If an image makes a latent *less* certain than it is on average, the ladder cannot express it.
# </details>

# %% [markdown]
# ## 4. Posteriors relative to the prior
#
# NVAE (Vahdat and Kautz, 2020) lets a network output *shifts* instead, how far the posterior lies from the prior:
#
# $$\mu_q = \mu_p + \Delta\mu, \qquad \log\sigma_q = \log\sigma_p + \Delta\log\sigma. \tag{11}$$
#
# Take the KL of two Gaussians in one dimension (unit 01) and insert (11). With $\sigma_q/\sigma_p = e^{\Delta\log\sigma}$,
#
# $$
# \begin{aligned}
# \mathrm{KL}(q \,\|\, p) &= \log\frac{\sigma_p}{\sigma_q} + \frac{\sigma_q^2 + (\mu_q - \mu_p)^2}{2\sigma_p^2} - \frac12 \\
# &= -\Delta\log\sigma + \frac12 e^{2\Delta\log\sigma} + \frac12 \Bigl(\frac{\Delta\mu}{\sigma_p}\Bigr)^2 - \frac12 .
# \end{aligned} \tag{12}
# $$
#
# The prior's mean is gone, and its width remains only as the unit in which $\Delta\mu$ is measured. The first, second and last term together are zero at $\Delta\log\sigma = 0$ and positive elsewhere (their derivative $e^{2\Delta\log\sigma} - 1$ has the sign of $\Delta\log\sigma$), so
# the KL vanishes exactly where both shifts do. For small shifts, $e^{2s} = 1 + 2s + 2s^2 + \dots$ gives
#
# $$\mathrm{KL} \approx \tfrac12 (\Delta\mu / \sigma_p)^2 + (\Delta\log\sigma)^2. \tag{13}$$
#
# **What it is good for.** In a hierarchy the prior of layer $l$ is itself drawn: it moves with every draw of $z_{<l}$, and with every update. If the image has nothing to add, a network that outputs an absolute mean has to predict where the
# prior went; one that outputs shifts just outputs zero. Let a prior drift while the network's outputs stay fixed:

# %%
# needs: residual_gaussian, gaussian_kl_per_layer
drift = torch.linspace(0, 3, 31)
prior = drift[:, None], (-0.2 * drift)[:, None]  # one latent; its prior moves and gets narrower
shift = torch.full_like(prior[0], 0.3), torch.full_like(prior[0], -0.4)  # what the network outputs, the same all along
curves = {}
for label, (mean, log_std) in {"absolute": shift, "relative to the prior": residual_gaussian(*prior, *shift)}.items():
    kl = gaussian_kl_per_layer([mean], [log_std], [prior[0]], [prior[1]])
    curves[label] = (drift.tolist(), kl[:, 0].tolist())
    print(f"{label:22s} KL before the drift {kl[0].item():.2f}, after it {kl[-1].item():.2f} nats")
plotting.show(plotting.learning_curves(curves, y_label="KL (nats)", x_label="how far the prior's mean has moved"))

# %% [markdown]
# **Figure 5.** A prior moves away and narrows while a network's outputs stay as they are. Taken as an absolute mean and width, they first match a little better, then are left behind and cost twelve nats. Taken as shifts, they move along, and the KL grows by a tenth of a nat, only as
# $(\Delta\mu / \sigma_p)^2$ does because the prior gets narrower.
#
# <!-- alt: Two curves of KL against the drift of the prior. The one for absolute outputs dips slightly, then rises steeply; the one for outputs relative to the prior stays near zero over the whole range. -->

# %% tags=["build-check"]
absolute, relative = (values for _, values in curves.values())
assert absolute[0] == relative[0] and absolute[-1] > 8 and relative[-1] < 0.3 and relative == sorted(relative)
predicted = 0.4 + 0.5 * math.exp(-0.8) + 0.5 * (0.3 / math.exp(-0.6)) ** 2 - 0.5  # equation (12) after the drift
assert abs(relative[-1] - predicted) < 1e-6

# %% [markdown]
# A Very Deep VAE does without shifts: its posterior is absolute, and the network that outputs it reads the same stream of features as the prior's network, so it can work out where the prior is. Both parameterisations can express the same
# posteriors. They differ in what an idle network costs.

# %% [markdown]
# **Check yourself.** (a) By (13), which costs more, a shift of the mean by half a $\sigma_p$ or a $\sigma_q$ that is smaller by a factor $e^{-1/2}$? (b) What does (12) become if the posterior is the Gaussian of (9), with $\hat\mu = \mu_p$?
#
# <details><summary>Answer</summary>
#
# (a) The second, $\frac14$ against $\frac18$ of a nat by (13); by (12) itself it is $\frac12 + \frac12 e^{-1} - \frac12 \approx 0.18$. (b) $\Delta\mu = 0$ and $\Delta\log\sigma = -\frac12 \log(1 + r)$ with $r = \sigma_p^2/\hat\sigma^2$, so the KL is $\frac12 \log(1 + r) - \frac{r}{2(1 + r)}$: evidence that agrees with the prior still costs nats, since it makes it more
# certain.
# </details>

# %% [markdown]
# ## 5. Why depth
#
# Autoregressive models generate an image one value at a time, $p(x) = \prod_i p(x_i \mid x_{<i})$, and for years they had the best likelihoods. What does a hierarchy of latents have to do with them?
#
# > **Proposition 1** (Child, 2021). For every autoregressive model of $N$ discrete variables there is a VAE with $N$ layers that gives every $x$ the same probability, and whose bound is exact.
#
# *Proof.* Let layer $i$ hold one variable with the values of $x_i$. Choose
#
# $$p(z_i \mid z_{<i}) := p(x_i = z_i \mid x_{<i} = z_{<i}), \qquad p(x \mid z) := [x = z], \qquad q(z_i \mid z_{<i}, x) := [z_i = x_i], \tag{14}$$
#
# where $[\cdot]$ is 1 if the statement holds and 0 otherwise. Then $p(x) = \sum_z p(z)\, p(x \mid z) = p(z = x) = \prod_i p(x_i \mid x_{<i})$. Under $q$ the only draw is $z = x$. Its reconstruction is $\log 1 = 0$, and the KL of layer $i$ is
# $\log 1 - \log p(x_i \mid x_{<i})$. By (4) the bound is $\sum_i \log p(x_i \mid x_{<i}) = \log p(x)$. $\square$
#
# So a hierarchy of $N$ layers is at least as expressive as an autoregressive model, if its layers can be any conditional distribution of one variable. Here it is, for four variables: is each quadrant of a digit brighter than usual?

# %%
ink = F.adaptive_avg_pool2d(data.load("digits").train.double(), 2).flatten(1)  # (images, 4 quadrants)
bits = (ink > ink.median(dim=0).values).long()
counts = torch.ones(2, 2, 2, 2, dtype=torch.float64)  # one each, so that nothing gets probability zero
counts.index_put_(tuple(bits.T), torch.ones(len(bits), dtype=torch.float64), accumulate=True)
joint = counts / counts.sum()
upto = [joint.reshape(2 ** (i + 1), -1).sum(1).reshape([2] * (i + 1)) for i in range(4)]  # p(x₁), p(x₁, x₂), …
conditional = [table / table.sum(-1, keepdim=True) for table in upto]  # p(x_i | x_<i)

# %%
values = torch.cartesian_prod(*[torch.arange(2)] * 4)  # all 16 values, of x and of z
given = torch.stack([table[tuple(values.T[: i + 1])] for i, table in enumerate(conditional)], dim=1)
autoregressive = given.log().sum(1)  # log p(x) of each value

p_z = given.prod(1)
decoder = q = (values[:, None] == values).all(-1).double()  # equation (14): p(x | z) and q(z | x), both (x, z)
evidence = (decoder @ p_z).log()  # log p(x) of the VAE: the sum over all z
elbo = (torch.xlogy(q, decoder) + torch.xlogy(q, p_z) - torch.xlogy(q, q)).sum(1)
rates = -(joint.flatten()[:, None] * given.log()).sum(0)  # KL of each layer, averaged over x
print(f"largest difference in log p(x): {(evidence - autoregressive).abs().max():.1e}")
print(f"largest gap of the bound:       {(evidence - elbo).abs().max():.1e}")
print("KL of layers 1 to 4 (nats):", "  ".join(f"{rate:.3f}" for rate in rates), f"  sum {rates.sum():.3f}")
print(f"entropy of the data:        {-(joint * joint.log()).sum():.3f}")

# %% tags=["build-check"]
assert (evidence - autoregressive).abs().max() < 1e-14 and (evidence - elbo).abs().max() < 1e-14
assert torch.allclose(autoregressive, joint.flatten().log(), atol=1e-13) and abs(rates.sum() + (joint * joint.log()).sum()) < 1e-12

# %% [markdown]
# The two agree to the last digits, and the bound has no gap. The price is visible too: the encoder copies, all information is rate, and drawing an image takes $N$ steps one after the other. The proposition says that hierarchies *lose* nothing. Do they gain anything?
#
# **Fewer steps.** Layers are drawn in turn, but the variables *within* a layer are independent given the layers above and can be drawn at the same time. Suppose $N$ bits are noisy copies of a hidden coin. The autoregressive model of the same distribution has to keep track of what the
# coin probably was: by Bayes, each new bit adds $\pm\log\frac{1 - e}{e}$ to its log-odds, where $e$ is the chance that a copy is wrong. It takes $N$ steps; the hierarchy takes two.

# %%
error = 0.1


def in_turn(draws, variables):
    log_odds, x = torch.zeros(draws), torch.empty(draws, variables)
    for i in range(variables):
        coin = log_odds.sigmoid()  # p(z = 1 | x_<i)
        x[:, i] = torch.bernoulli(coin * (1 - error) + (1 - coin) * error)
        log_odds += (2 * x[:, i] - 1) * math.log((1 - error) / error)
    return x


def in_two_steps(draws, variables):
    coin = torch.bernoulli(torch.full((draws, 1), 0.5))
    return torch.bernoulli((coin * (1 - error) + (1 - coin) * error).expand(draws, variables))


# %%
torch.manual_seed(0)
seconds, ones = {}, {}
for draw in (in_turn, in_two_steps):
    started = time.perf_counter()
    x = draw(1000, 1000)
    seconds[draw.__name__] = time.perf_counter() - started
    ones[draw.__name__] = [(draw(20_000, 3).sum(1) == k).float().mean().item() for k in range(4)]
    shares = "  ".join(f"{share:.3f}" for share in ones[draw.__name__])
    milliseconds = 1000 * seconds[draw.__name__]
    print(f"{draw.__name__:13s} 0, 1, 2, 3 ones among three bits: {shares}   1,000 bits: {milliseconds:.0f} ms")
exact = [0.5 * math.comb(3, k) * (0.9**k * 0.1 ** (3 - k) + 0.1**k * 0.9 ** (3 - k)) for k in range(4)]
print("exact         0, 1, 2, 3 ones among three bits:", "  ".join(f"{share:.3f}" for share in exact))

# %% tags=["build-check"]
assert all(abs(share - truth) < 0.015 for shares in ones.values() for share, truth in zip(shares, exact, strict=True))
assert seconds["in_turn"] > 3 * seconds["in_two_steps"]

# %% [markdown]
# The same distribution, in a fraction of the time. Images are full of hidden coins: whether it is day, where the horizon runs. A hierarchy that finds them needs far fewer layers than pixels. Child (2021) draws CIFAR-10 images in 45 steps. A model that draws one colour value at a time needs 3,072.
#
# > **Proposition 2** (Child, 2021). A hierarchy with $N$ layers of one number each can approximate any density of $N$ latent numbers, if its conditional distributions can have any inverse cumulative distribution function.
#
# *Proof.* Write the target as $p(x) = \prod_i p(x_i \mid x_{<i})$ with conditional distribution functions $F_i(\cdot \mid x_{<i})$. Draw $u_i$ uniform in $(0, 1)$ and set
#
# $$z_i = F_i^{-1}(u_i \mid z_{<i}). \tag{15}$$
#
# Since $P\bigl(F^{-1}(u) \le t\bigr) = P\bigl(u \le F(t)\bigr) = F(t)$, $z_1$ has the right marginal, $z_2$ given $z_1$ the right conditional, and so on by induction. With the exact functions the density is exact; networks approximate them. $\square$
#
# The condition is the whole point, and *Gaussian* layers do not meet it: $\mathcal N(\mu(z_{<i}), \sigma^2(z_{<i}))$ has the inverse $\mu + \sigma\, \Phi^{-1}(u)$ and no other. How much is lost? Let $g$ be a hierarchy of Gaussian layers. By the chain rule of KL (unit 01),
#
# $$\mathrm{KL}(p \,\|\, g) = \sum_i \mathbb{E}_{p(x_{<i})}\, \mathrm{KL}\bigl(p(x_i \mid x_{<i}) \,\|\, g(x_i \mid x_{<i})\bigr), \tag{16}$$
#
# and each term is smallest for the Gaussian with the mean and the variance of $p(x_i \mid x_{<i})$ (the forward projection of unit 01). So the best two-layer Gaussian hierarchy can be written down, whatever networks stand behind it.

# %%
points = 161
axis = torch.linspace(-3.6, 3.6, points, dtype=torch.float64)
step = axis[1] - axis[0]
radius = torch.hypot(axis[:, None], axis[None])
target = (-((radius - 2) ** 2) / (2 * 0.3**2)).exp()  # a ring
target = target / (target.sum() * step**2)
p1 = target.sum(1) * step  # density of the first coordinate
p2 = target / p1[:, None]  # density of the second, given the first


def gaussian(mean, variance):
    return torch.distributions.Normal(mean, variance.sqrt()).log_prob(axis).exp()


mean1, mean2 = (axis * p1).sum() * step, (p2 @ axis) * step
variance1, variance2 = ((axis - mean1) ** 2 * p1).sum() * step, (p2 @ axis**2) * step - mean2**2
two_layers = gaussian(mean1, variance1)[:, None] * gaussian(mean2[:, None], variance2[:, None])

# %% [markdown]
# Is there a way out with Gaussian layers? Yes: more of them. Let $y_1 \sim \mathcal N(0, 1)$, and let $z_1$ be a *narrow* Gaussian around $F_1^{-1}(\Phi(y_1))$ with width $s$. A network can be any smooth function, so this layer is allowed. Its marginal is $p(x_1)$ blurred by $s$. The same for
# the second coordinate makes four layers in all, and the error goes to zero with $s$.

# %%
def kl_from_target(density):
    return (torch.xlogy(target, target) - torch.xlogy(target, density)).sum().item() * step.item() ** 2


def four_layers(width):
    blur = (-((axis[:, None] - axis) ** 2) / (2 * width**2)).exp()
    blur = blur / (blur.sum(0, keepdim=True) * step)
    return (p1 @ blur * step)[:, None] * (p2 @ blur * step)


torch.manual_seed(0)
u = torch.rand(2, 200_000, 1, dtype=torch.float64)
first = torch.searchsorted((p1 * step).cumsum(0), u[0, :, 0]).clamp(max=points - 1)
second = torch.searchsorted((p2 * step).cumsum(1)[first], u[1])[:, 0].clamp(max=points - 1)  # equation (15)
drawn = torch.zeros_like(target).index_put_((first, second), torch.ones_like(u[0, :, 0]), accumulate=True)
drawn = drawn / (drawn.sum() * step**2)

# %%
kl = {"two Gaussian layers": kl_from_target(two_layers)}
kl |= {f"four Gaussian layers, s = {width}": kl_from_target(four_layers(width)) for width in (0.4, 0.2, 0.1)}
for name, nats in kl.items():
    print(f"{name:30s} KL(p ‖ g) = {nats:.3f} nats")
maps = {
    "target": target,
    "inverse CDFs, drawn": F.avg_pool2d(drawn[None, None], 3, stride=1, padding=1)[0, 0],
    f"two Gaussian, {kl['two Gaussian layers']:.2f}": two_layers,
    f"four Gaussian, {kl['four Gaussian layers, s = 0.1']:.3f}": four_layers(0.1),
}
plotting.show(plotting.density_maps(maps, extent=(-3.6, 3.6, -3.6, 3.6)))

# %% [markdown]
# **Figure 6.** From left to right: a ring; 200,000 draws by conditional inverse distribution functions (15), smoothed over three grid points; the best that two Gaussian layers can do, which fills the hole; four
# Gaussian layers, of which two are narrow. The numbers are KL from the target in nats, by sums over the grid.
#
# <!-- alt: Four square maps. The target is a bright ring. The draws show the same ring, slightly grainy. Two Gaussian layers give a broad, faint blob that fills the hole and reaches beyond the ring. Four layers give the ring again, a little blurred. -->

# %% tags=["build-check"]
assert kl["two Gaussian layers"] > 0.3 and 0.001 < kl["four Gaussian layers, s = 0.1"] < 0.05, kl
assert list(kl.values()) == sorted(kl.values(), reverse=True)
assert abs(two_layers.sum() * step**2 - 1) < 0.06 and abs(four_layers(0.2).sum() * step**2 - 1) < 0.01
assert (drawn - target).abs().sum() * step**2 / 2 < 0.12, "total variation, most of it noise of counting"
centre = points // 2
assert two_layers[centre, centre] > 20 * target[centre, centre]

# %% [markdown]
# So the number of layers in proposition 2 applies to layers of unlimited flexibility. With Gaussian layers, depth has to do two jobs: one layer for each dependence, and more to bend each conditional into shape. Both are reasons to want many.

# %% [markdown]
# **Check yourself.** (a) In (14) the decoder copies. Does proposition 1 also hold for real-valued $x$? (b) Drawing from the coin model takes two steps. Does *inferring* the coin from 1,000 bits take 1,000?
#
# <details><summary>Answer</summary>
#
# (a) Not as it stands: $[x = z]$ is not a density. With a narrow Gaussian in its place the model's density is the autoregressive one blurred by its width, which comes as close as one likes. (b) No. The log-odds of the coin are a sum with one term for each bit, and a sum needs no
# order: one layer of a network computes it. Autoregressive models compute their likelihood in parallel as well; only drawing from them is slow.
# </details>

# %% [markdown]
# ## 6. The Very Deep VAE
#
# With good residual networks there is no need to merge two Gaussians by a formula: a network can read the image's features and the stream together. The Very Deep VAE (Child, 2021) is a ladder made of one kind of block. Each resolution has one *stream* of features $s$, to which
# blocks add; $e$ are the encoder's features at the same resolution.
#
# $$
# \begin{aligned}
# q(z \mid z_<, x) &= \mathcal N\bigl(Q(s \oplus e)\bigr), & p(z \mid z_<),\; h &= P(s), \\
# z &= \mu + \sigma \odot \varepsilon, & s' &= R(s + h + W z).
# \end{aligned} \tag{17}
# $$
#
# $\mu$ and $\sigma$ are the posterior's when there is an image, and the prior's when there is none. In (3) the context is this stream, and $P$'s extra output $h$ lets the prior's network pass its features on to the layers below.

# %%
plotting.show(plotting.top_down_block())

# %% [markdown]
# **Figure 7.** One block. Blue arrows need the image. Posterior and prior both read the stream as it comes in, before anything is added. The KL between them is this layer's rate in (4). To draw an image from the model, leave out Q and the KL.
#
# <!-- alt: A diagram. The stream s goes to the right through two sums and the bottleneck R. It also feeds bottleneck P, which gives the prior and h, and, with the evidence e, bottleneck Q, which gives the posterior. z is drawn from one of the two, goes through the one-by-one convolution W, and is added to the stream. -->

# %% tags=["build-check"]
labels = {text.get_text() for text in plotting.top_down_block().axes[0].texts}
assert {"Q: bottleneck", "P: bottleneck", "R: bottleneck", "W: 1×1", "KL"} <= labels

# %%
# needs: top_down_step, bottleneck_block, gaussian_kl_per_layer
torch.manual_seed(0)
width, latent, side = 8, 2, 4
Q = Bottleneck(2 * width, 4, 2 * latent, side)
P = Bottleneck(width, 4, 2 * latent + width, side)
parts = SimpleNamespace(
    posterior=lambda both: Q(both).chunk(2, dim=1),
    prior=lambda s: P(s).split((latent, latent, width), dim=1),
    project=nn.Conv2d(latent, width, 1),
    refine=Bottleneck(width, 4, width, side, is_residual=True),
)
stream, features, noise = (torch.randn(3, channels, side, side) for channels in (width, width, latent))
for label, evidence in {"with an image": features, "without one": None}.items():
    below, z, kl = top_down_step(stream, evidence, parts, noise)
    of_images = "  ".join(f"{value:.3f}" for value in kl)
    print(f"{label:14s} stream {tuple(below.shape)}, z {tuple(z.shape)}, KL of three images {of_images}")

# %% tags=["build-check"]
assert kl.abs().max() == 0 and below.shape == stream.shape and z.shape == noise.shape
assert top_down_step(stream, features, parts, noise)[2].min() > 0

# %% [markdown]
# ### The bottleneck
#
# $P$, $Q$, $R$ and all blocks of the encoder are the same four convolutions, 1×1, 3×3, 3×3, 1×1, each after a GELU, $x\, \Phi(x)$: a rectifier without the kink. Inside they have a quarter of the channels. With $C$ channels outside and $C/4$ inside, the weights number
#
# $$2 \cdot C \cdot \frac C4 + 2 \cdot 9 \cdot \Bigl(\frac C4\Bigr)^2 = \frac{13}{8} C^2, \tag{18}$$
#
# where two 3×3 convolutions at full width have $18\, C^2$, eleven times as many. At resolutions 1 and 2 the 3×3 convolutions become 1×1: most of a larger kernel would lie on the padding.

# %%
# needs: bottleneck_block
width = 384
block = Bottleneck(width, width // 4, width, resolution=16, is_residual=True)
full = nn.Sequential(*(nn.Conv2d(width, width, 3) for _ in range(2)))
for label, module in {"bottleneck": block, "two 3×3": full}.items():
    weights = sum(parameter.numel() for parameter in module.parameters() if parameter.dim() == 4)
    print(f"{label:11s} {weights:>9,} weights = {weights / width**2:.3f} C²")
zeros = [torch.zeros_like(layer.weight) for layer in block.convolutions]
x = torch.randn(1, width, 16, 16)
same = bottleneck_block(x, zeros, [torch.zeros(len(weight)) for weight in zeros], True)
print("a residual block with weights of zero returns its input:", torch.equal(same, x))

# %% tags=["build-check"]
assert torch.equal(same, x) and sum(p.numel() for p in block.parameters() if p.dim() == 4) / width**2 == 13 / 8

# %% [markdown]
# ### Down by averages, up by copies
#
# The encoder halves the resolution by average pooling. The decoder goes up by *nearest neighbours*: every pixel is repeated in a square. Pooling undoes it exactly. Nothing is learned on this path, and nothing can be lost on it.

# %%
# needs: unpool_nearest
sizes = [1, 4, 8, 16]
rows = {"32 × 32": photos.double()}
for size in reversed(sizes):
    pooled = F.avg_pool2d(photos.double(), 32 // size)
    back_up = unpool_nearest(pooled, 32 // size)
    rows[f"{size} × {size}"] = back_up
    change = (F.avg_pool2d(back_up, 32 // size) - pooled).abs().max()
    print(f"down to {size:2d}, up, and down again: largest change of a value {change:.0e}")
plotting.show(plotting.image_rows(rows))

# %% [markdown]
# **Figure 8.** What averages and copies keep: photographs averaged down to 16, 8, 4 and 1 pixels a side and copied back up. The encoder pools *features*, many channels of them, so a latent at a low resolution may know more than such a row shows.
#
# <!-- alt: Rows of twelve photographs at 32, 16, 8, 4 and 1 pixels a side; at 8 they are hardly recognisable, at 1 each is a single colour. -->

# %% tags=["build-check"]
assert change < 1e-10 and all(len(row[0, 0].unique()) <= int(name.split()[0]) ** 2 for name, row in rows.items())

# %% [markdown]
# Why not learn the upsampling, with a transposed convolution of kernel and stride $k$? In PyTorch its weights start uniform with variance $1 / (3\, C k^2)$, where $C$ is the number of channels it outputs. Every pixel of its output is computed from one pixel of its input. With $C$ channels there too,
#
# $$\operatorname{Var}[\text{out}] = C \cdot \frac{1}{3\, C k^2} \operatorname{Var}[\text{in}] = \frac{\operatorname{Var}[\text{in}]}{3 k^2}. \tag{19}$$
#
# One step with $k = 4$ shrinks the spread by $4\sqrt3 \approx 6.9$, one with $k = 2$ by $2\sqrt3 \approx 3.5$. A latent of the top layer passes four of them on its way from 1 × 1 to 32 × 32. On the way back, each input value collects $k^2 C$ independent gradients with weights of the same variance, so their spread shrinks by $\sqrt3$. Copies multiply it by $k$.
# Compared with copies, gradients lose the same factor, $k\sqrt3$.

# %%
# needs: unpool_nearest
torch.manual_seed(0)
learned = copied = torch.randn(64, 64, 1, 1)
predicted, factors = 1.0, (4, 2, 2, 2)
print("resolution   learned   predicted by (19)   copied")
for factor in factors:
    upsample = nn.ConvTranspose2d(64, 64, factor, stride=factor, bias=False)
    with torch.no_grad():
        learned, copied = upsample(learned), unpool_nearest(copied, factor)
    predicted /= math.sqrt(3) * factor
    print(f"{learned.shape[-1]:10d} {learned.std():9.4f} {predicted:14.4f} {copied.std():13.4f}")

# %% tags=["build-check"]
assert abs(learned.std() / predicted - 1) < 0.15 and abs(copied.std() - 1) < 0.05 and 280 < 1 / predicted < 295

# %% [markdown]
# At the start, the signal of a top latent arrives nearly three hundred times weaker than with copies, and so does the gradient that could change this. The lower layers learn to do without it, and section 2 showed what happens to a layer that is not needed early. Section 7 measures it in training.

# %% [markdown]
# ### $1/\sqrt N$
#
# Every block adds to its stream. With a fresh network the prior's last convolution is zero, so $h = 0$ and $z \sim \mathcal N(0, I)$, and the 1×1 convolution $W$ has weights of variance $1/(3\, C_z)$ for $C_z$ latent channels. Its contribution has variance $\frac13$ in every channel. Draws
# of different blocks are independent, so after $N$ blocks
#
# $$\operatorname{Var}[s_N] \approx \sum_{n=1}^{N} \operatorname{Var}[W_n z_n] = \frac N3, \qquad \text{and with each } W_n \text{ scaled by } \tfrac{1}{\sqrt N}: \quad \operatorname{Var}[s_N] \approx \frac13, \tag{20}$$
#
# as long as the residual blocks $R$ add little, as a bottleneck with PyTorch's initial weights does. Very Deep VAEs scale $W$ and the last convolution of every residual block by $1/\sqrt N$. We measure the stream of fresh models by drawing from them, and the size of the first gradient.

# %%
# needs: top_down_step, bottleneck_block, unpool_nearest, gaussian_kl_per_layer
def at_initialisation(blocks, scaled):
    """Standard deviation of the last stream, and norm of the gradient of −ELBO in nats per pixel value."""
    torch.manual_seed(0)
    config = VDVAEConfig(image_shape=(3, 8, 8), width=32, enc_blocks="8x1", dec_blocks=f"8x{blocks}", mixtures=2)
    model, streams = replace(config, residual_scaling=scaled).build(), []
    model.readout.register_forward_hook(lambda module, inputs, features: streams.append(features))
    model.sample(16)
    elbo = model(F.avg_pool2d(photos.float(), 4).round().byte())
    (-elbo.bound.mean() / model.num_dims).backward()
    norms = [weight.grad.norm() for weight in model.parameters() if weight.grad is not None]
    return streams[0].std().item(), torch.stack(norms).norm().item()


# %%
# needs: top_down_step, bottleneck_block, unpool_nearest, gaussian_kl_per_layer
depths = [4, 8, 16, 32, 64]
fresh = {scaled: [at_initialisation(blocks, scaled) for blocks in depths] for scaled in (False, True)}
print("blocks   spread: bare, by (20)   scaled, by (20)   first gradient: bare, scaled")
for blocks, (bare, bare_norm), (scaled, scaled_norm) in zip(depths, *fresh.values(), strict=True):
    of_stream = f"{bare:14.2f} {math.sqrt(blocks / 3):8.2f} {scaled:9.2f} {math.sqrt(1 / 3):8.2f}"
    print(f"{blocks:6d} {of_stream} {bare_norm:21.1f} {scaled_norm:7.1f}")
measured = {"unscaled": [std for std, _ in fresh[False]], "scaled by 1/√N": [std for std, _ in fresh[True]]}
by_theory = {"unscaled": [math.sqrt(blocks / 3) for blocks in depths], "scaled by 1/√N": [math.sqrt(1 / 3)] * 5}
plotting.show(plotting.stream_spread(depths, measured, by_theory))

# %% [markdown]
# **Figure 9.** Spread of the last stream of fresh models against their number of blocks; points are measured, lines are (20). Unscaled, the spread grows as $\sqrt N$; scaled it stays where it is.
#
# <!-- alt: Log-log plot against the number of blocks: points on a rising line with slope one half, and points on a flat one. -->

# %% tags=["build-check"]
for blocks, (bare, _), (scaled, _) in zip(depths, *fresh.values(), strict=True):
    assert abs(bare / math.sqrt(blocks / 3) - 1) < 0.12 and abs(scaled / math.sqrt(1 / 3) - 1) < 0.12, (blocks, bare, scaled)
assert fresh[False][-1][1] > 8 * fresh[True][-1][1] and fresh[False][-1][1] / fresh[False][0][1] > 16

# %% [markdown]
# The gradient of the unscaled model grows even faster than its stream: each of its blocks writes into everything below it. At 64 blocks it is many times that of the scaled one, with the same data and before the first update.
#
# ### Skipping updates
#
# Even so, a few batches in a long run have a gradient far larger than usual, for instance where a posterior lies far out in the tail of a narrow prior. Clipping shortens such a gradient but still moves the weights in its direction, and Adam's averages remember it. Child (2021) skips
# these updates: the batch is discarded, and the weights and the state of the optimiser stay as they were.

# %%
# needs: should_skip_update
print("gradient norm, loss → skipped at a threshold of 200?")
batches = [(3.1, 31.0), (3.0, 28.0), (3.2, 9000.0), (3.0, 35.0), (3.1, 200.0), (math.nan, 30.0), (3.0, math.inf)]
for loss, norm in batches:
    skipped = should_skip_update(torch.tensor(loss), torch.tensor(norm), 200.0)
    print(f"{norm:8.0f}  {loss:4.1f}   {'skipped' if skipped else 'taken'}")

# %% tags=["build-check"]
decisions = [should_skip_update(torch.tensor(loss), torch.tensor(norm), 200.0).item() for loss, norm in batches]
assert decisions == [False, False, True, False, True, True, True]

# %% [markdown]
# The threshold has to be chosen, and a bad choice is easily missed: a threshold below the usual norm skips *every* update, and the loss simply stays where it is. Log the number of skipped updates, and look at it.

# %% [markdown]
# **Check yourself.** (a) How many weights do the convolutions of $Q$ in (17) have, with $C$ channels in the stream and in $e$, $C/4$ inside, and $C_z$ latent channels? (b) In (20), what would happen to the stream if the draws $z_n$ were all the same?
#
# <details><summary>Answer</summary>
#
# (a) The first one reads $2C$ channels and the last one outputs $2 C_z$: $2C \cdot \frac C4 + \frac{18}{16} C^2 + \frac C4 \cdot 2 C_z = \frac{13}{8} C^2 + \frac12 C C_z$. For $C = 384$ and $C_z = 16$ that is 242,688. (b) The terms would no longer be independent, though the $W_n$ still are: weights with mean zero make the sum's variance $N/3$ all the same, averaged over
# initial weights.
# </details>

# %% [markdown]
# ## 7. Four tables, reproduced at small scale
#
# The paper supports its design by ablations. Here they are again, at a scale that two processor cores can manage. The records come from the folders of the same names in `experiments/`, three seeds each where the figure shows three points. To repeat the experiments, start Jupyter with `RUN_EXPERIMENTS=1` in its environment; this takes hours.

# %%
def print_runs(record):
    judged_by = "test" if any(run["test"] for arm in record["arms"] for run in arm["runs"]) else "held-out training"
    print(f"{record['data']['title']}, {record['device']}; bits/dim of {judged_by} images, one number for each seed")
    print(f"{'':26s}weights  updates  bits/dim             mean   skipped (×: given up)")
    for arm in record["arms"]:
        bits, runs = data.last_bits_per_dim(arm), arm["runs"]
        fewest, most = (extreme(run["steps"] for run in runs) for extreme in (min, max))
        steps = str(most) if fewest == most else f"{fewest}–{most}"
        mean = f"{sum(bits) / len(bits):.3f}" if bits else "  –  "
        skipped = " ".join("×" if run["diverged"] else str(run["skipped"]) for run in runs)
        seeds = "  ".join(f"{value:.3f}" for value in bits)
        print(f"{arm['label']:24s}{arm['parameters']:9,} {steps:>8s}  {seeds:21s}{mean}  {skipped}")


# %% [markdown]
# ### Stochastic depth
#
# Does it help that latents depend on one another in a *long chain*, or is it the number of latents and weights that counts? To tell them apart, keep all blocks and weights, and draw the latents of a group of blocks in parallel: their contributions $Wz$ are held back until the group ends, so that
# none of them sees the others. Groups of all sizes then have the same parameters.

# %%
depth_record = data.experiment_record("stochastic_depth")
print_runs(depth_record)
published = {"3": 4.30, "6": 4.18, "12": 4.06, "24": 3.98, "48": 3.95}
by_depth = {str(arm["factors"]["stochastic_depth"]): data.last_bits_per_dim(arm) for arm in depth_record["arms"]}
titles = ("Child (2021): ImageNet-32, 41M weights", "here: photos32, 12 blocks")
plotting.show(plotting.published_and_measured(published, by_depth, "latents in a chain", titles))

# %% [markdown]
# **Figure 10.** Left, the published test losses (Child, 2021): every doubling of the chain helps, the last ones less. Right, ours: one dot for each seed, bars at their mean.
#
# <!-- alt: Two panels. Left, a grey falling curve from 4.30 at depth 3 to 3.95 at depth 48. Right, dots for three seeds at four depths with a line through their means. -->

# %% tags=["build-check"]
assert len({arm["parameters"] for arm in depth_record["arms"]}) == 1, "equal parameters"

# %%
of_arm = {arm["factors"]["stochastic_depth"]: arm for arm in depth_record["arms"]}
shortest, longest = min(of_arm), max(of_arm)
pairs = zip(by_depth[str(shortest)], by_depth[str(longest)], strict=False)
gains = [short - long for short, long in pairs]
seed_by_seed = "  ".join(f"{gain:+.3f}" for gain in gains)
print(f"bits/dim gained from a chain of {shortest} to one of {longest}, seed by seed: {seed_by_seed}")
fine = torch.tensor(of_arm[longest]["resolutions"]) >= 16
kl = torch.tensor([run["curve"]["kl_per_layer"][-1] for run in of_arm[longest]["runs"]])
print(f"share of the nats in layers at 16² and 32²: {kl[:, fine].sum() / kl.sum():.2%}")

# %% [markdown]
# **What agrees.** A chain of latents is better than none: every longer chain beats the single group from the same seed. **What does not.** The published curve goes on falling. Here chains of 3, 6 and 12 latents give the same loss, to within far less than the seeds differ. The size of the
# gain does not match either: our first step is seven times the published fall from 24 to 48.
#
# **What small scale cannot show.** Our models have forty thousand weights, a thousandth of the published ones, and few of the runs have settled. As the last line shows, the fine layers carry next to nothing yet, so a third of the chain is not in use. A link can help only once it is used.

# %% tags=["build-check"]
assert min(gains) > 0
grouped, *chains = (by_depth[str(depth)] for depth in sorted(of_arm))
assert all(chain[seed] < grouped[seed] for chain in chains for seed in range(len(grouped))), by_depth
means = [sum(chain) / len(chain) for chain in chains]
spread = max(max(chain) - min(chain) for chain in chains)
assert max(means) - min(means) < 0.2 * spread, (means, spread)
first_step = sum(grouped) / len(grouped) - sum(means) / len(means)
assert 6.5 < first_step / (published["24"] - published["48"]) < 7.5, first_step
assert kl[:, fine].sum() < 0.01 * kl.sum() and 3 <= fine.sum() <= 5
assert sum(run["stop_rule_met"] for arm in depth_record["arms"] for run in arm["runs"]) <= 3

# %% [markdown]
# ### Where to put the layers
#
# A block at 32 × 32 costs 64 times the arithmetic of one at 4 × 4. Is it worth it? The paper distributes its 48 layers in four ways:
#
# | layers at 32², 16², 8², 4², 1² | 10/10/10/10/8 | 12/12/10/8/6 | 14/14/10/6/4 | 16/16/10/4/2 |
# |---|---|---|---|---|
# | test loss, ImageNet-32 (Child, 2021) | 3.98 | 3.97 | 3.96 | 3.95 |

# %%
placement_record = data.experiment_record("layer_placement")
print_runs(placement_record)
placements = ("10·10·10\n10·8", "12·12·10\n8·6", "14·14·10\n6·4", "16·16·10\n4·2")
published = dict(zip(placements, (3.98, 3.97, 3.96, 3.95), strict=True))
finest = placement_record["arms"][-1]
fine = torch.tensor(finest["resolutions"]) >= 16
kl = torch.tensor([run["curve"]["kl_per_layer"][-1] for run in finest["runs"]])
print(f"{finest['label']}: share of the nats in these layers {kl[:, fine].sum() / kl.sum():.1%}")
by_place = {arm["label"].replace("most ", "most\n"): data.last_bits_per_dim(arm) for arm in placement_record["arms"]}
titles = ("Child (2021): ImageNet-32, 48 layers", "here: photos32, 12 layers")
plotting.show(plotting.published_and_measured(published, by_place, "where the layers sit", titles))

# %% [markdown]
# **Figure 11.** Left, the published losses as layers move to higher resolutions (from left to right). Right, the same question here.
#
# <!-- alt: Two panels. Left, four points falling evenly from 3.98 to 3.95. Right, dots for three seeds at three placements of twelve layers with a line through their means. -->

# %% tags=["build-check"]
assert len({arm["layers"] for arm in placement_record["arms"]}) == 1, "the same number of layers"

# %% [markdown]
# **What agrees, what cannot be seen.** The published columns differ by 0.01. Here the means of the three placements lie closer together than the seeds of one: three seeds cannot tell these placements apart. Nor could the latents of high-resolution blocks help yet: even where most blocks are placed there,
# the layers at 16² and 32² are nearly idle in two of the three seeds.

# %% tags=["build-check"]
of_seeds = [data.last_bits_per_dim(arm) for arm in placement_record["arms"]]
averages = [sum(bits) / len(bits) for bits in of_seeds]
assert max(averages) - min(averages) < max(max(bits) - min(bits) for bits in of_seeds), of_seeds
(high,) = (arm for arm in placement_record["arms"] if arm["label"] == "most at 16 and 32")
kl = torch.tensor([run["curve"]["kl_per_layer"][-1] for run in high["runs"]])
shares_at_high = kl[:, torch.tensor(high["resolutions"]) >= 16].sum(1) / kl.sum(1)
assert (shares_at_high < 0.02).sum() == 2 and shares_at_high.max() > 0.1, shares_at_high

# %% [markdown]
# ### Scaling and skipping
#
# | layers | 15 | 30 | 45 | 60 | 75 |
# |---|---|---|---|---|---|
# | without $1/\sqrt N$: loss (skipped updates) | 2.50 (13) | 2.36 (41) | 2.31 (48) | 2.30 (76) | diverged |
# | with $1/\sqrt N$ | 2.51 (0) | 2.38 (1) | 2.30 (0) | 2.29 (1) | 2.28 (0) |
#
# (Child, 2021, after 80,000 updates.) Scaling hardly changes the loss at a given depth. It makes greater depth possible: without it the skipped updates pile up, and at 75 layers training breaks down.
#
# The same comparison on digits, with 8, 16 and 32 blocks:

# %%
scaling_record = data.experiment_record("residual_scaling")
print_runs(scaling_record)
print("\nthe same runs after 60 updates:")
early = {}
for arm in scaling_record["arms"]:
    curves = [run["curve"] for run in arm["runs"]]
    early[arm["label"]] = [curve["bits_per_dim"][curve["step"].index(60)] for curve in curves]
    print(f"{arm['label']:24s}", "  ".join(f"{bits:.3f}" for bits in early[arm["label"]]))

# %% tags=["build-check"]
assert {arm["factors"]["residual_scaling"] for arm in scaling_record["arms"]} == {True, False}

# %% [markdown]
# **What agrees.** After 60 updates the scaled models lead in every pair of seeds, most clearly at 32 blocks, as the spreads of figure 9 and the gradients printed above it suggest: unscaled, more blocks make the start worse; scaled, they do not.
# Later the lead shrinks. At 8 and 16 blocks the seeds disagree about it at the end; at 32 the scaled model leads in all three, by 0.016 at most. On average, the two differ by less than the seeds of one variant do, at every depth. More blocks are better for both, on average. Updates were skipped in only one run, one of the deepest model without the scaling.
#
# **What small scale cannot show.** How many updates a long run skips, and that the deepest model diverges. (Our threshold is twenty times the median norm of a pilot run.) The large spread at 8 scaled blocks comes from a single run that is still on a plateau near 2.33 bits, where hardly any latent is in use.

# %% tags=["build-check"]
def scaled_or_not(scaled):
    arms = [arm for arm in scaling_record["arms"] if arm["factors"]["residual_scaling"] is scaled]
    return {arm["factors"]["blocks"]: data.last_bits_per_dim(arm) for arm in arms}


unscaled, scaled = scaled_or_not(False), scaled_or_not(True)
leads = {}
for blocks in scaled:
    pairs = zip(early[f"without 1/√N, {blocks} blocks"], early[f"with 1/√N, {blocks} blocks"], strict=True)
    leads[blocks] = [bare - better for bare, better in pairs]
assert min(map(min, leads.values())) > 0 and max(leads, key=lambda blocks: sum(leads[blocks])) == 32, leads
at_start = [sum(early[f"{variant} 1/√N, {blocks} blocks"]) for variant in ("without", "with") for blocks in (8, 16, 32)]
assert at_start[:3] == sorted(at_start[:3]) and max(at_start[3:]) - min(at_start[3:]) < 0.03, at_start
for blocks, bits in scaled.items():
    difference = abs(sum(bits) - sum(unscaled[blocks])) / len(bits)
    assert difference < max(max(some) - min(some) for some in (bits, unscaled[blocks])), blocks
ahead = {blocks: [bare - better for bare, better in zip(unscaled[blocks], scaled[blocks], strict=True)] for blocks in scaled}
assert all(min(ahead[blocks]) < 0 < max(ahead[blocks]) for blocks in (8, 16)), ahead
assert min(ahead[32]) > 0 and round(max(ahead[32]), 3) == 0.016, ahead
for variant in (scaled, unscaled):
    averages = [sum(bits) / len(bits) for bits in variant.values()]
    assert averages == sorted(averages, reverse=True), averages
assert sorted(scaled[8])[1] < 2.1 < 2.3 < max(scaled[8]) and max(max(bits) for blocks, bits in scaled.items() if blocks > 8) < 2.1
runs = [run for arm in scaling_record["arms"] for run in arm["runs"]]
assert not any(run["diverged"] for run in runs)
skipping = [arm["label"] for arm in scaling_record["arms"] for run in arm["runs"] if run["skipped"]]
assert skipping == ["without 1/√N, 32 blocks"], skipping

# %% [markdown]
# ### Who carries the information
#
# Add up the KL of the layers from the top: the *cumulative rate*, how many nats have been spent by the time layer $l$ is drawn. Three variants: the model as it is; without the residual block $R$ at the end of each decoder block; and with learned upsampling instead of copies.

# %%
carrier_record = data.experiment_record("upsampling_and_residuals")
print_runs(carrier_record)
rates = {arm["label"]: [run["curve"]["kl_per_layer"][-1] for run in arm["runs"]] for arm in carrier_record["arms"]}
resolutions = carrier_record["arms"][0]["resolutions"]
plotting.show(plotting.cumulative_kl(rates, resolutions))

# %% [markdown]
# **Figure 12.** Cumulative KL on held-out images; dotted lines separate resolutions, bands span the seeds. With copies, nearly all nats are spent by the end of the 8 × 8 layers, with or without residual blocks. With learned upsampling there are fewer nats in every seed, and where they are spent differs from seed to seed, so that the band is wide.
#
# <!-- alt: Three rising curves of cumulative KL against the number of layers counted from the top, one for each variant, with the resolutions 1 to 32 marked along the top. -->

# %% tags=["build-check"]
assert len({tuple(arm["resolutions"]) for arm in carrier_record["arms"]}) == 1
upto8 = [at <= 8 for at in resolutions]
totals = {label: torch.tensor(kl).sum(1) for label, kl in rates.items()}
for label in ("residual", "no residual"):
    kl = torch.tensor(rates[label])
    assert (kl[:, upto8].sum(1) > 0.85 * kl.sum(1)).all(), label
assert (totals["learned upsampling"] < torch.minimum(totals["residual"], totals["no residual"])).all(), totals

# %%
print("share of all nats that the layers of each resolution carry, mean over seeds")
shares = {}
for label, kl in rates.items():
    kl = torch.tensor(kl)
    at = {size: [here == size for here in resolutions] for size in (1, 4, 8, 16, 32)}
    shares[label] = {size: (kl[:, chosen].sum(1) / kl.sum(1)).mean().item() for size, chosen in at.items()}
    print(f"{label:20s}", "   ".join(f"{size:2d}²: {share:6.2%}" for size, share in shares[label].items()))

# %% tags=["build-check"]
bits = {arm["label"]: data.last_bits_per_dim(arm) for arm in carrier_record["arms"]}
assert all(worse > best + 0.1 for best, worse in zip(bits["residual"], bits["learned upsampling"], strict=True)), bits
assert sum(best > without for best, without in zip(bits["residual"], bits["no residual"], strict=True)) == 2, bits
at_120 = {
    arm["label"]: [run["curve"]["bits_per_dim"][run["curve"]["step"].index(120)] for run in arm["runs"]]
    for arm in carrier_record["arms"]
}
assert sum(at_120["residual"]) < sum(at_120["no residual"]), at_120
learned = torch.tensor(rates["learned upsampling"])
busiest = [resolutions[int(kl.argmax())] for kl in learned]
assert len(set(busiest)) == 3, busiest
assert max(carrier_record["arms"], key=lambda arm: arm["parameters"])["label"] == "learned upsampling"

# %% [markdown]
# **What agrees.** Equation (19) predicted that the latents of the top hardly get through fresh learned upsamplers, and section 2 explained what follows. This model uses its latents less in every seed, and which resolution ends up carrying most of the nats differs in all three seeds. Although it has the most parameters, its bound is worse in every seed. The published model
# copies nearest neighbours, and its released code trains without a warm-up of the KL or free bits.
#
# **What does not.** The residual block $R$ does not clearly help here. After 120 updates the model with it was ahead on average; at the end the one without it leads in two seeds of three, with an eighth fewer weights.
#
# **What small scale cannot show.** Whether learned upsampling recovers in a long run. Nor what a large model does at 16 × 16 and beyond: ours hardly uses them.

# %% [markdown]
# **Check yourself.** (a) Why does the experiment on depth keep the *parameters* equal, and which other budget would be fair? (b) A colleague trains with two seeds each and finds that 24 layers give 4.02 and 4.05, 12 layers 4.04 and 4.07. What can be concluded?
#
# <details><summary>Answer</summary>
#
# (a) Otherwise a deeper model is a larger one, and any gain could come from its size. Equal compute would be fair too, and here it is given as well: grouping changes neither weights nor operations, only what may depend on what. (b) The difference of the means, 0.02, is smaller than the spread of the seeds, 0.03. One can say that deeper is
# not much worse. To say more, one needs more seeds, or pairs that share seeds and data order.
# </details>

# %% [markdown]
# ## 8. Keep the top $k$ layers
#
# The numbers of figure 12 say how much a layer carries, not what. To see that, infer all latents of a photograph, keep the top $k$ layers, and draw the rest from the prior *given* them, twice. What two draws share is what the top layers know.

# %%
# needs: top_down_step, bottleneck_block, unpool_nearest, gaussian_kl_per_layer
facts = data.recorded_model_facts("hierarchy-photos32")
held_out = facts["bits_per_dim"]["valid"]
print(f"{facts['parameters']:,} weights, {facts['steps']:,} updates, {held_out:.2f} bits/dim of held-out crops")
with torch.no_grad():
    nats = torch.stack([hierarchy(photos).kl.mean(0) for _ in range(10)]).mean(0)
so_far = torch.cat([torch.zeros(1), nats.cumsum(0)])
numbers = torch.tensor([layer.from_latent.in_channels * layer.resolution**2 for layer in hierarchy.layers])
coarse = torch.tensor(sides) <= 8
print("layer           ", " ".join(f"{side:>4d}²" for side in sides))
print("nats            ", " ".join(f"{value:5.1f}" for value in nats))
shares = (amount[coarse].sum() / amount.sum() for amount in (numbers, nats))
print("layers up to 8²: {:.1%} of the latent numbers, {:.1%} of the nats".format(*shares))

# %% tags=["build-check"]
assert nats[coarse].sum() > 0.8 * nats.sum() and numbers[coarse].sum() < 0.1 * numbers.sum()

# %%
# needs: top_down_step, bottleneck_block, unpool_nearest, gaussian_kl_per_layer
torch.manual_seed(0)
frames, spread = [], []
for keep in range(len(sides) + 1):
    with torch.no_grad():
        draws = [hierarchy.reconstruct(photos, keep_layers=keep) for _ in range(2)]
    spread.append((draws[0].float() - draws[1].float()).square().mean().sqrt().item())
    rows = {"photographs": photos, "first draw": draws[0], "second draw": draws[1]}
    title = f"top {keep} of {len(sides)} layers kept: {so_far[keep]:.0f} of {so_far[-1]:.0f} nats"
    frames.append(plotting.image_rows(rows, title=title))
plotting.slider(frames, range(len(sides) + 1), "layers kept", start=3)

# %% [markdown]
# **Figure 13.** Two draws that share their top $k$ layers with the crop above them. Drag $k$: with each of the first layers the draws agree on more, tint first, then the layout of light and dark. After the layers at 8 × 8 they hardly change any more. Resampling a layer that carries nothing changes nothing.
#
# <!-- alt: Three rows of twelve small pictures: crops of photographs and two draws. With few layers kept the draws differ from each other and from the crops; with all kept both are blurred copies of the crops. -->

# %% tags=["build-check"]
first_fine = coarse.long().sum().item()
assert spread[0] > 2.5 * spread[-1] and spread[0] > spread[1] > spread[3] > spread[first_fine], spread
assert abs(spread[first_fine] - spread[-1]) < 0.15 * spread[0], spread

# %% [markdown]
# So 7 % of the latent numbers carry nearly everything that this model knows about a crop. That is no accident of our small model alone: the authors of Efficient-VDVAE (Hazami, Mama and Thurairatnam, 2022) report that about 3 % of the latent dimensions of their trained models carry most of the information. But mind the
# difference between *cannot* and *not yet*. Our model has seen few updates, its draws are blurred, and its bits per dimension say that the edges and the texture of figure 1 are still left to the likelihood of the pixels; the latents do not carry them.

# %% [markdown]
# **Check yourself.** (a) Instead of resampling the lower layers, one could set them to their prior's *mean*. What would the pictures look like, and what would they hide? (b) Could the *lower* layers be kept and the upper ones resampled?
#
# <details><summary>Answer</summary>
#
# (a) Smooth, without texture: one picture in the middle of all that fit. They would look better and hide the variety that the model allows for. (b) This can be computed, but the lower latents were inferred given the upper ones. With other upper layers their prior lies elsewhere, and the kept values may be very unlikely under it.
# The order matters because (1) is a chain.
# </details>

# %% [markdown]
# ## 9. The parts of NVAE
#
# NVAE (Vahdat and Kautz, 2020) reached 2.91 bits/dim on CIFAR-10 with 30 layers a little before the Very Deep VAE (numbers as given there). It is a ladder too, built from different parts. What is each one for?

# %%
plotting.show(plotting.nvae_cells())

# %% [markdown]
# **Figure 14.** NVAE's residual cells: BN is batch normalisation, SE squeeze and excitation, $C$ the number of channels outside. A cell's output is scaled by a tenth before it is added to the shortcut (blue).
#
# <!-- alt: Two rows of boxes. Encoder cell: BN and swish, 3×3, BN and swish, 3×3, SE times 0.1, plus the input. Decoder cell: BN, 1×1 to six times the channels, BN and swish, 5×5 depthwise, BN and swish, 1×1 back to C, BN, SE times 0.1, plus the input. -->

# %% tags=["build-check"]
assert [axes.get_title(loc="left") for axes in plotting.nvae_cells().axes] == ["encoder cell", "decoder cell"]

# %% [markdown]
# **Depthwise separable cells: a wide view, cheaply.** In the decoder, distant pixels must agree. A 5×5 convolution of $C$ channels has $25\, C^2$ weights. The cell uses three in its place: a 1×1 convolution to $6C$ channels, a 5×5 convolution of *each channel by itself*, and a 1×1 convolution back,
#
# $$C \cdot 6C + 25 \cdot 6C + 6C \cdot C = 6C\,(2C + 25). \tag{21}$$
#
# For large $C$ this tends to $12\, C^2$, half of the full convolution, with six times as many channels in between. In the encoder NVAE keeps plain 3×3 convolutions.
#
# **Squeeze and excitation: a gate computed from the whole picture.** Each channel is multiplied by a gate between 0 and 1, computed from the means of all channels over the picture. Convolutions see a neighbourhood; the gate sees everything at once.

# %%
print("channels   weights of a decoder cell   by (21)   of a 5×5 convolution   ratio")
for channels in (16, 64, 128, 512):
    convolutions = [part for part in decoder_cell(channels, channels).modules() if isinstance(part, nn.Conv2d)]
    weights = sum(convolution.weight.numel() for convolution in convolutions)
    predicted, full = 6 * channels * (2 * channels + 25), 25 * channels**2
    print(f"{channels:8d} {weights:>25,} {predicted:>11,} {full:>18,} {weights / full:9.2f}")
torch.manual_seed(0)
gate, x = SqueezeExcite(16), torch.randn(1, 16, 8, 8)
brighter = x.clone()
brighter[0, :, 7, 7] += 20.0  # one corner changes
with torch.no_grad():
    change = (gate(brighter) / brighter - gate(x) / x)[0, :, 0, 0].abs().max()
print(f"squeeze and excitation: a change in one corner moves the gates in the other by up to {change:.3f}")

# %% tags=["build-check"]
assert weights == predicted and change > 1e-3

# %% [markdown]
# **Spectral regularisation: no sudden jumps.** By (12) the KL of a layer grows as the square of $\Delta\mu$ and exponentially in $\Delta\log\sigma$, without a ceiling. If the encoder's output jumps on an image slightly unlike earlier ones, the KL jumps even more, and training may break down. How fast a network can change is
# bounded by its weights: a matrix stretches differences by at most its largest singular value $\sigma_{\max}$, and if no activation $a$ has a slope above $\lambda$, then for layers $W_1, \dots, W_n$
#
# $$\lVert f(x) - f(y) \rVert \;\le\; \lambda^{n-1} \prod_{i=1}^{n} \sigma_{\max}(W_i) \, \lVert x - y \rVert. \tag{22}$$
#
# (Apply $\lVert Wv \rVert \le \sigma_{\max}(W) \lVert v \rVert$ and $|a(s) - a(t)| \le \lambda |s - t|$ layer by layer.) NVAE adds $\lambda_{SR} \sum_i \sigma_{\max}(W_i)$ to its loss, where the weights of a convolution are read as a matrix with one row for each output channel (which is near, but not equal to, the norm of the convolution). The singular value comes from *power iteration*: $u \leftarrow Wv$, $v \leftarrow W^\top u$, each divided by its length. In the basis of singular vectors one
# round multiplies the $j$-th component by $\sigma_j^2$, so the largest one wins. A few rounds for each update are enough if they start from the last $u$, because weights change slowly.

# %%
torch.manual_seed(0)
matrix, start = torch.randn(1, 64, 128) / 8, torch.randn(1, 64)
exact = torch.linalg.svdvals(matrix[0])
vector = start
for rounds in (1, 3, 10, 30):
    estimate, _ = spectral_norms(matrix, start, rounds)
    print(f"{rounds:2d} rounds: {estimate.item():.4f}")
print(f"largest singular value: {exact[0]:.4f}, the next one {exact[1]:.4f}")
x, y = torch.randn(2, 10_000, 128)
stretch = ((x - y) @ matrix[0].T).norm(dim=1) / (x - y).norm(dim=1)
print(f"10,000 random differences are stretched by {stretch.min():.2f} to {stretch.max():.2f}")

# %% tags=["build-check"]
assert stretch.max() < exact[0] and estimate < exact[0] * (1 + 1e-5) and estimate > 0.99 * exact[0]

# %% [markdown]
# **KL balancing: no layer left behind.** While the weight of the KL warms up, NVAE weighs the layers' KL so that a layer with a low KL per unit gets a small weight. With $s_l$ units in layer $l$ and $g_l$ its KL per unit, averaged over the batch,
#
# $$\gamma_l = \frac{g_l}{\frac1L \sum_m g_m}, \qquad g_l = \frac{\overline{\mathrm{KL}}_l}{s_l}, \qquad \text{loss} = -\log p(x \mid z) + \beta \sum_l \gamma_l\, \mathrm{KL}_l, \tag{23}$$
#
# with the $\gamma_l$ held constant when gradients are taken. (The paper prints $s_l$ as a factor; its first author calls that a [misprint](https://github.com/NVlabs/NVAE/issues/26).) Their mean is 1. Once the warm-up is over, all are 1 and the loss is minus a bound again. Here are the weights for the rates of figure 12:

# %%
arm = carrier_record["arms"][0]
kl = torch.tensor(rates[arm["label"]]).mean(0, keepdim=True)
units = torch.tensor(arm["latents_per_layer"]).float()
gamma = balanced_kl(kl, units) / kl
print("layer        ", " ".join(f"{size:>5d}²" for size in resolutions))
print("KL (nats)    ", " ".join(f"{value:6.1f}" for value in kl[0]))
print("KL per unit  ", " ".join(f"{value:6.3f}" for value in (kl[0] / units)))
print("weight γ     ", " ".join(f"{value:6.2f}" for value in gamma[0]))

# %% tags=["build-check"]
per_unit = kl[0] / units
assert abs(gamma.mean() - 1) < 1e-5 and gamma[0].argmax() == per_unit.argmax() and gamma[0].argmin() == per_unit.argmin()

# %% [markdown]
# | part of NVAE | what it is for | in this lecture |
# |---|---|---|
# | residual Gaussians | an idle layer costs nothing, wherever its prior moves | (11) to (13) |
# | depthwise separable cells in the decoder | agreement of distant pixels, cheaply | (21) |
# | squeeze and excitation | the whole picture in every cell | figure 14 |
# | batch norm with slow averages, swish | faster training; the running averages must be right when images are drawn | `avae_lib.nn.nvae_cells` |
# | spectral regularisation | a ceiling on how fast posteriors can move | (22) |
# | KL balancing during the warm-up | layers that start slowly are not switched off | (23) |
# | a flow on top of each posterior | posteriors that are not Gaussian | unit 04 |

# %% [markdown]
# **Check yourself.** (a) Does the sum of singular values bound the product in (22)? (b) What would (23) do if it were kept on after the warm-up?
#
# <details><summary>Answer</summary>
#
# (a) Yes: the geometric mean is at most the arithmetic one, so the product of $n$ singular values is at most the $n$-th power of their mean. (b) Layers with a high rate per unit would be charged more than their nats, the others less. The loss would no longer be minus a bound, and the model would be pushed to spread its rate evenly whether or not the data call for it.
# </details>

# %% [markdown]
# ## What to remember
#
# $$\mathrm{ELBO}(x) = \mathbb{E}_{q}\bigl[\log p(x \mid z)\bigr] - \sum_{l=1}^{L} \mathbb{E}_{q(z_{<l} \mid x)}\, \mathrm{KL}\bigl(q(z_l \mid z_{<l}, x) \,\|\, p(z_l \mid z_{<l})\bigr)$$
#
# 1. Infer in the order of generation: features up, latents down. Each layer's KL then has a closed form, and reconstruction reaches every posterior.
# 2. In a plain stack the upper layers are a VAE of a VAE's latents. Reconstruction never reaches them, and they die.
# 3. A posterior parameterised relative to its prior costs $\frac12(\Delta\mu/\sigma_p)^2 + \frac12 e^{2\Delta\log\sigma} - \Delta\log\sigma - \frac12$, wherever the prior is.
# 4. $N$ layers can be any autoregressive model of $N$ variables if their conditionals are flexible; Gaussian ones need more layers. Where parts are independent given what is above, few layers do.
# 5. Depth is a matter of signal sizes: copies instead of learned upsampling, $1/\sqrt N$, and skipped updates let dozens of layers train.

# %% [markdown]
# ## What goes wrong in practice
#
# | what you see | what it is |
# |---|---|
# | the KL of the top layers is zero from the first evaluation on | learned upsampling, or a plain stack: nothing learns to use the top (equation (19), figure 3). Print the KL of each layer, never only their sum |
# | the loss stands still and nothing is reported | a skip threshold below the usual gradient norm: every update is skipped. Log the count |
# | infinite KL after hours without trouble | a posterior far outside a narrow prior. Skip the update, and bound what networks output as $\log\sigma$ |
# | a "KL" of a single layer below zero | bottom-up inference: it is an estimate from one draw. With top-down inference it is a bug |
# | samples much worse than reconstructions | top layers that are unused in training are drawn in sampling all the same; or batch-norm averages that do not fit (NVAE) |
# | KL balancing, and a "bound" better than all published ones | $\gamma_l \ne 1$ in evaluation. Evaluate with the plain sum |
# | deeper is not better | look at where the layers sit and what else changed. Compare at equal parameters, with several seeds |

# %% [markdown]
# ## Sources
#
# | for | source |
# |---|---|
# | sections 5 to 8 | R. Child, [Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images](https://arxiv.org/abs/2011.10650), ICLR 2021: propositions, tables and hyper-parameters; details of initialisation from its [released code](https://github.com/openai/vdvae) |
# | sections 2 and 3 | C. K. Sønderby, T. Raiko, L. Maaløe, S. K. Sønderby and O. Winther, [Ladder Variational Autoencoders](https://arxiv.org/abs/1602.02282), NeurIPS 2016 |
# | sections 4 and 9 | A. Vahdat and J. Kautz, [NVAE: A Deep Hierarchical Variational Autoencoder](https://arxiv.org/abs/2007.03898), NeurIPS 2020 |
# | few latents carry most | L. Hazami, R. Mama and R. Thurairatnam, [Efficient-VDVAE: Less is more](https://arxiv.org/abs/2203.13751), 2022 |
# | top-down inference with a shared path | D. P. Kingma et al., [Improved Variational Inference with Inverse Autoregressive Flow](https://arxiv.org/abs/1606.04934), NeurIPS 2016 |
# | skip connections for plain stacks | L. Maaløe, M. Fraccaro, V. Liévin and O. Winther, [BIVA](https://arxiv.org/abs/1902.02102), NeurIPS 2019 |
# | spectral norms as a penalty | Y. Yoshida and T. Miyato, [Spectral Norm Regularization for Improving the Generalizability of Deep Learning](https://arxiv.org/abs/1705.10941), 2017 |
# | squeeze and excitation | J. Hu, L. Shen and G. Sun, [Squeeze-and-Excitation Networks](https://arxiv.org/abs/1709.01507), CVPR 2018 |
# | the data | E. Alpaydin and C. Kaynak, *Optical recognition of handwritten digits*, UCI repository, 1998; the two photographs that come with scikit-learn, cut to 32 × 32 |

# %% [markdown]
# ## Where next
#
# The **assignment** of this unit asks for the pieces: residual Gaussians, the merge, copying upwards, the bottleneck, skipping, the KL of each layer, and the step (17) that joins them. You then train your hierarchy on photographs and draw its own figures 12 and 13. **Unit 06** asks what the contexts of (3) forget. Each layer learns
# about the layers far above it only through all those in between; attention over depth gives it direct access.
