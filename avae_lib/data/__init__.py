"""Image data sets as uint8 tensors, and batches of them on the device where the model is."""

from avae_lib.data.batch_sampler import BatchSampler
from avae_lib.data.binarization import Binarization, binarize
from avae_lib.data.data_config import DataConfig
from avae_lib.data.image_dataset import DatasetError, ImageDataset
from avae_lib.data.loading import EMBEDDED, NAMES, load
from avae_lib.data.recorded_results import learner_curves, recorded, recorded_faces

__all__ = [
    "EMBEDDED",
    "NAMES",
    "BatchSampler",
    "Binarization",
    "DataConfig",
    "DatasetError",
    "ImageDataset",
    "binarize",
    "learner_curves",
    "load",
    "recorded",
    "recorded_faces",
]
