"""Images out of the pickles that CIFAR and the down-sampled ImageNet come as.

Data files are foreign: nothing but lists, dicts, text, numbers and our own records of arrays is made from them. Not
even numpy's own classes: a pickle may change the state of a dtype, and with it what numpy takes for a pointer.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairnad.errors import DatasetError
from fairnad.training.datasets import Split

__all__ = ["BatchForm", "read_batch"]


@dataclass(frozen=True, slots=True)
class BatchForm:
    """What a batch must hold: square images of `size` pixels, and under `labels_key` labels of `num_classes`."""

    size: int
    labels_key: str
    num_classes: int
    first_label: int = 0


def read_batch(data: bytes, place: str, form: BatchForm) -> Split:
    """Return the images and labels, from 0, of one batch file; `place` names it in errors.

    A row holds the red plane, then green and blue, each row by row.

    Raises:
        DatasetError: it is cut short, refused, or of another form.
    """
    batch = _unpickle(data, place)
    if not isinstance(batch, dict) or not {"data", form.labels_key} <= batch.keys():
        raise DatasetError(f"{place}: expected a dict with 'data' and {form.labels_key!r}; get the published file")
    images, row = _array(batch["data"], place), 3 * form.size**2
    if images is None or images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != row:
        found = "no array" if images is None else f"{images.dtype} {images.shape}"
        expected = f"uint8 (N, {row}): {form.size} x {form.size} pixels in 3 channels"
        raise DatasetError(f"{place}: images are {found}, expected {expected}; get the published file")
    return Split(images.reshape(-1, 3, form.size, form.size), _labels(batch[form.labels_key], len(images), place, form))


def _labels(given: object, num: int, place: str, form: BatchForm) -> NDArray[np.int64]:
    is_list = isinstance(given, list) and all(type(label) is int and abs(label) < _MANY for label in given)
    labels = np.array(given, dtype=np.int64) if is_list else _array(given, place)
    if labels is None or labels.dtype.kind not in "iu" or labels.shape != (num,):
        raise DatasetError(f"{place}: {form.labels_key!r} must be {num} whole numbers; get the published file")
    low, high = form.first_label, form.first_label + form.num_classes - 1
    if (outside := np.flatnonzero((labels < low) | (labels > high))).size:
        first = int(outside[0])
        raise DatasetError(
            f"{place}: the label of image {first} is {labels[first]}, expected {low}..{high}; get the published file"
        )
    return labels.astype(np.int64) - form.first_label


def _unpickle(data: bytes, place: str) -> object:
    try:
        # latin1: what Python 2 wrote as text may be the bytes of an array
        return _RecordsOnly(io.BytesIO(data), encoding="latin1").load()
    except _BROKEN as error:
        raise _broken(place, error) from error


def _array(record: object, place: str) -> NDArray[Any] | None:
    """Return the array that was recorded, or None if it is none."""
    if not isinstance(record, _ArrayRecord):
        return None
    try:
        return record.array()
    except _BROKEN as error:
        raise _broken(place, error) from error


def _broken(place: str, error: Exception) -> DatasetError:
    return DatasetError(f"{place} cannot be read ({error}): it is cut short or no data file; get it again")


class _DtypeRecord:
    def __init__(self, name: str, *_: object) -> None:
        if name not in _NUMBERS:
            raise pickle.UnpicklingError(f"it holds elements of type {name!r}, expected numbers")
        self._name, self._order = name, "|"

    def __setstate__(self, state: tuple[int, str]) -> None:
        self._order = {">": ">"}.get(state[1], "<")

    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self._order + self._name)


class _ArrayRecord:
    """What a pickle tells of an array."""

    def __init__(self, *_: object) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._state = state

    def array(self) -> NDArray[Any]:
        _, shape, record, is_fortran, data = self._state
        flat: NDArray[Any] = np.frombuffer(_bytes(data), record.dtype())
        return flat.reshape(shape, order="F" if is_fortran else "C")


def _from_buffer(data: bytes, record: _DtypeRecord, shape: tuple[int, ...], order: str) -> _ArrayRecord:
    array = _ArrayRecord()
    array.__setstate__((1, shape, record, order == "F", data))
    return array


def _scalar(record: _DtypeRecord, data: str | bytes) -> object:
    return np.frombuffer(_bytes(data), record.dtype())[0].item()


def _bytes(data: str | bytes) -> bytes:
    return data.encode("latin1") if isinstance(data, str) else data


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Do what `_codecs.encode` is named for in pickles: how Python 3 writes bytes in the old protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it names the encoding {encoding!r}")
    return text.encode("latin1")


class _RecordsOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - a class, a function or a word
        found = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is refused")
        return found


_MANY = 2**31
_NUMBERS = frozenset(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"))
_STAND_INS: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _DtypeRecord,
    ("numpy.core.multiarray", "_reconstruct"): _ArrayRecord,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
}
# What damaged pickles raise, by the documentation of `pickle` and by trial.
_BROKEN = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)
