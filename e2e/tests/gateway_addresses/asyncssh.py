# A container by an address of its own: nothing but the address and the key says which.
import asyncio
import sys

import asyncssh

address, container, key, host_key = sys.argv[1:]


async def main():
    trusted = ([asyncssh.import_public_key(host_key)], [], [])
    async with asyncssh.connect(address, username="root", client_keys=[key], known_hosts=trusted, agent_path=None) as c:
        done = await c.run("cat mark; exit 7")
        assert (done.stdout, done.exit_status) == (container + "\n", 7), done
        async with c.start_sftp_client() as sftp:
            async with sftp.open("asyncssh", "w") as file:
                await file.write("by address")
            async with sftp.open("mark") as file:
                assert await file.read() == container + "\n"
        assert (await c.run("cat asyncssh")).stdout == "by address"


asyncio.run(asyncio.wait_for(main(), 60))
