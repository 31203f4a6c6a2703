"""The reference library of a course on deep latent-variable models, from KL divergence to the Deep Attentive VAE.

A module imports only from modules below it. From the bottom up:

* `avae_lib.components` marks the functions that students write and replaces them by the students' own.
* `avae_lib.divergences`, `avae_lib.gaussians`, `avae_lib.likelihoods` and `avae_lib.objectives` are the formulas:
  functions of tensors that return nats. `avae_lib.meanfield` is variational inference without networks.
* `avae_lib.nn` holds layers, and `avae_lib.models` the models built from them, each with a configuration.
  `avae_lib.latent_paths` decodes the way from one image to another, and along single latents.
* `avae_lib.data` loads data sets, `avae_lib.evaluation` measures models, `avae_lib.plotting` draws figures;
  `avae_lib.compression` and `avae_lib.restoration` code and restore images.
* `avae_lib.training` trains a model, `avae_lib.presets` names complete experiments, and `avae_lib.sweeps` trains one
  run for each combination of settings.
* `avae_lib.report` writes a page on a run, `avae_lib.checking` checks a student's functions at home,
  `avae_lib.capstone` measures the final project, `avae_lib.cli` is the program `avae`, and `avae_lib.commands` what it
  can do.

Load digits, train a VAE in a run folder, estimate log p(x) of the test images, and draw new ones:

>>> import tempfile, avae_lib as avae
>>> data = avae.DataConfig("digits", binarize="threshold", validation=150)
>>> digits = data.load()
>>> vae = avae.VAEConfig(image_shape=digits.image_shape, latent_dim=8)
>>> experiment = avae.Experiment("my-first-vae", "an example", data, vae, avae.TrainingConfig(steps=100))
>>> with tempfile.TemporaryDirectory() as run:
...     trained = avae.train_run(experiment, run)
training in ...
>>> nats = avae.image_log_likelihoods(trained.model, digits.pixels("test"), samples=64)
>>> -40 < nats.mean() < -20  # a coin for each pixel gives -44.4
tensor(True)
>>> trained.model.sample(16).shape
torch.Size([16, 1, 8, 8])

These names are at the top; importing the package itself loads none of its modules.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avae_lib.data import (
        DataConfig as DataConfig,
        DatasetError as DatasetError,
        ImageDataset as ImageDataset,
        load as load,
    )
    from avae_lib.errors import InvalidInput as InvalidInput, UserError as UserError
    from avae_lib.evaluation import (
        Evaluation as Evaluation,
        evaluate as evaluate,
        image_log_likelihoods as image_log_likelihoods,
        terms_of_bound as terms_of_bound,
    )
    from avae_lib.gaussians import DiagonalGaussian as DiagonalGaussian
    from avae_lib.latent_paths import interpolate as interpolate, traverse as traverse
    from avae_lib.models.attentive import AttentiveConfig as AttentiveConfig
    from avae_lib.models.beta_tcvae import BetaTCVAEConfig as BetaTCVAEConfig
    from avae_lib.models.beta_vae import BetaVAEConfig as BetaVAEConfig
    from avae_lib.models.biva import BIVAConfig as BIVAConfig
    from avae_lib.models.conditional_vae import ConditionalVAEConfig as ConditionalVAEConfig
    from avae_lib.models.contract import (
        Inference as Inference,
        LatentVariableModel as LatentVariableModel,
        NoDensity as NoDensity,
    )
    from avae_lib.models.flow_vae import FlowVAEConfig as FlowVAEConfig
    from avae_lib.models.info_vae import InfoVAEConfig as InfoVAEConfig
    from avae_lib.models.inverse_lipschitz_vae import InverseLipschitzVAEConfig as InverseLipschitzVAEConfig
    from avae_lib.models.iwae import IWAEConfig as IWAEConfig
    from avae_lib.models.ladder import LadderConfig as LadderConfig
    from avae_lib.models.nvae import NVAEConfig as NVAEConfig
    from avae_lib.models.text_vae import TextVAEConfig as TextVAEConfig
    from avae_lib.models.vae import VAEConfig as VAEConfig
    from avae_lib.models.vampprior import VampPriorVAEConfig as VampPriorVAEConfig
    from avae_lib.models.vdvae import VDVAEConfig as VDVAEConfig
    from avae_lib.models.vq_vae import VQVAEConfig as VQVAEConfig
    from avae_lib.models.vq_vae_2 import VQVAE2Config as VQVAE2Config
    from avae_lib.models.wasserstein_ae import WassersteinAEConfig as WassersteinAEConfig
    from avae_lib.objectives import ELBO as ELBO
    from avae_lib.presets import (
        PRESETS as PRESETS,
        UnknownPreset as UnknownPreset,
        find_preset as find_preset,
        register as register,
    )
    from avae_lib.presets.derivation import derive as derive
    from avae_lib.report import (
        compare_runs as compare_runs,
        write_report as write_report,
    )
    from avae_lib.training.experiment import (
        ConfigError as ConfigError,
        Experiment as Experiment,
        ModelConfig as ModelConfig,
    )
    from avae_lib.training.fit import TrainedModel as TrainedModel, fit as fit
    from avae_lib.training.memory import expected_memory_of as expected_memory_of
    from avae_lib.training.memory_plan import plan_memory as plan_memory
    from avae_lib.training.metrics import CallbackFailed as CallbackFailed
    from avae_lib.training.runs import (
        RunError as RunError,
        load_run as load_run,
        read_experiment as read_experiment,
        train_run as train_run,
        write_run as write_run,
    )
    from avae_lib.training.starting_weights import StartingWeights as StartingWeights
    from avae_lib.training.training_config import (
        KLWeightConfig as KLWeightConfig,
        LearningRateConfig as LearningRateConfig,
        LoggingConfig as LoggingConfig,
        OptimizerConfig as OptimizerConfig,
        PenaltiesConfig as PenaltiesConfig,
        SkippingConfig as SkippingConfig,
        TrainingConfig as TrainingConfig,
    )

__version__ = "0.1.0"

_NAMES = {
    "avae_lib.data": (
        "DataConfig",
        "DatasetError",
        "ImageDataset",
        "load",
    ),
    "avae_lib.errors": (
        "InvalidInput",
        "UserError",
    ),
    "avae_lib.evaluation": (
        "Evaluation",
        "evaluate",
        "image_log_likelihoods",
        "terms_of_bound",
    ),
    "avae_lib.gaussians": ("DiagonalGaussian",),
    "avae_lib.latent_paths": (
        "interpolate",
        "traverse",
    ),
    "avae_lib.models.attentive": ("AttentiveConfig",),
    "avae_lib.models.beta_tcvae": ("BetaTCVAEConfig",),
    "avae_lib.models.beta_vae": ("BetaVAEConfig",),
    "avae_lib.models.biva": ("BIVAConfig",),
    "avae_lib.models.conditional_vae": ("ConditionalVAEConfig",),
    "avae_lib.models.contract": (
        "Inference",
        "LatentVariableModel",
        "NoDensity",
    ),
    "avae_lib.models.flow_vae": ("FlowVAEConfig",),
    "avae_lib.models.info_vae": ("InfoVAEConfig",),
    "avae_lib.models.inverse_lipschitz_vae": ("InverseLipschitzVAEConfig",),
    "avae_lib.models.iwae": ("IWAEConfig",),
    "avae_lib.models.ladder": ("LadderConfig",),
    "avae_lib.models.nvae": ("NVAEConfig",),
    "avae_lib.models.text_vae": ("TextVAEConfig",),
    "avae_lib.models.vae": ("VAEConfig",),
    "avae_lib.models.vampprior": ("VampPriorVAEConfig",),
    "avae_lib.models.vdvae": ("VDVAEConfig",),
    "avae_lib.models.vq_vae": ("VQVAEConfig",),
    "avae_lib.models.vq_vae_2": ("VQVAE2Config",),
    "avae_lib.models.wasserstein_ae": ("WassersteinAEConfig",),
    "avae_lib.objectives": ("ELBO",),
    "avae_lib.presets": (
        "PRESETS",
        "UnknownPreset",
        "find_preset",
        "register",
    ),
    "avae_lib.presets.derivation": ("derive",),
    "avae_lib.report": (
        "compare_runs",
        "write_report",
    ),
    "avae_lib.training.experiment": (
        "ConfigError",
        "Experiment",
        "ModelConfig",
    ),
    "avae_lib.training.fit": (
        "TrainedModel",
        "fit",
    ),
    "avae_lib.training.memory": ("expected_memory_of",),
    "avae_lib.training.memory_plan": ("plan_memory",),
    "avae_lib.training.metrics": ("CallbackFailed",),
    "avae_lib.training.runs": (
        "RunError",
        "load_run",
        "read_experiment",
        "train_run",
        "write_run",
    ),
    "avae_lib.training.starting_weights": ("StartingWeights",),
    "avae_lib.training.training_config": (
        "KLWeightConfig",
        "LearningRateConfig",
        "LoggingConfig",
        "OptimizerConfig",
        "PenaltiesConfig",
        "SkippingConfig",
        "TrainingConfig",
    ),
}
"""What is imported above for static checkers, and below when it is first used."""
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


if not TYPE_CHECKING:  # with it, static checkers would accept any name

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_MODULES[name]), name)
        globals()[name] = value  # found directly from now on
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
