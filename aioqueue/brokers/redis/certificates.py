"""The files that a broker's URL names for TLS: found and read when the app connects, not for each connection anew."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aioqueue.exceptions import ConfigurationError
from aioqueue.url import masked

_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def check_files(url: str, options: Mapping[str, Any]) -> None:
    """Whether each is there, and holds what it should.

    Args:
        url: where they are named.
        options: what it says, for redis-py.

    Raises:
        ConfigurationError: one of them does not.
    """
    for option in _FILES:
        if (file := options.get(option)) is not None and not Path(file).is_file():
            raise ConfigurationError(f"{option}={file} in the broker's URL {masked(url)} is no file.")
    if (folder := options.get("ssl_ca_path")) is not None and not Path(folder).is_dir():
        raise ConfigurationError(f"ssl_ca_path={folder} in the broker's URL {masked(url)} is no folder.")
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ConfigurationError(f"The broker's URL {masked(url)} has an ssl_keyfile without its ssl_certfile.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    option = "ssl_certfile"
    try:
        if certificate := options.get("ssl_certfile"):
            # Without a password given, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(certificate, options.get("ssl_keyfile"), options.get("ssl_password", ""))
        option = "ssl_ca_certs"
        if authorities := options.get("ssl_ca_certs"):
            context.load_verify_locations(cafile=authorities)
        option = "ssl_ca_data"
        if authorities := options.get("ssl_ca_data"):
            context.load_verify_locations(cadata=authorities)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise ConfigurationError(
            f"What the option {option} in the broker's URL {masked(url)} names cannot be used: {error}."
        ) from None
