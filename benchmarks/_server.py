"""A minimal model server, so that it hardly affects what is measured."""

import asyncio

import uvloop


class Answering(asyncio.Protocol):
    """Reads requests with a content-length, one after the other; ``asked`` answers each."""

    def connection_made(self, transport):
        self.transport = transport
        self.buffer = b""

    def data_received(self, data):
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        self.buffer = b""
        self.asked(head, body)

    def asked(self, head, body):
        raise NotImplementedError

    def say(self, answer):
        """A JSON body, in one write."""
        start = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
        self.transport.write(start + answer)


def serve_forever(protocol, port):
    """For ever, on this process's own loop."""

    async def main():
        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    uvloop.run(main())
