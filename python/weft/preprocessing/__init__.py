"""Where older programs look for what `weft.utils` does, as in Keras."""

from weft import _names
from weft.preprocessing import sequence

__all__ = ["sequence"]


_names.explain_missing(__name__)
