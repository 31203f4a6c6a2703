"""Latent-variable models, each one file that meets the contract in ``contract.py``."""
