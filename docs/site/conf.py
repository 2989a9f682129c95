"""How Sphinx builds the site; ``tools/pages.py`` lays its pages out and calls it."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from airflow_batchext import __version__

project = "airflow-batchext"
author = "the airflow-batchext contributors"
release = version = __version__
html_title = f"airflow-batchext {__version__}"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
root_doc = "index"
html_theme = "furo"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
myst_heading_anchors = 4
myst_enable_extensions = ["fieldlist"]
# A page may begin below a heading of another level, where it continues what another page includes.
suppress_warnings = ["myst.header"]
pygments_style = "friendly"
pygments_dark_style = "github-dark"
highlight_language = "none"
copybutton_exclude = ".linenos, .gp, .go"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
add_module_names = False
toc_object_entries = False
python_maximum_signature_line_length = 80


def setup(app: Sphinx) -> None:
    """Let signatures tell what passes through ``**kwargs``, and docstrings say it once."""
    app.connect("autodoc-process-signature", _whole_signature)
    app.connect("autodoc-process-docstring", _inherited_parameters)
    app.connect("autodoc-skip-member", _not_ours)


def _not_ours(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what Airflow or pydantic documents: methods that none of our classes defines."""
    if name == "checks":
        return True  # how parameters are checked, for those who change the code
    defined = getattr(thing, "fget", None) or getattr(thing, "__func__", thing)
    if inspect.isfunction(defined) and not defined.__module__.startswith("airflow_batchext"):
        return True
    return None


def _ours(kind: type) -> list[type]:
    """A class and those of ours above it to which it hands its ``**kwargs``."""
    found = []
    for above in kind.__mro__:
        if not above.__module__.startswith("airflow_batchext"):
            break
        if "__init__" in vars(above):
            found.append(above)
            own = inspect.signature(above.__init__).parameters.values()
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
                break
    return found


def parameters(kind: type) -> dict[str, inspect.Parameter]:
    """Every parameter that a class of ours takes itself, or hands on to one of ours."""
    found: dict[str, inspect.Parameter] = {}
    rest: dict[str, inspect.Parameter] = {}
    for above in _ours(kind):
        own = inspect.signature(above.__init__).parameters
        rest = {name: p for name, p in own.items() if p.kind is p.VAR_KEYWORD}
        found |= {n: p for n, p in own.items() if n not in found and n != "self" and n not in rest}
    return found | rest


def _whole_signature(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str | None, result: str | None
) -> tuple[str, str | None] | None:
    if what != "class" or not signature:
        return None
    if not any(base.__module__.startswith("airflow.") for base in thing.__mro__):
        # A dataclass's or a model's: what can be given, without the internal forms of defaults and types.
        told = [
            parameter.replace(annotation=parameter.empty, default=_shown(parameter.default))
            for parameter in inspect.signature(thing).parameters.values()
        ]
    else:
        told = [p.replace(annotation=p.empty) for p in parameters(thing).values()]
    return str(inspect.Signature(told)), None


class _Shown(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _shown(default: Any) -> Any:
    plain = default is inspect.Parameter.empty or isinstance(default, str | int | float | tuple | None)
    return default if plain else _Shown("…")


def _inherited_parameters(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Add what base classes of ours say of parameters that the class's own docstring leaves out."""
    if what != "class" or not inspect.isclass(thing):
        return
    told = set(re.findall(r"^:param (?:\w+ )?(\w+):", "\n".join(lines), re.MULTILINE))
    for above in _ours(thing):
        text = inspect.cleandoc(above.__doc__ or "")
        for field in re.finditer(r"^:param (\w+):.*(?:\n[ ]+.*)*", text, re.MULTILINE):
            if field[1] not in told:
                told.add(field[1])
                lines.extend(["", *field[0].splitlines()])
    rest = [n for n, p in parameters(thing).items() if p.kind is p.VAR_KEYWORD]
    if rest and rest[0] not in told:
        base = next((k for k in thing.__mro__ if not k.__module__.startswith("airflow_batchext")), object)
        lines.extend(["", f":param {rest[0]}: those of Airflow's ``{base.__name__}``."])
