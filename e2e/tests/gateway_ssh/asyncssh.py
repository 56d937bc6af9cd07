import asyncio
import sys
import tempfile
import time

import asyncssh

gateway, container, key, host_key, name, megabytes = sys.argv[1:]


async def much(trusted, size):
    async with asyncssh.connect(
        gateway,
        username=container,
        client_keys=[key],
        known_hosts=trusted,
        agent_path=None,
        compression_algs=["none"],
    ) as c:
        begun = time.monotonic()
        counter = await c.create_process("wc -c", encoding=None)
        for _ in range(size >> 20):
            counter.stdin.write(bytes(1 << 20))
            await counter.stdin.drain()
        counter.stdin.write_eof()
        assert int(await counter.stdout.read()) == size
        print(f"asyncssh: {size >> 20} MiB up, {time.monotonic() - begun:.1f} s")
        begun = time.monotonic()
        zeros = await c.create_process(f"head -c {size} /dev/zero", encoding=None)
        left = size
        while data := await zeros.stdout.read(1 << 20):
            left -= len(data)
        assert left == 0, left
        print(f"asyncssh: {size >> 20} MiB down, {time.monotonic() - begun:.1f} s")


async def main():
    trusted = ([asyncssh.import_public_key(host_key)], [], [])
    async with asyncssh.connect(gateway, username=container, client_keys=[key], known_hosts=trusted, agent_path=None) as c:
        done = await c.run("echo hello; echo apart >&2; exit 7")
        assert (done.stdout, done.stderr, done.exit_status) == ("hello\n", "apart\n", 7), done

        # A signal to a process, and the process's end by it.
        sleeper = await c.create_process("echo ready; exec sleep 1000")
        assert await sleeper.stdout.readline() == "ready\n"
        sleeper.send_signal("USR1")
        await sleeper.wait()
        assert sleeper.exit_signal and sleeper.exit_signal[0] == "USR1", sleeper.exit_signal

        # A terminal that changes its size.
        terminal = await c.create_process("stty size; read x; stty size", term_type="xterm", term_size=(97, 41))
        assert (await terminal.stdout.readline()).strip() == "41 97"
        terminal.change_terminal_size(80, 24)
        terminal.stdin.write("\n")
        rest = await terminal.stdout.read()
        assert "24 80" in rest, rest

        async with c.start_sftp_client() as sftp, sftp.open("asyncssh", "wb") as file:
            await file.write(bytes(100000))
        assert (await c.run("wc -c < asyncssh")).stdout.strip() == "100000"

        try:
            await c.create_process(subsystem="nosuch")
            raise AssertionError("there is no such subsystem")
        except asyncssh.ChannelOpenError:
            pass
        try:
            await c.open_connection("127.0.0.1", 9)
            raise AssertionError("nobody listens there")
        except asyncssh.ChannelOpenError as error:
            assert "refused" in str(error), error

        # Somebody who does not read, and somebody who is not read, hold up nobody else.
        _, deaf = await c.open_connection("127.0.0.1", 3001)
        for _ in range(256):
            deaf.write(bytes(65536))
        loud, _ = await c.open_connection("127.0.0.1", 3002)
        assert len(await loud.readexactly(1)) == 1
        begun = time.monotonic()
        for _ in range(5):
            assert (await asyncio.wait_for(c.run("echo alive"), 10)).stdout == "alive\n"
        print(f"beside stuck channels a command takes {(time.monotonic() - begun) / 5:.3f} s")
        deaf.channel.abort()
        assert len(await loud.readexactly(8 << 20)) == 8 << 20

    await much(trusted, int(megabytes) << 20)

    # A jump: the inner session is the container's own.
    async with asyncssh.connect(gateway, username="gw", client_keys=[key], known_hosts=trusted, agent_path=None) as jump:
        async with jump.connect_ssh(name, username="root", client_keys=[key], known_hosts=None, agent_path=None) as c:
            assert (await c.run("hostname")).stdout == "machine-0\n"
        try:
            await jump.open_connection("127.0.0.1", 22)
            raise AssertionError("a jump leads to containers and nowhere else")
        except asyncssh.ChannelOpenError as error:
            assert "no container of this name" in str(error), error


asyncio.run(asyncio.wait_for(main(), 480))
