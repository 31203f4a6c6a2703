"""Reference library of a course on deep latent-variable models, from KL divergence to the Deep Attentive VAE.

Importing the package loads nothing else: take what you need from its modules, lowest floor first
(``components``, ``divergences``, ``gaussians``, ``likelihoods``, ``objectives``, ``meanfield``, ``nn``, ``models``,
``training``, ``evaluation``).
"""

__version__ = "0.1.0"
