"""Python's operators for tensors and variables: each is a function of `weft.ops`."""

from __future__ import annotations

from typing import Any


class Operators:
    """Operators of tensors and variables, all of them functions of `weft.ops`."""

    def _op(self, name: str, *operands: Any) -> Any:
        from weft import ops  # ops is built on this module

        return getattr(ops, name)(*operands)

    def __add__(self, other: Any) -> Any:
        return self._op("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self._op("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self._op("subtract", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._op("subtract", other, self)

    def __mul__(self, other: Any) -> Any:
        return self._op("multiply", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._op("multiply", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._op("divide", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._op("divide", other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self._op("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._op("floor_divide", other, self)

    def __mod__(self, other: Any) -> Any:
        return self._op("mod", self, other)

    def __rmod__(self, other: Any) -> Any:
        return self._op("mod", other, self)

    def __pow__(self, other: Any) -> Any:
        return self._op("power", self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._op("power", other, self)

    def __matmul__(self, other: Any) -> Any:
        return self._op("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self._op("matmul", other, self)

    def __neg__(self) -> Any:
        return self._op("negative", self)

    def __abs__(self) -> Any:
        return self._op("abs", self)

    def __lt__(self, other: Any) -> Any:
        return self._op("less", self, other)

    def __le__(self, other: Any) -> Any:
        return self._op("less_equal", self, other)

    def __gt__(self, other: Any) -> Any:
        return self._op("greater", self, other)

    def __ge__(self, other: Any) -> Any:
        return self._op("greater_equal", self, other)

    def __getitem__(self, key: Any) -> Any:
        return self._op("getitem", self, key)
