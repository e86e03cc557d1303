"""Import Ray, which is an extra, without what it prints and sends."""

from __future__ import annotations

import os
import warnings
from typing import Any

from actbench.errors import UsageError

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # its C++ code writes past sys.stderr
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # what Ray has always done; it warns while this is not said
}
"""Ray's environment variables, set unless the user has set them."""


def import_ray() -> Any:
    """Return the module.

    Raises:
        UsageError: When it is not installed.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import ray
        except ImportError as error:
            raise UsageError(
                f"engine 'ray' needs Ray, which can't be imported ({error}): pip install 'activation-bench[ray]'; "
                "engine 'pool' needs nothing"
            ) from error
    return ray
