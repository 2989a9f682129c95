"""Reads a pool document, says what is wrong with it before Azure must, and keeps its secrets out of sight.

A pool document is the body that ARM's "Pool - Create" takes. Azure notices many mistakes late, as nodes
that never come, so `check_document` names each one with its path and the mend, before any request.
Pure: text in, data out; no files, no network, no Airflow, no Azure SDK.

Source: https://learn.microsoft.com/rest/api/batchmanagement/pool/create
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, Literal, NoReturn

import yaml

from airflow_batchext import extension_catalog as catalog

_ARM = "https://learn.microsoft.com/rest/api/batchmanagement/pool/create"
_EXTENSIONS = catalog.SUPPORTED_EXTENSIONS_PAGE
_IDENTITY = "https://learn.microsoft.com/azure/batch/managed-identity-pools"
_MACHINE = "properties.deploymentConfiguration.virtualMachineConfiguration"

SECRET_MEMBERS: Final = frozenset(
    {
        "protectedSettings",  # of extensions
        "password",  # of userAccounts, containerRegistries, cifsMountConfiguration
        "sshPrivateKey",  # of userAccounts[].linuxUserConfiguration
        "accountKey",  # of azureBlobFileSystemConfiguration, azureFileShareConfiguration
        "sasKey",  # of azureBlobFileSystemConfiguration
        # Protected settings of listed extensions that are written into `settings` by mistake.
        "storageAccountKey",
        "storageAccountSasToken",
        "workspaceKey",
    }
)
"""Members whose values, and everything below them, nobody may see.

Values of ``environmentSettings`` are not among them: Azure shows those to every reader of the pool.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or doubtful, in a pool document.

    ``path`` says where (``""`` is the document itself), ``problem`` what, ``mend`` what to do, ``link``
    where Azure's documentation says so. None of them ever holds a value below a secret member.
    """

    severity: Literal["error", "warning"]
    path: str
    problem: str
    mend: str
    link: str = ""

    def __str__(self) -> str:
        """Say it all in one line."""
        stop = "" if self.mend.endswith("?") else "."
        link = f" See {self.link}" if self.link else ""
        return f"{self.severity} at {self.path or 'the document'}: {self.problem}. {self.mend}{stop}{link}"


class DocumentSyntaxError(ValueError):
    """The text is not one mapping in JSON or YAML. The message says where, and never quotes the text."""

    def __init__(self, source: str, problem: str, line: int, column: int) -> None:
        super().__init__(source, problem, line, column)
        self.source, self.problem, self.line, self.column = source, problem, line, column

    def __str__(self) -> str:
        """Say which text, where in it, and what is wrong."""
        return f"{self.source}, line {self.line}, column {self.column}: {self.problem}"


# --- What is secret ---------------------------------------------------------------------------------


def is_secret_member(key: object) -> bool:
    """Say whether a member of this name holds a secret.

    Spelling does not matter (``protected_settings``), and a misspelt ``protectedSettings`` is one too:
    what was meant to be protected must not be shown because of a typing error.
    """
    squashed = _squash(key) if isinstance(key, str) else ""
    if squashed in _SECRET_KEYS:
        return True
    return 13 <= len(squashed) <= 23 and SequenceMatcher(None, squashed, "protectedsettings").ratio() >= 0.85


def without_secrets(document: object) -> Any:
    """Return a deep copy fit for showing: ``"***"`` for every value below a secret member.

    Names of members stay, and so do nulls and empty objects. Of a URL with a shared access signature
    only the signature is hidden. Takes any JSON-like value, also a list of documents.
    """
    return _copy(document, hidden=False, veil=True)


def find_secrets(document: object) -> Iterator[tuple[str, Any]]:
    """Yield path and value of each secret (text or number), so that a caller can have them masked.

    A secret that is itself JSON text is yielded whole and in its parts, since either may turn up in a
    log. Empty texts, booleans and nulls are not secrets.
    """
    yield from _secrets(document, "", hidden=False)


def _squash(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.casefold())


_SECRET_KEYS = frozenset(map(_squash, SECRET_MEMBERS))
_SIGNATURE = re.compile(r"(?<=[?&]sig=)[^&\s\"']+", re.IGNORECASE)


def _copy(value: object, *, hidden: bool = False, veil: bool = False) -> Any:
    if isinstance(value, Mapping):
        return {k: _copy(v, hidden=hidden or is_secret_member(k), veil=veil) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copy(item, hidden=hidden, veil=veil) for item in value]
    if not veil or value is None:
        return value
    if hidden:
        return "***"
    return _SIGNATURE.sub("***", value) if isinstance(value, str) else value


def _secrets(value: object, path: str, *, hidden: bool) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secrets(item, _at(path, key), hidden=hidden or is_secret_member(key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _secrets(item, _at(path, index), hidden=hidden)
    elif hidden and value not in (None, "") and not isinstance(value, bool):
        yield path, value
        if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
            try:
                parts = json.loads(value)
            except (ValueError, RecursionError):
                return
            yield from _secrets(parts, path, hidden=True)
    elif isinstance(value, str):
        for signature in _SIGNATURE.findall(value):
            yield path, signature


# --- Text to document -------------------------------------------------------------------------------

_MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 64
_MAX_YAML_NODES = 20_000  # half a second of PyYAML; a pool document has a few hundred
_TOO_DEEP = f"nests more than {_MAX_DEPTH} levels deep"
_NO_NUMBER = "a number that JSON cannot carry"


class _Flaw(Exception):  # noqa: N818 - never leaves this module
    """What is wrong with a text, and where."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(problem, line, column)
        self.problem, self.line, self.column = problem, line, column


