"""Notes which secrets a document file's templates read of Airflow, and finds where they came to stand.

A template may read a connection's password. What it makes of it has to stand where Azure hides it: anywhere
else every reader of the pool would see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.log import mask_secret

from airflow_batchext.exceptions import PoolDocumentError
from airflow_batchext.loose_json.values import read_json
from airflow_batchext.pool_spec import Finding, shown_values

if TYPE_CHECKING:
    from airflow.sdk import Context

_SHORTEST = 4


class ReadSecrets:
    """The secrets that templates have read through ``conn`` and ``var`` of a context.

    What counts as one: of a connection its password, its whole extra, and the fields of it whose names
    Airflow takes for secret; of Variables those whose names it takes so.
    """

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def context(self, context: Context) -> dict[str, Any]:
        """The context, noting what is read."""
        noting: dict[str, Any] = dict(context)
        if "conn" in noting:
            noting["conn"] = _Noting(noting["conn"], self._note_connection)
        if isinstance(noting.get("var"), Mapping):
            noting["var"] = {
                kind: _Noting(accessor, self._note_variable) for kind, accessor in noting["var"].items()
            }
        return noting

    def refuse_shown(self, document: object, source: str) -> None:
        """Check that none of them stands where Azure shows it.

        :raises PoolDocumentError: if one does; the text says whose it is, and not what.
        """
        findings = [
            Finding(
                "error",
                path,
                f"the template puts {whose} where everybody who may read the pool sees it",
                "Put it where Azure hides it (protectedSettings of an extension, a password, a key)",
            )
            for path, value in shown_values(document)
            for secret, whose in self._found.items()
            if secret == str(value) or (len(secret) >= _SHORTEST and secret in str(value))
        ]
        if findings:
            raise PoolDocumentError(source, findings)

    def _note_connection(self, conn_id: str, connection: Any) -> None:
        whose = f"a secret of connection {conn_id!r}"
        extra = getattr(connection, "extra", None)
        for value in (getattr(connection, "password", None), extra, *_sensitive(read_json(extra))):
            self._note(value, whose)

    def _note_variable(self, name: str, value: Any) -> None:
        for found in _sensitive({name: value}):
            self._note(found, f"Airflow Variable {name!r}")

    def _note(self, value: Any, whose: str) -> None:
        if value in (None, "", "{}") or isinstance(value, bool):
            return
        self._found[str(value)] = whose
        for line in str(value).splitlines():
            mask_secret(line)


class _Noting:
    """Airflow's accessor of connections or Variables, telling what it was asked and what it gave."""

    def __init__(self, accessor: Any, note: Any) -> None:
        self._accessor, self._note = accessor, note

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._accessor, name)
        self._note(name, value)
        return value

    def get(self, name: str, *default: Any, **options: Any) -> Any:
        """As the accessor's own."""
        value = self._accessor.get(name, *default, **options)
        self._note(name, value)
        return value


def _sensitive(value: object, *, is_secret: bool = False) -> Iterator[Any]:
    """Texts and numbers below members whose names Airflow takes for secret."""
    from airflow.sdk._shared.secrets_masker import should_hide_value_for_key

    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _sensitive(item, is_secret=is_secret or should_hide_value_for_key(str(key)))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _sensitive(item, is_secret=is_secret)
    elif is_secret:
        yield value
