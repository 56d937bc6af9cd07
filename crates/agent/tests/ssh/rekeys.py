import asyncio
import os
import sys
import time

import asyncssh

port, key, host_key, file = sys.argv[1:]
size = os.path.getsize(file)


async def stream(c):
    counter = await c.create_process("wc -c", encoding=None)
    for _ in range(size >> 20):
        counter.stdin.write(bytes(1 << 20))
        await counter.stdin.drain()
    counter.stdin.write_eof()
    assert int(await counter.stdout.read()) == size


async def put(c):
    async with c.start_sftp_client() as sftp:
        await sftp.put(file, "put")
        assert (await sftp.stat("put")).size == size
        await sftp.remove("put")


async def main():
    trusted = ([asyncssh.import_public_key(host_key)], [], [])
    for send in [stream, put]:
        begun = time.monotonic()
        async with asyncssh.connect(
            "127.0.0.1",
            port=int(port),
            username="root",
            client_keys=[key],
            known_hosts=trusted,
            agent_path=None,
            compression_algs=["none"],
        ) as c:
            keys = 0
            begin = c._send_kexinit

            def count():
                nonlocal keys
                keys += 1
                begin()

            c._send_kexinit = count
            await send(c)
            print(f"asyncssh, {send.__name__}: {size >> 20} MiB, {time.monotonic() - begun:.1f} s, {keys} times keys")
            assert keys == 1, keys


asyncio.run(asyncio.wait_for(main(), 240))
