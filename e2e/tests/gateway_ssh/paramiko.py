import base64
import logging
import sys
import time

import paramiko

gateway, container, key, host_key, name, megabytes = sys.argv[1:]
own = paramiko.Ed25519Key.from_private_key_file(key)
kind, blob = host_key.split()[:2]


class Rekeys(logging.Handler):
    count = 0

    def emit(self, record):
        self.count += "Switch to new keys" in record.getMessage()


def connect(user):
    client = paramiko.SSHClient()
    client.get_host_keys().add(gateway, kind, paramiko.Ed25519Key(data=base64.b64decode(blob)))
    client.connect(gateway, username=user, pkey=own, allow_agent=False, look_for_keys=False, timeout=20)
    return client


with connect(container) as client:
    _, out, err = client.exec_command("echo hello; echo apart >&2; exit 7", timeout=20)
    assert (out.read(), err.read(), out.channel.recv_exit_status()) == (b"hello\n", b"apart\n", 7)
    shell = client.invoke_shell(term="xterm", width=97, height=41)
    shell.settimeout(20)
    shell.resize_pty(width=80, height=24)
    shell.sendall(b"stty size; exit 3\n")
    text = b""
    while data := shell.recv(4096):
        text += data
    assert b"24 80" in text and shell.recv_exit_status() == 3, text
    with client.open_sftp() as sftp:
        with sftp.open("paramiko", "w") as file:
            file.write(bytes(100000))
        assert sftp.stat("paramiko").st_size == 100000
    with client.get_transport().open_channel("direct-tcpip", ("localhost", 3000), ("127.0.0.1", 1)) as channel:
        channel.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200 OK" in channel.recv(4096)

rekeys, log = Rekeys(), logging.getLogger("paramiko.transport")
log.addHandler(rekeys)
log.setLevel(logging.DEBUG)
log.propagate = False
with connect(container) as client:
    size, begun = int(megabytes) << 20, time.monotonic()
    client.get_transport().packetizer.REKEY_BYTES = size // 10
    to, out, _ = client.exec_command("wc -c", timeout=60)
    for _ in range(size >> 20):
        to.channel.sendall(bytes(1 << 20))
    to.channel.shutdown_write()
    assert int(out.read()) == size
    print(f"paramiko: {size >> 20} MiB up, {rekeys.count} times keys, {time.monotonic() - begun:.1f} s")
    assert rekeys.count >= 8, rekeys.count
    begun, left = time.monotonic(), size
    _, out, _ = client.exec_command(f"head -c {size} /dev/zero", timeout=60)
    while data := out.channel.recv(1 << 20):
        left -= len(data)
    assert left == 0, left
    print(f"paramiko: {size >> 20} MiB down, {rekeys.count} times keys in all, {time.monotonic() - begun:.1f} s")
log.setLevel(logging.WARNING)

with connect("gw") as jump:
    channel = jump.get_transport().open_channel("direct-tcpip", (name, 22), ("127.0.0.1", 1))
    inner = paramiko.SSHClient()
    inner.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    inner.connect(name, username="root", pkey=own, sock=channel, allow_agent=False, look_for_keys=False, timeout=20)
    _, out, _ = inner.exec_command("hostname", timeout=20)
    assert out.read() == b"machine-0\n"
    inner.close()
