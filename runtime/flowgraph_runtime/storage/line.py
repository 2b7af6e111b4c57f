"""The line to a PostgreSQL server, below psycopg's cursors: statements go out in parcels, and each is parsed once.

Measured for the four statements of a small transaction, alone: by cursors in a pipeline 250 microseconds of CPU, by the calls of
libpq beneath them 45.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeAlias

import psycopg
from psycopg import errors
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from flowgraph_runtime.storage.database import Rows

Value: TypeAlias = str | bytes | int | None
Statement: TypeAlias = tuple[str, Sequence[Value]]
"""A statement with the parameters $1, $2 and so on, and their values."""

MOST_PREPARED = 200
"""Statements that a server keeps for a connection. Nearly all are constants; a few contain a number."""
_FINE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)
_ANY, _BIGINT = 0, 20  # numbers of types: any, as its place in the statement wants it; and that of all our numbers


class Line:
    """A connection that nobody else uses. Whatever interrupts it between a question and its answers closes it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._server: PGconn = connection.pgconn
        self._reader = Transformer(connection)
        self._names: dict[str, bytes] = {}  # of prepared statements
        self._named = 0

    @property
    def closed(self) -> bool:
        """Whether it broke, or was closed."""
        return self._connection.closed

    def fileno(self) -> int:
        """Return the number of its socket."""
        return self._connection.fileno()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def post(self, statements: Sequence[Statement]) -> tuple[list[PGresult], psycopg.Error | None]:
        """Run statements in one round trip -> the answers of all before the first that fails, and its error. Raises
        OperationalError when the line breaks."""
        server = self._server
        texts = [[_encoded(value) for value in values] for _, values in statements]
        try:
            server.enter_pipeline_mode()
            sent = [part for statement, text in zip(statements, texts, strict=True) for part in self._send(*statement, text)]
            server.pipeline_sync()
            results = self._connection.wait(_results(server))
            answers, failure = self._sort(sent, results)
            if server.status == ConnStatus.OK:
                server.exit_pipeline_mode()
        except BaseException:  # nobody knows what comes next on this line
            self._connection.close()
            raise
        return answers, failure

    def say(self, command: bytes) -> None:
        """Run a command that answers nothing, in a round trip of its own. Raises what the server says."""
        try:
            self._server.send_query(command)
            results = self._connection.wait(_results(self._server))
        except BaseException:
            self._connection.close()
            raise
        _, failure = self._sort([None], results)
        if failure is not None:
            raise failure

    def tidy(self) -> None:
        """Forget all prepared statements if they have become many. Not in a transaction."""
        if len(self._names) > MOST_PREPARED:
            self._names.clear()
            self.say(b"DEALLOCATE ALL")

    def rows(self, answer: PGresult) -> Rows:
        """Return the rows of an answer."""
        self._reader.set_pgresult(answer)
        return self._reader.load_rows(0, answer.ntuples, tuple)

    def _send(self, query: str, values: Sequence[Value], texts: list[bytes | None]) -> Generator[tuple[str, bytes] | None]:
        """Send a statement; for each result that the server will give: None, or the query and its name when it was parsed."""
        name = self._names.get(query)
        if name is None:
            self._named += 1
            name = b"fg%d" % self._named
            types = [_BIGINT if isinstance(value, int) else _ANY for value in values]
            self._server.send_prepare(name, query.encode(), types)
            yield query, name
        self._server.send_query_prepared(name, texts)
        yield None

    def _sort(
        self, sent: Sequence[tuple[str, bytes] | None], results: Sequence[PGresult]
    ) -> tuple[list[PGresult], psycopg.Error | None]:
        answers: list[PGresult] = []
        for parsed, result in zip(sent, results, strict=False):
            if result.status not in _FINE:
                return answers, self._error(result)
            if parsed is None:
                answers.append(result)
            else:
                self._names[parsed[0]] = parsed[1]
        if len(results) < len(sent):
            raise psycopg.OperationalError("the connection was lost before the server had answered")
        return answers, None

    def _error(self, result: PGresult) -> psycopg.Error:
        if result.error_field(DiagnosticField.SQLSTATE) is None:  # not the server says so
            return psycopg.OperationalError(result.get_error_message())
        return errors.error_from_result(result)


def _encoded(value: Value) -> bytes | None:
    """A value as text for libpq, which would end it at a NUL without a word."""
    if isinstance(value, str) and "\0" in value:
        raise psycopg.DataError("PostgreSQL stores no NUL in texts")
    return value if value is None or isinstance(value, bytes) else str(value).encode()


def _results(server: PGconn) -> Generator[Wait, Ready | int, list[PGresult]]:
    """All that the server answers to what was sent, up to the end of a parcel or of a command's results."""
    while server.flush():
        if (yield Wait.RW) & Ready.R:
            server.consume_input()
    found: list[PGresult] = []
    in_parcel = server.pipeline_status
    while True:
        while server.is_busy():
            yield Wait.R
            server.consume_input()
        result = server.get_result()
        if result is None:
            if not in_parcel or server.status != ConnStatus.OK:
                return found
        elif result.status == ExecStatus.PIPELINE_SYNC:
            return found
        else:
            found.append(result)
