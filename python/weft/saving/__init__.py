"""Files that hold weights or models and cannot execute code: the safetensors format."""

from weft import _names
from weft.saving.models import load_model, save_model
from weft.saving.safetensors import load_file, read_header, save_file

__all__ = ["load_file", "load_model", "read_header", "save_file", "save_model"]


_names.explain_missing(__name__)
