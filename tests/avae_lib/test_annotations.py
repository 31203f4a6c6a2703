"""The library keeps to its annotations: what has another shape or type than a signature says is refused in tests."""

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import typing

import annotation_checks
import jaxtyping
import pytest
import torch

import avae_lib
from avae_lib import components
from avae_lib.compression.reference_codecs import lossy_bits
from avae_lib.divergences.categorical import kl_categorical
from avae_lib.divergences.gaussian import kl_diagonal_gaussian
from avae_lib.divergences.maximum_mean_discrepancy import maximum_mean_discrepancy
from avae_lib.divergences.monte_carlo import kl_monte_carlo
from avae_lib.evaluation.out_of_distribution import area_under_roc
from avae_lib.evaluation.standard_errors import bits_per_dim
from avae_lib.gaussians import DiagonalGaussian, precision_weighted, reparameterize
from avae_lib.likelihoods.bernoulli import bernoulli_log_likelihood
from avae_lib.likelihoods.discretized_logistic import discretized_logistic_log_prob
from avae_lib.logarithms import log_mean_exp
from avae_lib.meanfield.ising import IsingModel
from avae_lib.models.vae import VAEConfig
from avae_lib.nn.convolutions import WeightNormConvolution
from avae_lib.nn.depthwise_attention import depthwise_attention
from avae_lib.nn.vector_quantization import Codebook
from avae_lib.objectives import ELBO, free_bits, importance_weighted_bound, negative_elbo
from avae_lib.training.skipped_updates import should_skip_update

TINY = VAEConfig(image_shape=(1, 4, 4), latent_dim=2, hidden_sizes=(4,))
TWO, THREE, WHOLE = torch.zeros(2), torch.zeros(3), torch.zeros(2, dtype=torch.int64)
MAPS, OTHER_MAPS = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 3, 3)

WRONG_CALLS = {
    "means of two sizes": lambda: kl_diagonal_gaussian(TWO, TWO, THREE, TWO),
    "whole numbers for means": lambda: kl_diagonal_gaussian(WHOLE, TWO, TWO, TWO),
    "outcomes of two sizes": lambda: kl_categorical(TWO, THREE),
    "samples of two widths": lambda: maximum_mean_discrepancy(torch.zeros(3, 2), torch.zeros(3, 4), TWO),
    "samples of two sizes": lambda: kl_monte_carlo(TWO, THREE, "k1"),
    "an estimator that is no text": lambda: kl_monte_carlo(TWO, TWO, 1),
    "noise of another size": lambda: reparameterize(TWO, TWO, THREE),
    "experts of two sizes": lambda: precision_weighted(TWO, TWO, THREE, THREE),
    "a Gaussian of two sizes": lambda: DiagonalGaussian(torch.zeros(2, 3), torch.zeros(2, 2)),
    "logits for other pixels": lambda: bernoulli_log_likelihood(torch.zeros(2, 3), torch.zeros(2, 4)),
    "bits in words": lambda: discretized_logistic_log_prob(TWO, TWO, TWO, bits="eight"),
    "a list for a tensor": lambda: log_mean_exp([0.0, 1.0], dim=0),
    "a KL without layers": lambda: negative_elbo(TWO, TWO),
    "a KL of other images": lambda: ELBO(TWO, torch.zeros(3, 1)),
    "weights without samples": lambda: importance_weighted_bound(TWO),
    "nats in words": lambda: free_bits(torch.zeros(2, 1), "2"),
    "fields of other spins": lambda: IsingModel(coupling=torch.zeros(2, 2), field=THREE),
    "keys of another size": lambda: depthwise_attention(MAPS, [OTHER_MAPS], [MAPS], 1.0),
    "maps without a batch": lambda: WeightNormConvolution(2, 2)(MAPS[0]),
    "codes that are no indices": lambda: Codebook(codes=2, dim=2).values(torch.zeros(1, 2, 2)),
    "pixels on another scale": lambda: TINY.build()(torch.zeros(1, 1, 4, 4)),
    "how many in words": lambda: TINY.build().sample("2"),
    "scores of pairs": lambda: area_under_roc(torch.zeros(2, 2), TWO),
    "dimensions in words": lambda: bits_per_dim(1.0, "64"),
    "a loss for each image": lambda: should_skip_update(TWO, torch.zeros(()), None),
    "images that are no bytes": lambda: lossy_bits(torch.zeros(1, 3, 8, 8), "JPEG", 50),
}


@pytest.mark.parametrize("call", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_a_call_against_the_annotations_is_refused(call):
    with pytest.raises(jaxtyping.TypeCheckError):
        call()


def test_a_result_against_the_annotation_is_refused():
    @jaxtyping.jaxtyped(typechecker=annotation_checks.checked)
    def doubled(x: jaxtyping.Float[torch.Tensor, "n"]) -> jaxtyping.Float[torch.Tensor, "n"]:
        return torch.cat([x, x])

    with pytest.raises(jaxtyping.TypeCheckError, match="return value"):
        doubled(TWO)


def test_functions_of_students_are_not_checked():
    with components.using("reparameterize", lambda mean, log_std, noise: "no tensor"):
        assert reparameterize(TWO, TWO, THREE) == "no tensor"


def test_expected_errors_are_those_of_users_who_have_no_checks():
    with pytest.raises(ValueError, match="last dimension"):
        kl_categorical(TWO, THREE)
    with pytest.raises(jaxtyping.TypeCheckError):
        kl_categorical(TWO, THREE)


def test_no_annotation_is_unknown_at_run_time():
    """One that cannot be evaluated is checked by nobody, unless its name is imported for static checkers alone."""
    assert list(_unknown_annotations()) == []


def _unknown_annotations():
    for found in pkgutil.walk_packages(avae_lib.__path__, "avae_lib."):
        if found.name != "avae_lib.__main__":
            module = importlib.import_module(found.name)
            static = _for_static_checkers(inspect.getsource(module))
            for function in _functions_of(module):
                try:
                    typing.get_type_hints(function)
                except NameError as error:
                    if error.name not in static:
                        yield f"{found.name}.{function.__qualname__}: {error}"


def _functions_of(module):
    own = [thing for thing in vars(module).values() if getattr(thing, "__module__", None) == module.__name__]
    methods = [
        method
        for thing in own
        if inspect.isclass(thing)
        for name, method in vars(thing).items()
        if not (name == "__init__" and dataclasses.is_dataclass(thing))  # made of annotations that are looked at anyway
    ]
    return [inspect.unwrap(thing) for thing in [*own, *methods] if inspect.isfunction(thing) or inspect.isclass(thing)]


def _for_static_checkers(source):
    blocks = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
    imports = [line for block in blocks if ast.unparse(block.test) == "TYPE_CHECKING" for line in block.body]
    return {alias.asname or alias.name for line in imports for alias in getattr(line, "names", ())}
