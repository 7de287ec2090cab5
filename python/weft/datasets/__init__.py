"""Small data sets for courses: `mnist` (inside the package) and `fashion_mnist` (downloaded once).

`read_idx` reads files of the format that both were published in.
"""

from weft import _names
from weft.datasets import fashion_mnist, mnist
from weft.datasets.idx import read_idx

__all__ = ["fashion_mnist", "mnist", "read_idx"]


_names.explain_missing(__name__)
