"""Compression of payloads, and decompression that can't be made to fill the memory."""

from __future__ import annotations

import zlib
from importlib import import_module
from typing import Any, Final

from aioqueue.exceptions import ConfigurationError, PayloadError, PayloadTooLarge, suggest

MIN_SIZE: Final = 1024
"""Smaller payloads are sent as they are: there is little to gain."""

_ZLIB_LEVEL: Final = 1
_ZSTD_LEVEL: Final = 3
_ZSTD_WINDOW: Final = 1 << 24  # 16 MiB; level 3 uses 2
_MISSING: Final = "zstd compression needs the package zstandard: pip install 'aioqueue[zstd]'"


def compress(data: bytes, method: str) -> bytes | None:
    """`data` compressed, or None where that isn't worth it.

    Raises:
        ConfigurationError: the method is unknown or not installed.
    """
    if method == "zlib":
        smaller = zlib.compress(data, _ZLIB_LEVEL) if len(data) >= MIN_SIZE else data
    elif method == "zstd":
        # Looked up for small data too: a missing package should be seen at the first task, not at the first long one.
        smaller = _zstd_compress(data)
    else:
        hint = suggest(method, ("zlib", "zstd"))
        raise ConfigurationError(f"compression={method!r} is unknown: use 'zlib', 'zstd' or None.{hint}")
    return smaller if len(smaller) < len(data) else None


def decompress(data: bytes, method: str, *, max_size: int) -> bytes:
    """The data as it was before `compress`, which is at most `max_size` bytes or is not built.

    Raises:
        PayloadTooLarge: it would be larger.
        PayloadError: it is malformed, truncated or followed by something.
    """
    return _zlib_decompress(data, max_size) if method == "zlib" else _zstd_decompress(data, max_size)


def too_large(max_size: int) -> PayloadTooLarge:
    """The error for data that grows beyond the limit."""
    return PayloadTooLarge(f"the payload decompresses to more than max_payload_size={max_size:,} bytes")


def _zlib_decompress(data: bytes, max_size: int) -> bytes:
    return _bounded(zlib.decompressobj(), data, max_size)


def _bounded(stream: Any, data: bytes, max_size: int) -> bytes:
    plain: bytes = stream.decompress(data, max_size + 1)
    if len(plain) > max_size:
        raise too_large(max_size)
    if not stream.eof:
        raise PayloadError("the compressed payload is truncated")
    if stream.unused_data:
        raise PayloadError("bytes follow the compressed payload")
    return plain


def _zstd_module() -> tuple[Any, bool] | None:
    """The module, and whether it is the standard library's (3.14)."""
    for name in ("compression.zstd", "zstandard"):
        try:
            return import_module(name), name == "compression.zstd"
        except ImportError:
            continue
    return None


def _zstd_compress(data: bytes) -> bytes:
    found = _zstd_module()
    if found is None:
        raise ConfigurationError(_MISSING)
    module, standard = found
    if len(data) < MIN_SIZE:
        return data
    if standard:
        return module.compress(data, _ZSTD_LEVEL)
    return module.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)


def _zstd_decompress(data: bytes, max_size: int) -> bytes:
    found = _zstd_module()
    if found is None:
        raise PayloadError(_MISSING)
    module, standard = found
    if standard:
        options = {module.DecompressionParameter.window_log_max: _ZSTD_WINDOW.bit_length() - 1}
        return _bounded(module.ZstdDecompressor(options=options), data, max_size)
    # zstandard trusts the size that the frame claims over max_output_size, and reads a frame without one as a
    # stream: so the claim is looked at first, and one without a claim (we never write it) is refused.
    claimed: int = module.frame_content_size(data)
    if claimed < 0:
        raise PayloadError("the compressed payload doesn't tell its size")
    if claimed > max_size:
        raise too_large(max_size)
    plain: bytes = module.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompress(
        data, max_output_size=claimed, allow_extra_data=False
    )
    if len(plain) != claimed:
        raise PayloadError("the compressed payload is truncated")
    return plain
