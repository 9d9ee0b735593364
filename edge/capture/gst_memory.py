"""GStreamer's buffers as arrays without a copy: PyGObject hands their bytes out only as copies."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_READ = 1  # GST_MAP_READ


class _MapInfo(ctypes.Structure):
    """GstMapInfo of GStreamer 1.x."""

    _fields_ = (
        ("memory", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("maxsize", ctypes.c_size_t),
        ("user_data", ctypes.c_void_p * 4),
        ("reserved", ctypes.c_void_p * 4),
    )


@cache
def _gst() -> ctypes.CDLL:
    """The library that the process has loaded already."""
    library = ctypes.CDLL("libgstreamer-1.0.so.0")
    library.gst_buffer_map.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
    library.gst_buffer_map.restype = ctypes.c_int
    library.gst_buffer_unmap.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    library.gst_buffer_unmap.restype = None
    return library


class _Mapped:
    """A mapped buffer; it is unmapped, and goes back to its pool, when the last array over it is gone."""

    def __init__(self, buffer: Any, shape: tuple[int, ...], offset: int, strides: tuple[int, ...]) -> None:
        self._buffer = buffer
        self._info = _MapInfo()
        self._address = 0
        address = hash(buffer)  # of a boxed value: where it is
        if f"at {address:#x}" not in repr(buffer):
            raise LookupError("PyGObject does not tell where a buffer is")
        if not _gst().gst_buffer_map(address, ctypes.byref(self._info), _READ):
            raise ValueError("it cannot be mapped into memory")
        self._address = address
        needed = offset + sum((length - 1) * step for length, step in zip(shape, strides, strict=True)) + 1
        if needed > self._info.size:
            raise ValueError(f"it has {self._info.size} bytes, too few for a {shape} picture")
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "shape": shape,
            "strides": strides,
            "data": (self._info.data + offset, True),
        }

    def __del__(self) -> None:
        if self._address:
            _gst().gst_buffer_unmap(self._address, ctypes.byref(self._info))


def picture(buffer: Any, shape: tuple[int, ...], offset: int, strides: tuple[int, ...]) -> tuple[Image, int]:
    """The bytes of a Gst.Buffer as a read-only array, and how often they were copied for that: 0, or 1 where the buffer
    lies in several pieces. Raises ValueError when it is too small or cannot be mapped."""
    try:
        mapped = _Mapped(buffer, shape, offset, strides)
    except LookupError:
        data = buffer.extract_dup(0, buffer.get_size())
        return np.ndarray(shape, np.uint8, data, offset, strides), 1
    image: Image = np.asarray(mapped)
    return image, int(buffer.n_memory() > 1)
