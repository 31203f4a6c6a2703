"""A whole attentive VAE against a second way to compute it: one function after the other, in float64, from its weights.

The functions below follow the description of the published program step by step, with the posterior's mean for every
latent, and take no code from the library.
"""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from avae_lib.models.attentive import AttentiveConfig

CONFIG = AttentiveConfig(
    image_shape=(3, 4, 4),
    bits=8,
    layers=4,
    width=6,
    latent_channels=2,
    key_channels=2,
    padding=2,
    prior_log_std_range=(-0.9, 5.0),
    likelihood="discretized_logistic_mixture",
    mixtures=2,
)
NON_LOCAL = {"cell_key_channels": 3, "merger_key_channels": 2, "output_key_channels": 2}
RAW_EVIDENCE, RAW_CONTEXTS = {"normalise_evidence": False}, {"normalise_contexts": False}


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize(
    "fields", [{}, NON_LOCAL, RAW_EVIDENCE, RAW_CONTEXTS, {"conditioning": "local"}, {"layers": 1}, {"halvings": 0}]
)
def test_model_computes_what_its_description_says(faithful, fields):
    config = dataclasses.replace(CONFIG, faithful=faithful, **fields)
    model = _with_weights_of_all_kinds(config)
    x = torch.randint(0, 256, (2, 3, 4, 4), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    x[0, :, 0, 0], x[0, :, 0, 1], x[0, :, 1, 1] = 254, 255, 0
    try:
        torch.set_default_dtype(torch.float64)
        with torch.no_grad():
            elbo = model(x, posterior_temperature=0.0)
    finally:
        torch.set_default_dtype(torch.float32)
    log_likelihood, kl = Description(model.state_dict(), config).bound(x)
    torch.testing.assert_close(elbo.log_likelihood, log_likelihood, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(elbo.kl, kl, rtol=1e-9, atol=1e-9)


def _with_weights_of_all_kinds(config):
    """A model in float64 whose gates are open and whose norms and running statistics are those of no fresh one."""
    torch.manual_seed(0)
    model = config.build().double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_()
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
    return model


class Description:
    """The published program's steps, or with ``faithful=False`` ours, on the weights of a state dictionary."""

    def __init__(self, weights, config):
        self.weights, self.config = weights, config
        self.width, self.layers, self.latent = config.width, config.layers, config.latent_channels
        self.keys = config.key_channels if config.conditioning == "attentive" else 0

    # -- building blocks -------------------------------------------------------------------------------------------

    def convolve(self, name, x, stride=1):
        direction, log_gain = self.weights[f"{name}.direction"], self.weights[f"{name}.log_gain"]
        length = (direction**2).sum(dim=(1, 2, 3)).sqrt()
        kernels = torch.exp(log_gain)[:, None, None, None] * direction / length[:, None, None, None]
        if kernels.shape[-1] == 3:
            x = F.pad(x, (1, 1, 1, 1)) if stride == 1 else F.pad(x, (0, 1, 0, 1))
        return F.conv2d(x, kernels, self.weights.get(f"{name}.bias"), stride=stride)

    def batch_norm(self, name, x):
        mean, variance, gamma, beta = (
            self.weights[f"{name}.{part}"][None, :, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return gamma * (x - mean) / torch.sqrt(variance + 1e-5) + beta

    def non_local(self, name, x):
        if f"{name}.gate" not in self.weights:
            return x
        query, key, value = (self.convolve(f"{name}.{part}", x).flatten(2) for part in ("query", "key", "value"))
        scores = self.weights[f"{name}.scale"] * torch.einsum("bcn,bcm->bnm", query, key)
        odds = torch.exp(scores - scores.amax(dim=2, keepdim=True))
        found = torch.einsum("bnm,bcm->bcn", odds / odds.sum(dim=2, keepdim=True), value)
        return x + self.weights[f"{name}.gate"] * found.reshape(x.shape)

    def block(self, name, x):
        halves, doubles = f"{name}.shortcut.maps.0.bias" in self.weights, f"{name}.shortcut.2.log_gain" in self.weights
        shortcut, correction = x, x
        if halves:
            bent = x * torch.sigmoid(x)
            phases = [bent[:, :, 0::2, 0::2], bent[:, :, 1::2, 1::2], bent[:, :, 0::2, 1::2], bent[:, :, 1::2, 0::2]]
            maps = [self.convolve(f"{name}.shortcut.maps.{i}", phase) for i, phase in enumerate(phases)]
            shortcut = torch.cat(maps, dim=1)
        if doubles:
            larger = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            shortcut = self.convolve(f"{name}.shortcut.2", self.non_local(f"{name}.shortcut.1", larger))
            correction = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        for i in range(2):
            node = f"{name}.nodes.{i}"
            correction = self.non_local(f"{node}.1", self.batch_norm(f"{node}.0", correction))
            correction = correction * torch.sigmoid(correction)
            correction = self.convolve(f"{node}.3", correction, stride=2 if halves and i == 0 else 1)
        return shortcut + 0.1 * correction

    def cell(self, name, x):
        blocks = {key[len(name) + 1 :].split(".")[0] for key in self.weights if key.startswith(f"{name}.")}
        for number in range(len(blocks)):
            x = self.block(f"{name}.{number}", x)
        return x

    def join(self, name, a, b):
        return self.non_local(f"{name}.non_local", self.convolve(f"{name}.map", torch.cat((a, b), dim=1)))

    def add(self, name, a, b):
        a = self.convolve(f"{name}.match", a) if f"{name}.match.bias" in self.weights else a
        return self.non_local(f"{name}.non_local", a + self.convolve(f"{name}.map", b))

    def layer_norm(self, name, x):
        centred = x - x.mean(dim=1, keepdim=True)
        normalised = centred / torch.sqrt((centred**2).mean(dim=1, keepdim=True) + 1e-5)
        gain, bias = (self.weights[f"{name}.{part}"][None, :, None, None] for part in ("weight", "bias"))
        return gain * normalised + bias

    def added_norm(self, name, x):
        if f"{name}.norm.weight" not in self.weights:
            return x
        normalised = self.layer_norm(f"{name}.norm", x)
        if self.config.faithful:
            inner = math.sqrt(2 / math.pi) * (normalised + 0.044715 * normalised**3)
            return x + normalised * 0.5 * (1 + torch.tanh(inner))
        return x + normalised * 0.5 * (1 + torch.erf(normalised / math.sqrt(2)))

    def attend(self, name, own, query, keys, values):
        """own + γ Σ_j softmax_j(τ ⟨query, key_j⟩) value_j, with both terms normalised if there are norms."""
        scale = 1.0 if self.config.faithful else self.weights[f"{name}.scale.value"]
        odds = [torch.exp(scale * (query * key).sum(dim=1, keepdim=True)) for key in keys]
        found = sum(odd * value for odd, value in zip(odds, values, strict=True)) / sum(odds)
        found = self.added_norm(f"{name}.norm_of_found", found)
        return self.added_norm(f"{name}.norm_of_own", own) + self.weights[f"{name}.gate"] * found

    # -- encoder, top-down pass, likelihood ------------------------------------------------------------------------

    def evidence(self, x):
        """e_0 … e_L, top first, value and key side by side."""
        x = F.pad(2 * x.double() / 255 - 1, (2, 2, 2, 2), value=-1.0)
        e = [self.cell("bottom_up.stem.3", self.convolve("bottom_up.stem.2", x))]
        for number in range(self.layers):
            e.append(self.cell(f"bottom_up.cells.{number}", e[-1]))
        return e[::-1]

    def posterior_features(self, i, new_context, prior_condition, e):
        name, value, key = f"layers.{i}", e[i][:, : self.width], e[i][:, self.width :]
        if i > 0:
            merged = self.add(f"{name}.merge", value, prior_condition)
            value, key = merged[:, : self.width], merged[:, self.width :]
        if not self.keys:
            return value
        keys = [key] + [lower[:, self.width :] for lower in e[i + 1 :]]
        values = [value] + [lower[:, : self.width] for lower in e[i + 1 :]]
        query = new_context[:, : self.keys]
        return torch.cat((self.attend(f"{name}.evidence_conditioning", value, query, keys, values), key), dim=1)

    def prior_condition(self, i, new_context, query, history):
        """``history`` holds c_0 … c_{i−1}, value and key side by side, and is rewritten in place."""
        if not self.keys:
            return new_context
        name, g = f"layers.{i}", self.width + self.keys
        if self.config.faithful and i > 1:
            history[i - 2] = self.layer_norm(f"{name}.history.joint_norm.norm", history[i - 2])
        values = [c[:, :g] for c in history]
        if self.config.normalise_contexts:
            norm = f"{name}.history.{'norm_of_newest' if self.config.faithful else 'norm'}"
            values[-1] = self.layer_norm(norm, values[-1])
        if not self.config.faithful:
            history[-1] = torch.cat((values[-1], history[-1][:, g:]), dim=1)
        keys = [c[:, g:] for c in history]
        return self.attend(f"{name}.context_conditioning", new_context, query, keys, values)

    def bounded(self, x, low, high):
        if low == -high:
            return high * torch.tanh(x / (2 * high))
        t = ((x - low) / (high - low)).clamp(0, 1)
        return low + (high - low) * (3 * t**2 - 2 * t**3)

    def soft_clamped(self, x, low, high):
        return torch.where(x > 0, x / (1 + x.abs() / high), x / (1 + x.abs() / -low))

    def gaussians(self, of_prior, shift):
        """Mean and standard deviation of prior and posterior; ``of_prior`` is None at the top."""
        (mean, raw), (mean_shift, raw_shift) = (
            (0.0, 0.0) if part is None else part.split(self.latent, dim=1) for part in (of_prior, shift)
        )
        low, high = self.config.prior_log_std_range
        standard = torch.zeros_like(mean_shift), torch.ones_like(mean_shift)
        if self.config.faithful:
            prior = standard if of_prior is None else (
                self.bounded(mean, -5, 5), torch.exp(self.bounded(raw, low, high)) + 0.01
            )  # fmt: skip
            q_mean = self.bounded(mean + mean_shift, -5, 5)
            return *prior, q_mean, torch.exp(self.bounded(raw + raw_shift, -5, 5)) + 0.01
        prior = standard if of_prior is None else (mean, torch.exp(self.soft_clamped(raw, low, high)))
        return *prior, prior[0] + mean_shift, prior[1] * torch.exp(self.soft_clamped(raw_shift, -5, 5))

    def bound(self, x):
        e, g, kl, history = self.evidence(x), self.width + self.keys, [], []
        for i in range(self.layers):
            name, last = f"layers.{i}", i == self.layers - 1
            if i == 0:
                context = self.weights["top.constant"].expand(len(x), -1, -1, -1)
            else:
                joined = self.join(f"{name}.transition.join", new_context, z)
                context = self.cell(f"{name}.transition.cell", joined)
            new_context, key = context[:, :g], context[:, g : g + (0 if last else self.keys)]
            query = context[:, g + key.shape[1] :]
            condition = None if i == 0 else self.prior_condition(i, new_context, query, history)
            h = self.posterior_features(i, new_context, condition, e)
            if i == 0:
                shift = self.convolve(f"{name}.posterior.3", F.elu(self.convolve(f"{name}.posterior.1", F.elu(h))))
                of_prior = None
            else:
                shift = self.convolve(f"{name}.posterior", h)
                of_prior = self.convolve(f"{name}.prior.1", F.elu(condition))
            p_mean, p_std, q_mean, q_std = self.gaussians(of_prior, shift)
            q, p = torch.distributions.Normal(q_mean, q_std), torch.distributions.Normal(p_mean, p_std)
            kl.append(torch.distributions.kl_divergence(q, p).sum(dim=(1, 2, 3)))
            z = q_mean
            history.append(torch.cat((new_context, key), dim=1))
        features = self.cell("readout.cell", self.join("readout.join", new_context, z))
        return self.log_likelihood(x, features), torch.stack(kl, dim=1)

    def log_likelihood(self, x, features):
        name = next(key for key in self.weights if key.startswith("head.") and key.endswith("direction"))
        params = self.convolve(name.removesuffix(".direction"), F.elu(features))[:, :, 2:-2, 2:-2]
        k = self.config.mixtures
        logits, x = params[:, :k], 2 * x.double() / 255 - 1
        means, log_scales, raw = params[:, k:].reshape(len(x), 3, 3, k, 4, 4).unbind(dim=2)
        c = torch.tanh(raw)
        r, green, b = x[:, :, None].unbind(dim=1)
        centres = [means[:, 0], means[:, 1] + c[:, 0] * r, means[:, 2] + c[:, 1] * r + c[:, 2] * green]
        upper_edge, log_p = (0.99 if self.config.faithful else 0.999), torch.log_softmax(logits, dim=1)
        for channel, (value, centre) in enumerate(zip((r, green, b), centres, strict=True)):
            inverse = torch.exp(-log_scales[:, channel].clamp(min=-7))
            above, below = (torch.sigmoid((value + side / 255 - centre) * inverse) for side in (1, -1))
            above, below = torch.where(value > upper_edge, 1.0, above), torch.where(value < -0.999, 0.0, below)
            log_p = log_p + torch.log(above - below)
        return torch.logsumexp(log_p, dim=1).sum(dim=(1, 2))
