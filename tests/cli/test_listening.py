"""The socket that the server listens on."""

from __future__ import annotations

import asyncio
import socket

from flowgraph_runtime.cli.reloading import listening_socket


def test_connections_send_small_answers_at_once() -> None:
    async def scenario() -> int:
        seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            seen.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        bound = listening_socket("127.0.0.1", 0)
        async with await asyncio.start_server(accepted, sock=bound):
            _, writer = await asyncio.open_connection(*bound.getsockname())
            answer = await seen
            writer.close()
            await writer.wait_closed()
            return answer

    assert asyncio.run(scenario()) != 0
