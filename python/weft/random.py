"""`tf.random`, as far as programs use it to make runs repeatable."""

from weft import _names
from weft.utils.seed import set_random_seed

__all__ = ["set_random_seed", "set_seed"]

set_seed = set_random_seed


_names.explain_missing(__name__)
