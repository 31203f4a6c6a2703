"""Images as uint8 tensors, sentences as tokens, and batches of them on the device where the model is."""

from avae_lib.data.batch_sampler import BatchSampler
from avae_lib.data.binarization import Binarization, binarize
from avae_lib.data.data_config import DataConfig
from avae_lib.data.experiment_records import experiment_record
from avae_lib.data.image_dataset import DatasetError, ImageDataset
from avae_lib.data.loading import EMBEDDED, NAMES, Dataset, load, published_training_images, split_to_look_at
from avae_lib.data.recorded_models import keep_model, recorded_model, recorded_model_facts, recorded_model_names
from avae_lib.data.recorded_results import last_bits_per_dim, learner_curves, recorded, recorded_faces

__all__ = [
    "EMBEDDED",
    "NAMES",
    "BatchSampler",
    "Binarization",
    "DataConfig",
    "Dataset",
    "DatasetError",
    "ImageDataset",
    "binarize",
    "experiment_record",
    "keep_model",
    "last_bits_per_dim",
    "learner_curves",
    "load",
    "published_training_images",
    "recorded",
    "recorded_faces",
    "recorded_model",
    "recorded_model_facts",
    "recorded_model_names",
    "split_to_look_at",
]
