"""Models of Azure's SDKs as plain data, without importing an SDK: they give their body away by ``as_dict``.

It stands by itself as operators need it when a DAG is parsed, which is hot. Pure: data in, data out.
"""

from __future__ import annotations

from typing import Any


def plain(value: object) -> Any:
    """The body of an SDK's model, and every other value as it is.

    Of a pool that was read from Azure, what only Azure can set is left out; its name stays.
    """
    as_dict = getattr(value, "as_dict", None)
    if as_dict is None or not callable(as_dict) or isinstance(value, type):
        return value
    if hasattr(value, "_attribute_map"):  # a model of an older generation
        body = as_dict(keep_readonly=False)
    else:
        body = as_dict(exclude_readonly=True)
    name = getattr(value, "name", None)
    return {"name": name, **body} if isinstance(body, dict) and isinstance(name, str) else body
