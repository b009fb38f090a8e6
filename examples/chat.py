#!/usr/bin/env python3
"""Chat from a terminal: python3 examples/chat.py ws://127.0.0.1:8001/tea ann

Needs the package `websockets`. Lines typed are said; what is said is printed. A lost connection is taken up
where it broke: nothing is missed, and nothing that was typed is lost or said twice (docs/protocol.md).
"""

import asyncio
import json
import random
import secrets
import sys
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake


class Chat:
    def __init__(self, url, name):
        self.url, self.name = url, name
        self.session = self.epoch = self.socket = None
        self.seq = 0
        self.pending = {}  # id -> text, until the room has heard it

    async def stay(self):
        """Keeps the room open, and comes back after a random time that grows with each failure."""
        tries = 0
        while True:
            query = {"name": self.name, "session": self.session}
            if self.epoch:
                query["since"] = f"{self.epoch}.{self.seq}"
            query = urlencode({key: value for key, value in query.items() if value})
            code = None
            wait = min(30, 0.5 * 2**tries) * random.random()
            tries += 1
            try:
                async with connect(f"{self.url}?{query}", subprotocols=["chat.v1"]) as socket:
                    async for frame in socket:
                        frame = json.loads(frame)
                        if frame["type"] == "bye":
                            wait = random.uniform(*frame["reconnect_ms"]) / 1000
                        elif frame["type"] != "welcome":
                            tries = 0
                        await self.hear(socket, frame)
                code = socket.close_code
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else None
            except (OSError, InvalidHandshake) as error:
                print(f"-- {error}")
            self.socket = None
            if code == 4001:
                return print("-- this chat went on elsewhere")
            print(f"-- connection lost, trying again in {wait:.1f} s")
            await asyncio.sleep(wait)

    async def hear(self, socket, frame):
        match frame:
            case {"type": "welcome"}:
                if frame["epoch"] != self.epoch:
                    self.seq = 0
                self.epoch, self.session = frame["epoch"], frame["session"]
                print(f"-- in {frame['room']} as {frame['name']}, {frame['online']} are here")
                # Its pong comes after what we missed, which may hold what we would now say again.
                await socket.send('{"type":"ping"}')
            case {"type": "pong"}:
                self.socket = socket
                for id, text in self.pending.items():
                    await self.utter(id, text)
            case {"type": "message"}:
                self.seq = frame["seq"]
                self.pending.pop(frame.get("id"), None)  # ours: nobody else can guess the id
                print(f"{frame['from']}: {frame.get('text', '(data)')}")
            case {"type": "accepted"}:
                self.pending.pop(frame["id"], None)
            case {"type": "presence"}:
                for name in frame.get("left", []):
                    print(f"-- {name} left")
                for was, now in frame.get("renamed", []):
                    print(f"-- {was} is now {now}")
                for name in frame.get("joined", []):
                    print(f"-- {name} joined")
            case {"type": "error"}:
                if not frame["retry"]:
                    self.pending.pop(frame.get("id"), None)
                print(f"-- {frame['message']}")

    async def say(self, text):
        id = secrets.token_urlsafe(12)
        self.pending[id] = text
        if self.socket:
            await self.utter(id, text)

    async def utter(self, id, text):
        try:
            await self.socket.send(json.dumps({"type": "message", "text": text, "id": id}))
        except ConnectionClosed:
            pass  # it is kept, and said after the reconnect

    async def type(self):
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            if text := line.decode().strip():
                await self.say(text)
        while self.pending:
            await asyncio.sleep(0.05)


async def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    chat = Chat(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
    await asyncio.wait([asyncio.create_task(chat.stay()), asyncio.create_task(chat.type())], return_when=asyncio.FIRST_COMPLETED)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