class _NotJSON(_Flaw):
    """Not JSON, so perhaps YAML."""


def parse_document(text: str, *, source: str) -> dict[str, Any]:
    """Read one pool document from JSON or YAML.

    :param text: the text; at most 1 MiB.
    :param source: what to call it in an error, such as the file's name. Only ``….json`` must be JSON.
    :raises DocumentSyntaxError: when it is neither, or not a mapping, gives a key twice, or says what
        JSON cannot (aliases, tags, NaN).
    """
    body = text.removeprefix("\ufeff")
    json_only = source.lower().endswith(".json")
    try:
        if len(body.encode("utf-8", "surrogatepass")) > _MAX_BYTES:
            raise _Flaw("is larger than 1 MiB", 1, 1)
        document = _read(body, json_only=json_only)
        if isinstance(document, dict):
            return document
        problem = "is empty" if document is None else f"is {_kind(document)}, not a mapping"
        flaw = _Flaw(problem, 1, 1)
    except _Flaw as caught:
        flaw = caught
    # Raised out here, so that it drags no parser's error along: those hold the text.
    raise DocumentSyntaxError(source, flaw.problem, flaw.line, flaw.column)


def _read(body: str, *, json_only: bool) -> object:
    if not json_only and not body.lstrip().startswith(("{", "[")):
        return _read_yaml(body)
    try:
        return _read_json(body)
    except _NotJSON as not_json:
        if json_only:
            raise
        try:
            return _read_yaml(body)
        except _Flaw:
            raise not_json from None


def _read_json(body: str) -> object:
    try:
        document = json.loads(body)
    except json.JSONDecodeError as error:
        # Of the parser's message only the fixed part; what follows a colon may quote the text.
        problem = f"not valid JSON ({error.msg.partition(':')[0]})"
        raise _NotJSON(problem, error.lineno, error.colno) from None
    except (ValueError, RecursionError):  # thousands of digits, or of brackets: the scan knows where
        with suppress(ValueError, IndexError):
            _scan_json(body)
        raise _Flaw("not valid JSON", 1, 1) from None
    _scan_json(body)
    return document


