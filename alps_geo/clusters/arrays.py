"""Plain arrays in the bytes of an .npz file, read without unpickling anything."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def to_npz(arrays: Mapping[str, Any]) -> bytes:
    """Serialise arrays as an .npz."""
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def plain_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Read the arrays of an .npz by their names.

    Raises
    ------
    Exception
        One of `alps_geo.files.ARRAYS_DAMAGE`, if the data holds anything else.
    """
    stored = np.load(BytesIO(data), allow_pickle=False)
    if not isinstance(stored, NpzFile):
        raise BadZipFile("a single array")
    with stored:
        arrays = {name: stored[name] for name in stored.files}
    if foreign := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise BadZipFile(f"{foreign[0]} is no array")
    return arrays


def damage(error: Exception) -> str:
    """Return the reason of an error of `plain_arrays` for users."""
    # numpy would advise to load the file unsafely.
    return "no file of plain arrays" if "pickle" in str(error) else str(error)


def texts(array: NDArray[Any]) -> tuple[str, ...]:
    """Return an array of texts as a tuple; raise ValueError if it has other dimensions than one."""
    if array.ndim != 1:
        raise ValueError(f"an array of texts has {array.ndim} dimensions, expected 1")
    return tuple(map(str, array.tolist()))


def numbers(array: NDArray[Any], dtype: type[np.number[Any]]) -> NDArray[Any]:
    """Return an array as one of a type that holds its numbers; raise ValueError for others."""
    if not np.can_cast(array.dtype, dtype):
        raise ValueError(f"an array is of {array.dtype}, expected {np.dtype(dtype)}")
    return array.astype(dtype, copy=False)
