"""Files that hold weights and cannot execute code: the safetensors format."""

from weft import _names
from weft.saving.safetensors import load_file, read_header, save_file

__all__ = ["load_file", "read_header", "save_file"]


_names.explain_missing(__name__)
