"""What the docstrings of networks ask of their arguments is checked, with a message that names the argument."""

import pytest
import torch

from avae_lib.models.beta_tcvae import log_batch_weights
from avae_lib.nn.contexts import ChannelSplit, ContextSplit, JointNorm
from avae_lib.nn.convolutions import WeightNormConvolution, convolution
from avae_lib.nn.inverse_autoregressive import AutoregressiveConvolution, autoregressive_mask
from avae_lib.nn.nvae_cells import decoder_cell, encoder_cell, normalised_convolution
from avae_lib.nn.residual_cells import resized_channels
from avae_lib.nn.residual_posteriors import bounded_log_std, published_bound
from avae_lib.nn.vector_quantization import Codebook

REFUSED = {
    "even kernel of a convolution": (lambda: convolution(2, 2, kernel_size=4), "kernel_size must be odd"),
    "even kernel with weight norm": (lambda: WeightNormConvolution(2, 2, kernel_size=2), "kernel_size must be odd"),
    "even kernel of NVAE": (lambda: normalised_convolution(2, 2, kernel_size=4), "kernel_size must be odd"),
    "stride of 3": (lambda: WeightNormConvolution(2, 2, stride=3), "stride must be 1 or 2"),
    "odd height with a stride of 2": (
        lambda: WeightNormConvolution(1, 1, stride=2)(torch.zeros(1, 1, 3, 4)),
        "divisible by the stride 2, got 3 × 4",
    ),
    "even autoregressive kernel": (lambda: autoregressive_mask(2, 2, 4, 1, 2, strict=True), "kernel_size must be odd"),
    "groups between one and all": (lambda: autoregressive_mask(4, 4, 3, 2, 2, strict=True), "groups must be 1, or one"),
    "depthwise with more outputs": (
        lambda: AutoregressiveConvolution(2, 4, 3, variables=2, strict=True, groups=2),
        "2 groups, 2 inputs and 4 outputs",
    ),
    "channels that cannot be shared": (
        lambda: autoregressive_mask(3, 2, 3, 1, 2, strict=True),
        "multiple of the number",
    ),
    "an encoder that doubles": (lambda: encoder_cell(4, 4, "double"), "resize must be keep or halve"),
    "a decoder that halves": (lambda: decoder_cell(4, 4, "halve"), "resize must be keep or double"),
    "a kept size with other channels": (lambda: encoder_cell(4, 8), "channels must stay the same"),
    "odd channels to be halved": (lambda: resized_channels(3, "double"), "channels must be even"),
    "a range without 0": (lambda: bounded_log_std(torch.zeros(1), (1.0, 2.0)), "log_std_range must be"),
    "a range upside down": (lambda: published_bound(torch.zeros(1), 2.0, -1.0), "low must be below high"),
    "an unknown estimator": (lambda: Codebook(2, 1, estimator="rotated"), "estimator must be one of"),
    "an unknown update": (lambda: Codebook(2, 1, update="average"), "update must be one of"),
    "more evidence queries than channels": (lambda: ChannelSplit(value=2, evidence_query=3), "at most value = 2"),
    "a context without a key": (
        lambda: JointNorm(2)(ContextSplit(torch.zeros(1, 2, 1, 1))),
        "needs a context with a key",
    ),
    "unknown weights of a batch": (lambda: log_batch_weights(2, 10, "even"), "estimator must be one of"),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_docstring_excludes_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
