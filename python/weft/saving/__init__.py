"""Files that hold weights and cannot execute code: the safetensors format."""

from weft.saving.safetensors import load_file, read_header, save_file

__all__ = ["load_file", "read_header", "save_file"]
