"""What a docstring asks of an argument is checked where that costs nothing: the call raises, and the message helps."""

from types import SimpleNamespace

import pytest
import torch

from avae_lib.compression.bits_back import BitsBack
from avae_lib.compression.reference_codecs import lossy_bits
from avae_lib.compression.rounded_latents import net_bits
from avae_lib.divergences.maximum_mean_discrepancy import maximum_mean_discrepancy
from avae_lib.divergences.monte_carlo import kl_monte_carlo
from avae_lib.evaluation.disentanglement import mutual_information_gap
from avae_lib.evaluation.out_of_distribution import area_under_curve
from avae_lib.evaluation.standard_errors import bits_per_dim
from avae_lib.likelihoods.discretized_logistic import discretized_logistic_log_prob
from avae_lib.likelihoods.requirements import numbers_per_component
from avae_lib.meanfield.annealed_importance_sampling import annealed_importance_sampling
from avae_lib.meanfield.belief_propagation import belief_propagation
from avae_lib.meanfield.bitmaps import bitmaps, one_of_each_digit
from avae_lib.meanfield.ising import IsingModel
from avae_lib.meanfield.lattice import denoising_lattice
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.nn.convolutions import WeightNormConvolution, convolution
from avae_lib.nn.depthwise_attention import depthwise_attention
from avae_lib.nn.gated_pixelcnn import GatedLayer, GatedPixelCNN
from avae_lib.nn.inverse_autoregressive import MaskedNetwork, autoregressive_mask
from avae_lib.restoration.degradations import CircularBlur, require_weight
from avae_lib.training.training_config import TrainingConfig
from avae_lib.training.wake_sleep_and_em import hamiltonian_step

ONE, MAPS = torch.zeros(1), torch.zeros(1, 2, 3, 3)
FREE_SPINS = IsingModel(coupling=torch.zeros(2, 2), field=torch.zeros(2))
COLOURS = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
BLANK = SimpleNamespace(name="blank", test=torch.zeros(10, 1, 8, 8, dtype=torch.uint8), test_labels=torch.arange(10))
VAE = VAEConfig(image_shape=(1, 4, 4), latent_dim=2, hidden_sizes=(4,))

PRECONDITIONS = [
    ("kernel_size must be odd", lambda: convolution(1, 1, kernel_size=4)),
    ("kernel_size must be odd", lambda: WeightNormConvolution(1, 1, kernel_size=2)),
    ("stride must be 1 or 2", lambda: WeightNormConvolution(1, 1, kernel_size=3, stride=3)),
    ("divisible by the stride", lambda: WeightNormConvolution(2, 2, kernel_size=3, stride=2)(MAPS)),
    ("kernel_size must be odd", lambda: autoregressive_mask(2, 2, 4, groups=1, variables=2, strict=True)),
    ("groups must be 1, or", lambda: autoregressive_mask(4, 4, 3, groups=2, variables=2, strict=False)),
    ("multiple of the number of variables", lambda: autoregressive_mask(3, 3, 3, groups=1, variables=2, strict=True)),
    ("width must be at least", lambda: MaskedNetwork(dim=3, width=2, context_dim=1)),
    ("odd and at least 3", lambda: GatedLayer(4, kernel_size=4, condition_channels=0, is_first=True)),
    ("odd and at least 3", lambda: GatedPixelCNN(codes=3, channels=4, layers=2, kernel_size=1)),
    ("at least one", lambda: depthwise_attention(MAPS, [], [], 1.0)),
    ("two odd sides", lambda: CircularBlur(torch.ones(2, 3), height=4, width=4)),
    ("fit into images", lambda: CircularBlur(torch.ones(3, 3), height=2, width=4)),
    ("at least one score", lambda: area_under_curve(ONE, torch.zeros(0))),
    ("num_dims must be", lambda: bits_per_dim(1.0, 0)),
    ("two units", lambda: mutual_information_gap(torch.rand(4, 1), torch.tensor([[0], [1], [0], [1]]))),
    ("quality must be 1 to 100", lambda: lossy_bits(COLOURS, "JPEG", quality=0)),
    ("codec must be", lambda: lossy_bits(COLOURS, "PNG", quality=50)),
    ("latent_bits must be", lambda: BitsBack(VAE.build(), latent_bits=0)),
    ("latent_bits must be", lambda: net_bits(VAE.build(), torch.zeros(1, 1, 4, 4, dtype=torch.uint8), latent_bits=31)),
    ("bits must be 1 to 8", lambda: discretized_logistic_log_prob(ONE, ONE, ONE, bits=9)),
    ("at least two samples", lambda: kl_monte_carlo(ONE, ONE, "k1")),
    ("at least", lambda: maximum_mean_discrepancy(torch.zeros(1, 2), torch.zeros(3, 2), torch.ones(1))),
    ("chains must be at least 2", lambda: annealed_importance_sampling(FREE_SPINS, 1, 5, torch.Generator())),
    ("temperatures must be at least 1", lambda: annealed_importance_sampling(FREE_SPINS, 2, 0, torch.Generator())),
    ("damping must be", lambda: belief_propagation(FREE_SPINS, damping=1.0)),
    ("ink must be", lambda: bitmaps(torch.rand(1, 1, 4, 4), side=8, ink=1.0)),
    ("side must be at least", lambda: bitmaps(torch.rand(1, 1, 4, 4), side=3)),
    ("flip_probability must be", lambda: denoising_lattice(torch.ones(2, 2), flip_probability=1.0, coupling=0.5)),
    ("leapfrogs must be", lambda: hamiltonian_step(lambda z: -z.sum(1), torch.zeros(2, 2), 0.1, leapfrogs=0)),
    ("n must be a whole number", lambda: VAE.build().sample(0)),
    ("temperature must be", lambda: VAE.build().sample(1, temperature=-1.0)),
    ("latent_dim", lambda: VAEConfig(image_shape=(1, 4, 4), latent_dim=0)),
    ("steps", lambda: TrainingConfig(steps=0)),
    ("weight must be above 0", lambda: require_weight(0.0)),
    ("no readable test image of the digit 0", lambda: one_of_each_digit(BLANK)),
    ("square", lambda: IsingModel(coupling=torch.zeros(2, 3), field=torch.zeros(2))),
    ("x must be a batch", lambda: VAE.build()(torch.zeros(0, 1, 4, 4, dtype=torch.uint8))),
    ("channels must be 1 .* or 3", lambda: numbers_per_component(2)),
    ("inference must be ladder or bottom_up", lambda: LadderConfig(inference="sideways")),
]


@pytest.mark.parametrize(("words", "call"), PRECONDITIONS, ids=[f"{n}: {p[0]}" for n, p in enumerate(PRECONDITIONS)])
def test_a_broken_precondition_is_refused_with_a_reason(words, call):
    with pytest.raises(ValueError, match=words):
        call()