_TOKEN = re.compile(
    r'(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")(?P<colon>\s*:)?'
    r"|(?P<open>[{\[])|(?P<close>[}\]])|(?P<number>-?(?:NaN|Infinity|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))",
    re.DOTALL,
)


def _scan_json(body: str) -> None:
    """Find in valid JSON what ``json.loads`` lets pass: keys given twice, depth, numbers beyond JSON."""
    levels: list[tuple[set[str], bool]] = []
    hidden = False  # whether the value that comes next lies below a secret member
    for token in _TOKEN.finditer(body):
        if token["open"]:
            levels.append((set(), hidden))
            if len(levels) > _MAX_DEPTH:
                raise _Flaw(_TOO_DEEP, *_place(body, token.start()))
        elif token["close"]:
            levels.pop()
            hidden = bool(levels) and levels[-1][1]
        elif token["colon"]:
            key, (keys, below) = json.loads(token["string"]), levels[-1]
            if key in keys:
                raise _Flaw(_twice(key, hidden=below), *_place(body, token.start()))
            keys.add(key)
            hidden = below or is_secret_member(key)
        elif token["number"] and not (len(token[0]) <= 400 and math.isfinite(float(token[0]))):
            raise _Flaw(_NO_NUMBER, *_place(body, token.start()))


def _place(body: str, offset: int) -> tuple[int, int]:
    return body.count("\n", 0, offset) + 1, offset - body.rfind("\n", 0, offset)


def _twice(key: str, *, hidden: bool) -> str:
    return "a key below a secret member is given twice" if hidden else f"the key {_quote(key)} is given twice"


_TAG = "tag:yaml.org,2002:"
_SCALARS = tuple(_TAG + name for name in ("str", "int", "float", "bool", "null"))


class _Loader(yaml.SafeLoader):
    """YAML that can say no more than JSON: no aliases (hence no bombs), no dates, no bottomless nesting."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _SCALARS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    depth = nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            _refuse("YAML anchors and aliases are not taken; write the value out", event.start_mark)
        self.depth += 1
        self.nodes += 1
        if self.depth > _MAX_DEPTH:
            _refuse(_TOO_DEEP, event.start_mark)
        if self.nodes > _MAX_YAML_NODES:
            _refuse(f"holds more than {_MAX_YAML_NODES} keys and values", event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _read_yaml(body: str) -> object:
    loader: _Loader | None = None
    try:
        loader = _Loader(body)
        node = loader.get_single_node()
        return None if node is None else _plain(loader, node, hidden=False)
    except yaml.MarkedYAMLError as error:
        several = error.context == "expected a single document in the stream"
        mark = error.problem_mark or error.context_mark
        _refuse("holds more than one YAML document" if several else "not valid YAML", mark)
    except yaml.reader.ReaderError as error:
        raise _Flaw("a character that YAML does not allow", *_place(body, error.position)) from None
    except (ValueError, RecursionError):
        _refuse("not valid YAML", loader.get_mark() if loader else None)


def _plain(loader: _Loader, node: yaml.Node, *, hidden: bool) -> Any:
    """Turn a node into JSON-like data."""
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
        result: dict[str, Any] = {}
        for key_node, value in node.value:
            if key_node.tag != f"{_TAG}str" or not isinstance(key_node, yaml.ScalarNode):
                _refuse("a key that is no text (a template outside quotes looks so too)", key_node.start_mark)
            key = key_node.value
            if key in result:
                _refuse(_twice(key, hidden=hidden), key_node.start_mark)
            result[key] = _plain(loader, value, hidden=hidden or is_secret_member(key))
        return result
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
        return [_plain(loader, item, hidden=hidden) for item in node.value]
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _SCALARS:
        _refuse("YAML tags are not taken", node.start_mark)
    try:
        value = loader.construct_object(node)
    except (ValueError, KeyError):
        _refuse(_NO_NUMBER, node.start_mark)
    if isinstance(value, float) and not math.isfinite(value):
        _refuse(_NO_NUMBER, node.start_mark)
    return value


def _refuse(problem: str, mark: Any) -> NoReturn:
    raise _Flaw(problem, *((mark.line + 1, mark.column + 1) if mark else (1, 1))) from None


# --- Document to request ----------------------------------------------------------------------------

_READ_ONLY = ("name", "type", "id", "etag")
_INTEGER_MEMBERS = (
    "properties.taskSlotsPerNode",
    "properties.scaleSettings.fixedScale.targetDedicatedNodes",
    "properties.scaleSettings.fixedScale.targetLowPriorityNodes",
    "properties.startTask.maxTaskRetryCount",
    "properties.userAccounts.[].linuxUserConfiguration.uid",
    "properties.userAccounts.[].linuxUserConfiguration.gid",
    "properties.networkConfiguration.endpointConfiguration.inboundNatPools.[].backendPort",
    "properties.networkConfiguration.endpointConfiguration.inboundNatPools.[].frontendPortRangeStart",
    "properties.networkConfiguration.endpointConfiguration.inboundNatPools.[].frontendPortRangeEnd",
    f"{_MACHINE}.dataDisks.[].lun",
    f"{_MACHINE}.dataDisks.[].diskSizeGB",
    f"{_MACHINE}.osDisk.diskSizeGB",
)
_BOOLEAN_MEMBERS = (
    f"{_MACHINE}.extensions.[].autoUpgradeMinorVersion",
    f"{_MACHINE}.extensions.[].enableAutomaticUpgrade",
)


def request_body(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is PUT for this document: a deep copy without the read-only members at its top.

    Jinja renders texts only, so whole numbers and booleans given as text become numbers and booleans
    where Azure knows nothing else. Everything else stays as it is, empty ``protectedSettings`` too.
    """
    body: dict[str, Any] = _copy({key: item for key, item in document.items() if key not in _READ_ONLY})
    for path in _INTEGER_MEMBERS:
        _convert(body, path.split("."), _whole_number)
    for path in _BOOLEAN_MEMBERS:
        _convert(body, path.split("."), _boolean)
    return body


