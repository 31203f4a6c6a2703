"""The reference library of a course on deep latent-variable models, from KL divergence to the Deep Attentive VAE.

A module imports only from modules below it. From the bottom up:

* `avae_lib.components` marks the functions that students write and replaces them by the students' own.
* `avae_lib.divergences`, `avae_lib.gaussians`, `avae_lib.likelihoods` and `avae_lib.objectives` are the formulas:
  functions of tensors that return nats. `avae_lib.meanfield` is variational inference without networks.
* `avae_lib.nn` holds layers, and `avae_lib.models` the models built from them, each with a configuration.
* `avae_lib.data` loads data sets, `avae_lib.evaluation` measures models, `avae_lib.plotting` draws figures;
  `avae_lib.compression` and `avae_lib.restoration` code and restore images.
* `avae_lib.training` trains a model, and `avae_lib.presets` names complete experiments.
* `avae_lib.report` writes a page on a run, `avae_lib.checking` checks a student's functions at home,
  `avae_lib.capstone` measures the final project, and `avae_lib.cli` is the program `avae`.

A VAE on 8×8 digits, before any training:

>>> from avae_lib import data
>>> from avae_lib.models.vae import VAEConfig
>>> digits = data.DataConfig("digits", binarize="threshold").load()
>>> model = VAEConfig(image_shape=digits.image_shape, latent_dim=8).build()
>>> terms = model(digits.pixels("test"))
>>> terms.bound.shape, terms.kl.shape
(torch.Size([297]), torch.Size([297, 1]))

Importing the package itself loads none of its modules.
"""

__version__ = "0.1.0"
