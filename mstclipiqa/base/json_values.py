"""Values as JSON has them."""

import math
from collections.abc import Mapping
from typing import Any


def finite(value: Any) -> Any:
    """A value with null for every number that is not finite, which JSON lacks; numpy's numbers become Python's."""
    if isinstance(value, Mapping):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
