"""How Sphinx builds the site; ``tools/pages.py`` lays its pages out and calls it."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from airflow_batchext import __version__

project = "airflow-batchext"
author = "the airflow-batchext contributors"
copyright = author  # noqa: A001 - Sphinx calls it so
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
pygments_style = "default"
pygments_dark_style = "github-dark"
highlight_language = "none"
smartquotes = False  # an empty text is "", and an option has two hyphens
copybutton_exclude = ".linenos, .gp, .go"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
add_module_names = False
toc_object_entries = False
python_maximum_signature_line_length = 80


def setup(app: Sphinx) -> None:
    """Let signatures tell what passes through ``**kwargs``, docstrings say it once, and tables be read."""
    app.connect("autodoc-process-signature", _whole_signature)
    app.connect("autodoc-process-docstring", _inherited_parameters)
    app.connect("autodoc-process-docstring", _what_stands_elsewhere)
    app.connect("autodoc-skip-member", _not_ours)
    app.connect("doctree-read", _readable_columns)
    app.connect("html-page-context", _readable_names)


#: How wide a column is at least (site.css), by the characters of its longest cell.
_WIDTHS = ((240, "longest"), (90, "long"), (40, "middle"), (16, "short"))
_TOKEN = re.compile(r'(?<=<span class="pre">)[^<]+(?=</span>)')
#: Where tokens stand that are parted: cells and signatures are narrow, code in a sentence has the whole line.
_NARROW = re.compile(r'<td\b.*?</td>|<dt class="sig.*?</dt>|<code\b.*?</code>', re.DOTALL)
#: Where a line may end in a name or an address; and in a long word of one.
_BETWEEN = re.compile(r"(?<=[_/.,=:])(?=\w)|(?<=\w-)(?=\w)|(?<=\w)(?=[?{]|&amp;)")
_WITHIN = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _readable_columns(app: Sphinx, doctree: nodes.document) -> None:
    """Say of each column how long its texts are, so that none is squeezed to a word a line."""
    from docutils import nodes

    for table in doctree.findall(nodes.table):
        rows = [list(row.findall(nodes.entry)) for row in table.findall(nodes.row)]
        for column in zip(*rows, strict=False):
            longest = max(len(cell.astext()) for cell in column)
            width = next((name for least, name in _WIDTHS if longest >= least), None)
            for cell in column if width else ():
                cell["classes"].append(width)
        table["classes"] += ["many"] * (len(rows[0]) > 4) + ["few"] * (len(rows[0]) < 3)


def _with_ends(token: str, longest: int) -> str:
    """A name with the places where a line may end, if it is longer than that (or at hyphens than 16)."""
    if len(token) <= (16 if "-" in token else longest):
        return token
    words = _BETWEEN.split(token)
    return "<wbr>".join(_WITHIN.sub("<wbr>", word) if len(word) > longest else word for word in words)


def _readable_names(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Let long names end a line at a word of theirs; there is no picture for the browser's tab."""

    def parted(found: re.Match[str]) -> str:
        longest = 32 if found[0].startswith("<code") else 23
        return _TOKEN.sub(lambda token: _with_ends(token[0], longest), found[0])

    body = _NARROW.sub(parted, context.get("body", ""))
    if page.startswith("api/"):
        body = re.sub(r"(?<=<h2>)\w+", lambda name: _with_ends(name[0], 15), body)
        body = re.sub(r"(</strong>|</a>) -- ", "\\1 \N{EN DASH} ", body)
    context["body"] = body
    context["metatags"] = context.get("metatags", "") + '<link rel="icon" href="data:,">'


def _not_ours(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what Airflow or pydantic documents: methods that none of our classes defines."""
    if name in ("checks", "model_config"):
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
    if what in ("function", "method") and "<" in (signature or ""):
        shown = [p for p in inspect.signature(thing).parameters.values() if p.name not in ("self", "cls")]
        return str(inspect.Signature([_plain(p) for p in shown])), None
    if what != "class" or not signature:
        return None
    if not any(base.__module__.startswith("airflow.") for base in thing.__mro__):
        # A dataclass's or a model's: what can be given, without the internal forms of defaults and types.
        told = [_plain(parameter) for parameter in inspect.signature(thing).parameters.values()]
    else:
        told = [_plain(parameter) for parameter in parameters(thing).values()]
    return str(inspect.Signature(told)), None


def _what_stands_elsewhere(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Say of an async method whose twin it is; take what is said of a value from where it is made."""
    home, _, member = name.rpartition(".")
    if what == "method" and member.startswith("a"):
        owner = getattr(sys.modules[home.rpartition(".")[0]], home.rpartition(".")[2])
        twin = getattr(owner, member[1:], None)
        if inspect.iscoroutinefunction(thing) and twin and inspect.getdoc(twin) == inspect.getdoc(thing):
            lines[:] = [f"``{member[1:]}`` on the async client, with the same parameters."]
    elif what == "data":
        lines[:] = _told_of(home, "", member) or lines


def _told_of(package: str, owner: str, member: str) -> list[str]:
    """The text below a variable or a field, which may be made in any module of the package."""
    for module in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        if told := _texts(module).get((owner, member)):
            return inspect.cleandoc(told).splitlines()
    return []


@cache
def _texts(module: str) -> dict[tuple[str, str], str]:
    """The texts below the variables of a module, and below the fields of its classes."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    found = {}
    for owner in [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]:
        for made, text in pairwise(owner.body):
            targets = made.targets if isinstance(made, ast.Assign) else [getattr(made, "target", None)]
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found |= {
                    (getattr(owner, "name", ""), getattr(t, "id", "")): text.value.value for t in targets
                }
    return found


class _Shown(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _plain(parameter: inspect.Parameter) -> inspect.Parameter:
    """A parameter without its annotation, and with a default that can be written."""
    default = parameter.default
    is_plain = default is parameter.empty or isinstance(default, str | int | float | tuple | None)
    return parameter.replace(annotation=parameter.empty, default=default if is_plain else _Shown("…"))


def _inherited_parameters(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Add what base classes of ours say of parameters that the class's own docstring leaves out."""
    if what not in ("class", "exception") or not inspect.isclass(thing):
        return
    told = set(re.findall(r"^:param (?:\w+ )?(\w+):", "\n".join(lines), re.MULTILINE))
    for above in _ours(thing):
        text = inspect.cleandoc(above.__doc__ or "")
        for field in re.finditer(r"^:param (\w+):.*(?:\n[ ]+.*)*", text, re.MULTILINE):
            if field[1] not in told:
                told.add(field[1])
                lines.extend(["", *field[0].splitlines()])
    for field in getattr(thing, "model_fields", ()):  # of a model: what stands below each
        for kind in thing.__mro__:
            if text := _told_of(name.rpartition(".")[0], kind.__qualname__, field):
                lines.extend(["", f":param {field}: {text[0]}", *(f"    {line}" for line in text[1:])])
                break
    rest = [n for n, p in parameters(thing).items() if p.kind is p.VAR_KEYWORD]
    if rest and rest[0] not in told:
        base = next((k for k in thing.__mro__ if not k.__module__.startswith("airflow_batchext")), object)
        lines.extend(["", f":param {rest[0]}: those of Airflow's ``{base.__name__}``."])