def expected_extensions(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the extensions that the document asks for, in its order.

    What has no name is left out: telling of it is the business of `check_document`.
    """
    node: Any = document
    for member in (*_MACHINE.split("."), "extensions"):
        node = node.get(member) if isinstance(node, Mapping) else None
    entries = node if isinstance(node, (list, tuple)) else ()
    names = (entry.get("name") for entry in entries if isinstance(entry, Mapping))
    return tuple(name for name in names if isinstance(name, str) and name)


def _convert(node: Any, steps: Sequence[str], to: Callable[[object], object]) -> None:
    step, rest = steps[0], steps[1:]
    if step == "[]":
        for item in node if isinstance(node, list) else ():
            _convert(item, rest, to)
    elif isinstance(node, dict) and step in node:
        if rest:
            _convert(node[step], rest, to)
        elif isinstance(node[step], str) and (value := to(node[step])) is not None:
            node[step] = value


def _whole_number(value: object) -> int | None:
    """Return the number that a value is or spells, None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _boolean(value: object) -> bool | None:
    spelt = value.strip().lower() if isinstance(value, str) else ""
    return {"true": True, "false": False}.get(spelt)


# --- The check --------------------------------------------------------------------------------------

_Findings = Iterator[Finding]
_DATA_PLANE_MEMBERS = ("id", "vmSize", "virtualMachineConfiguration", "targetDedicatedNodes")
_ARM_SHAPE = (
    'Use ARM\'s shape: {"properties": {"vmSize": …, "deploymentConfiguration": '
    '{"virtualMachineConfiguration": …}, "scaleSettings": …}}'
)
_POOL_TYPE = "Microsoft.Batch/batchAccounts/pools"


def check_document(document: object, *, pool_id: str | None = None) -> list[Finding]:
    """Say everything that is wrong with a pool document, errors first.

    :param document: what `parse_document` gave, or any other value: nothing makes this raise.
    :param pool_id: the name the pool is going to have; without it the document's ``name`` counts.
    :return: the findings; an empty list when Azure should take the document as it is.
    """
    return sorted(_check(document, pool_id), key=lambda finding: finding.severity == "warning")


def _check(document: object, pool_id: str | None) -> _Findings:
    if not isinstance(document, Mapping):
        yield _error("", f"the document is {_kind(document)}, not an object", "Give the body of a pool", _ARM)
        return
    has_properties = "properties" in document
    flat = [m for m in _DATA_PLANE_MEMBERS if m in document and not (m == "id" and has_properties)]
    if flat:
        what = f"{', '.join(flat)} at the top is the data plane's shape of a pool"
        yield _error("", what, _ARM_SHAPE, _ARM)
        if not has_properties:
            return
    yield from _check_name(document, pool_id)
    kind = document.get("type")
    if kind is not None and not (isinstance(kind, str) and kind.casefold() == _POOL_TYPE.casefold()):
        yield _error("type", "this is not the type of a Batch pool", f"Leave it out or write {_POOL_TYPE}")
    has_identity = yield from _check_identity(document)
    properties = yield from _object(document, "properties", "", "Put the pool's settings in it")
    if properties is None:
        return
    yield from _text(properties, "vmSize", "properties", "Name a size, such as STANDARD_D2S_V5")
    yield from _check_scale(properties)
    yield from _check_machine(properties, has_identity=has_identity)


def _check_name(document: Mapping[str, Any], pool_id: str | None) -> _Findings:
    name = document.get("name") if pool_id is None else pool_id
    if name is None:
        yield _error("name", "the pool has no name", "Give a pool id, or a name in the document")
    elif not isinstance(name, str):
        yield _error("name", f"the pool's name is {_kind(name)}, not a text", "Put it in quotes")
    elif not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        mend = "Use 1 to 64 letters, digits, hyphens and underscores, without the account's name"
        yield _error("name", f"{_quote(name)} is no name for a pool", mend, _ARM)


def _check_identity(document: Mapping[str, Any]) -> Generator[Finding, None, bool]:
    """Return whether the pool is given an identity, also when it is given one wrongly."""
    identity = yield from _object(document, "identity", "")
    if identity is None:
        return document.get("identity") is not None
    kind = identity.get("type")
    known = kind.casefold() if isinstance(kind, str) else ""
    if known not in ("userassigned", "none"):
        what = f"{_quote(kind)} is no type of identity for a pool" if known else "the type is missing"
        mend = "Write UserAssigned (or None): a pool cannot have a system-assigned identity"
        yield _error("identity.type", what, mend, _IDENTITY)
    mend = 'Write the resource id of each as a key of an empty object: {"/subscriptions/…": {}}'
    ids = yield from _object(
        identity, "userAssignedIdentities", "identity", mend if known == "userassigned" else ""
    )
    if known == "userassigned" and ids is not None and not ids:
        what = "the identity is UserAssigned, but no identity is named"
        yield _error("identity.userAssignedIdentities", what, mend, _IDENTITY)
    return known != "none"


def _check_scale(properties: Mapping[str, Any]) -> _Findings:
    path = "properties.scaleSettings"
    scale = yield from _object(properties, "scaleSettings", "properties")
    if scale is None:
        return
    if scale.get("fixedScale") is not None and scale.get("autoScale") is not None:
        yield _error(path, "both fixedScale and autoScale are given", "Keep one of the two", _ARM)
    yield from _object(scale, "autoScale", path)
    fixed = yield from _object(scale, "fixedScale", path)
    if fixed is None:
        return
    path += ".fixedScale"
    for member in ("targetDedicatedNodes", "targetLowPriorityNodes"):
        value = fixed.get(member)
        number = _whole_number(value)
        if value is not None and (number is None or number < 0):
            what = f"{member} is negative" if number is not None else f"{member} is not a whole number"
            yield _error(f"{path}.{member}", what, "Give a whole number of nodes, 0 or more")
    timeout = fixed.get("resizeTimeout")
    if timeout is not None:
        seconds = _seconds(timeout)
        if seconds is None or seconds < 300:
            what = "is not an ISO 8601 duration" if seconds is None else "is shorter than 5 minutes"
            mend = "Give PT5M or more, such as PT15M (15 minutes)"
            yield _error(f"{path}.resizeTimeout", f"resizeTimeout {what}", mend, _ARM)


def _seconds(value: object) -> float | None:
    pattern = (
        r"P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9}(?:\.\d+)?)S)?)?"
    )
    match = re.fullmatch(pattern, value, re.ASCII) if isinstance(value, str) else None
    if match is None or value == "P":
        return None
    sizes = (604800, 86400, 3600, 60, 1)
    return sum(float(number or 0) * size for number, size in zip(match.groups(), sizes, strict=True))


def _check_machine(properties: Mapping[str, Any], *, has_identity: bool) -> _Findings:
    why = "Describe the nodes in deploymentConfiguration.virtualMachineConfiguration"
    deployment = yield from _object(properties, "deploymentConfiguration", "properties", why)
    if deployment is None:
        return
    path = "properties.deploymentConfiguration"
    if deployment.get("cloudServiceConfiguration") is not None:
        what = "Azure has retired cloudServiceConfiguration, and its nodes cannot have extensions"
        mend, why = "Use virtualMachineConfiguration instead", ""
        yield _error(f"{path}.cloudServiceConfiguration", what, mend, _EXTENSIONS)
    machine = yield from _object(deployment, "virtualMachineConfiguration", path, why)
    if machine is None:
        return
    image = 'Name a marketplace image: {"publisher": …, "offer": …, "sku": …, "version": "latest"}'
    yield from _object(machine, "imageReference", _MACHINE, image)
    mend = "Name the node agent of the image, such as batch.node.ubuntu 24.04"
    agent = yield from _text(machine, "nodeAgentSkuId", _MACHINE, mend)
    system = catalog.node_operating_system(agent or "")
    yield from _check_extensions(machine.get("extensions"), system, has_identity=has_identity)


def _check_extensions(
    entries: object, system: catalog.OperatingSystem | None, *, has_identity: bool
) -> _Findings:
    base = f"{_MACHINE}.extensions"
    if entries is None:
        return
    if not isinstance(entries, (list, tuple)):
        mend = "Write a list of objects, also for one extension"
        yield _error(base, f"extensions is {_kind(entries)}, not a list", mend, _EXTENSIONS)
        return
    first_of: dict[str, int] = {}
    for index, entry in enumerate(entries):
        path = _at(base, index)
        if not isinstance(entry, Mapping):
            mend = "Write an object with name, publisher and type"
            yield _error(path, f"the extension is {_kind(entry)}, not an object", mend)
            continue
        name = yield from _text(entry, "name", path, "Give the extension a name of its own")
        if name is not None:
            yield from _check_extension_name(name, path, first_of)
            first_of.setdefault(name.casefold(), index)
        yield from _check_members(entry, path)
        yield from _check_kind(entry, path, system, has_identity=has_identity)
    yield from _check_order(entries, base, first_of)


def _check_extension_name(name: str, path: str, first_of: Mapping[str, int]) -> _Findings:
    at = f"{path}.name"
    if name.casefold() in first_of:
        other = f"extensions[{first_of[name.casefold()]}]"
        yield _error(at, f"the name {_quote(name)} is taken by {other}", "Give each extension another name")
    if name.casefold() == catalog.BATCH_OWN_EXTENSION.casefold():
        what = f"{catalog.BATCH_OWN_EXTENSION} is the extension that Batch itself puts on every node"
        yield _error(at, what, "Choose another name")


def _check_members(entry: Mapping[str, Any], path: str) -> _Findings:
    for key in entry:
        if key not in catalog.EXTENSION_MEMBERS:
            near = catalog.nearest_member(key) if isinstance(key, str) else None
            mend = f"Did you mean {near}?" if near else "Take it out: Azure refuses unknown members"
            yield _error(_at(path, key), f"an extension has no member {_quote(key)}", mend, _ARM)
    for member in ("settings", "protectedSettings"):
        value = entry.get(member)
        if isinstance(value, str):
            what = f"{member} is a string, not an object; Azure takes it, and then no node can be allocated"
            yield _error(f"{path}.{member}", what, "Pass the object itself, not its JSON text", _EXTENSIONS)
        elif value is not None and not isinstance(value, Mapping):
            yield _error(f"{path}.{member}", f"{member} is {_kind(value)}, not an object", "Write an object")
    if entry.get("protectedSettings") is not None and entry.get("protectedSettingsFromKeyVault") is not None:
        what = "both protectedSettings and protectedSettingsFromKeyVault are given"
        yield _error(f"{path}.protectedSettings", what, "Keep one of the two", _ARM)
    version = entry.get("typeHandlerVersion")
    if version is not None and not isinstance(version, str):
        what = f"typeHandlerVersion is {_kind(version)}, not a string"
        yield _error(f"{path}.typeHandlerVersion", what, 'Put it in quotes, such as "1.0"')


def _check_kind(
    entry: Mapping[str, Any], path: str, system: catalog.OperatingSystem | None, *, has_identity: bool
) -> _Findings:
    """Check publisher and type against what is known of them."""
    publisher = yield from _text(entry, "publisher", path, "Name it, such as Microsoft.Azure.KeyVault")
    kind = yield from _text(entry, "type", path, "Name it, such as KeyVaultForLinux")
    if kind is not None and kind.casefold() in catalog.RESERVED_TYPES:
        what = f"the type {kind} is reserved for Batch itself"
        yield _error(f"{path}.type", what, "Use the pool's startTask to run a script", _EXTENSIONS)
        return
    if kind is None or publisher is None:
        return
    known = catalog.lookup(publisher, kind)
    if known is None:
        near = catalog.nearest(publisher, kind)
        hint = f"Did you mean {near}? " if near else ""
        what = f"the documentation does not list {_quote(f'{publisher}/{kind}')} for Batch"
        mend = f"{hint}Others must be enabled by a support request"
        yield _warning(f"{path}.type", what, mend, _EXTENSIONS)
        return
    if system is not None and system != known.operating_system:
        other = catalog.counterpart(known, system)
        what = f"{known.type} is for {known.operating_system.title()}, the nodes run {system.title()}"
        mend = f"Use {other}" if other else "Take it out, or choose another image"
        yield _warning(f"{path}.type", what, mend, known.link)
    if known.needs_identity and not has_identity:
        what = f"{known.type} signs in with an identity of the pool, and the pool has none"
        yield _warning(path, what, "Add a UserAssigned identity to the document", _IDENTITY)


def _check_order(entries: Sequence[Any], base: str, first_of: Mapping[str, int]) -> _Findings:
    """Check that ``provisionAfterExtensions`` names others of the pool, and in no circle."""
    waits: dict[int, list[int]] = {}
    for index, entry in enumerate(entries):
        after = entry.get("provisionAfterExtensions") if isinstance(entry, Mapping) else None
        if after is None:
            continue
        path = f"{_at(base, index)}.provisionAfterExtensions"
        if not isinstance(after, (list, tuple)):
            what = f"provisionAfterExtensions is {_kind(after)}, not a list"
            yield _error(path, what, "Write a list of names of extensions")
            continue
        for position, name in enumerate(after):
            at = _at(path, position)
            target = first_of.get(name.casefold()) if isinstance(name, str) else None
            if not isinstance(name, str):
                yield _error(at, f"the entry is {_kind(name)}, not a name", "Write the name of an extension")
            elif target is None:
                mend = "Name another extension of this pool, or take it out"
                yield _error(at, f"the pool has no extension {_quote(name)}", mend)
            elif target == index:
                yield _error(at, f"the extension {_quote(name)} waits for itself", "Take it out")
            else:
                waits.setdefault(index, []).append(target)
    for circle in _circles(waits):
        path = f"{_at(base, circle[0])}.provisionAfterExtensions"
        names = " after ".join(_quote(entries[index]["name"]) for index in (*circle, circle[0]))
        yield _error(path, f"extensions wait for each other in a circle: {names}", "Break the circle")


def _circles(waits: Mapping[int, Sequence[int]]) -> Iterator[list[int]]:
    """Yield circles that share no member, each from its first member on, in the order of waiting."""
    left = dict(waits)
    for _ in range(10):  # plenty for a person to mend; bounds the work on a hostile document
        circle = _circle(left)
        if not circle:
            return
        start = circle.index(min(circle))
        yield circle[start:] + circle[:start]
        left = {index: others for index, others in left.items() if index not in circle}


def _circle(waits: Mapping[int, Sequence[int]]) -> list[int]:
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        circle: list[int] = error.args[1][:0:-1]  # it comes closed, and what is waited for comes first
        return circle
    return []


# --- Words ------------------------------------------------------------------------------------------


def _error(path: str, problem: str, mend: str, link: str = "") -> Finding:
    return Finding("error", path, problem, mend, link)


def _warning(path: str, problem: str, mend: str, link: str = "") -> Finding:
    return Finding("warning", path, problem, mend, link)


def _object(
    parent: Mapping[str, Any], member: str, path: str, required: str = ""
) -> Generator[Finding, None, Mapping[str, Any] | None]:
    """Return an object, or tell that it is none; ``required`` is the mend for one that is missing."""
    value = parent.get(member)
    if isinstance(value, Mapping):
        return value
    if value is not None:
        mend = required or "Write an object"
        yield _error(_at(path, member), f"{member} is {_kind(value)}, not an object", mend)
    elif required:
        yield _error(_at(path, member), f"{member} is missing", _misspelt(parent, member) or required, _ARM)
    return None


def _text(
    parent: Mapping[str, Any], member: str, path: str, mend: str
) -> Generator[Finding, None, str | None]:
    """Return a text that must be there, or tell that it is not."""
    value = parent.get(member)
    if isinstance(value, str) and value.strip():
        return value
    if value is None:
        yield _error(_at(path, member), f"{member} is missing", _misspelt(parent, member) or mend, _ARM)
    else:
        what = "is empty" if isinstance(value, str) else f"is {_kind(value)}, not a text"
        yield _error(_at(path, member), f"{member} {what}", mend)
    return None


def _misspelt(parent: Mapping[str, Any], member: str) -> str:
    """Return a mend if the member is there in another spelling, such as the data plane's or Python's."""
    for key in parent:
        if isinstance(key, str) and _squash(key) == _squash(member):
            return f"It is spelt {_quote(key)} here: write {member}"
    return ""


def _at(path: str, step: object) -> str:
    """Return the path of a member or of an entry of a list."""
    if isinstance(step, int) and not isinstance(step, bool):
        return f"{path}[{step}]"
    if isinstance(step, str) and re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$-]{0,63}", step):
        return f"{path}.{step}" if path else step
    return f"{path}[{_quote(step)}]"


def _quote(value: object) -> str:
    """Return a name as it is shown in a finding: on one line, and not endless."""
    if not isinstance(value, str):
        return _kind(value)
    return repr(value if len(value) <= 64 else f"{value[:63]}…")


def _kind(value: object) -> str:
    """Say what a value is, without showing it."""
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return "null" if value is None else f"a {type(value).__name__}"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, "a string"),
    (bool, "a boolean"),
    ((int, float), "a number"),
    ((list, tuple), "a list"),
    (Mapping, "an object"),
)
