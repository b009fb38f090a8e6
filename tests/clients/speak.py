"""One client on Python's `websockets`: speaks to a room, or listens, and tells what it heard.

    speak.py URL say|hear plain|deflate
"""

import asyncio
import hashlib
import random
import sys

from websockets.asyncio.client import connect

# Every form of a length, on both sides of its edges, and the largest message by default.
SIZES = [0, 1, 2, 125, 126, 127, 1000, 65_534, 65_535, 65_536]
END = "that was all"


def messages():
    dice = random.Random(1)
    yield "Grüße, 世界, 🦀"
    for size in SIZES:
        yield "".join(dice.choice("abcdefg ") for _ in range(size))
        yield dice.randbytes(size)
        yield bytes(size)  # compresses well
    yield ["in ", "three ", "fragments"]
    yield END


async def main(url, role, compression):
    digest, count = hashlib.sha256(), 0
    async with connect(url, compression="deflate" if compression == "deflate" else None, max_size=None) as peer:
        offer = peer.response.headers.get("Sec-WebSocket-Extensions", "none")
        print(f"ready {offer}", flush=True)
        if role == "say":
            asyncio.ensure_future(say(peer))
        async for message in peer:
            if message == END:
                break
            kind = "text" if isinstance(message, str) else "binary"
            data = message.encode() if isinstance(message, str) else message
            digest.update(f"{kind} {len(data)}\n".encode() + data)
            count += 1
        await (await peer.ping())
    assert peer.close_code == 1000, peer.close_code
    print(f"heard {count} {digest.hexdigest()}", flush=True)


async def say(peer):
    for message in messages():
        await peer.send(message)


asyncio.run(main(*sys.argv[1:]))
