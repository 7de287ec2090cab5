"""`pad_sequences` under the name that older programs import it by."""

from weft import _names
from weft.utils.sequences import pad_sequences

__all__ = ["pad_sequences"]


_names.explain_missing(__name__)
