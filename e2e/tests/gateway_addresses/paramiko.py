# A container by an address of its own: nothing but the address and the key says which.
import base64
import sys

import paramiko

address, container, key, host_key = sys.argv[1:]
kind, blob = host_key.split()[:2]
with paramiko.SSHClient() as client:
    client.get_host_keys().add(address, kind, paramiko.Ed25519Key(data=base64.b64decode(blob)))
    own = paramiko.Ed25519Key.from_private_key_file(key)
    client.connect(address, username="root", pkey=own, allow_agent=False, look_for_keys=False, timeout=20)
    _, out, _ = client.exec_command("cat mark; exit 7", timeout=20)
    assert (out.read().decode(), out.channel.recv_exit_status()) == (container + "\n", 7)
    with client.open_sftp() as sftp:
        with sftp.open("paramiko", "w") as file:
            file.write("by address")
        with sftp.open("mark") as file:
            assert file.read().decode() == container + "\n"
    _, out, _ = client.exec_command("cat paramiko", timeout=20)
    assert out.read() == b"by address"
