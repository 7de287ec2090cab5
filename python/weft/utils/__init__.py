"""Helpers of Keras's `keras.utils`: labels, normalisation, padding, seeds and the progress bar."""

from weft import _names
from weft.utils.numerical import normalize, to_categorical
from weft.utils.progbar import Progbar
from weft.utils.seed import set_random_seed
from weft.utils.sequences import pad_sequences

__all__ = ["Progbar", "normalize", "pad_sequences", "set_random_seed", "to_categorical"]


_names.explain_missing(__name__)
