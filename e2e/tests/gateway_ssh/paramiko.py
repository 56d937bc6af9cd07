import base64
import sys

import paramiko

gateway, container, key, host_key, name = sys.argv[1:]
own = paramiko.Ed25519Key.from_private_key_file(key)
kind, blob = host_key.split()[:2]


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

with connect("gw") as jump:
    channel = jump.get_transport().open_channel("direct-tcpip", (name, 22), ("127.0.0.1", 1))
    inner = paramiko.SSHClient()
    inner.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    inner.connect(name, username="root", pkey=own, sock=channel, allow_agent=False, look_for_keys=False, timeout=20)
    _, out, _ = inner.exec_command("hostname", timeout=20)
    assert out.read() == b"machine-0\n"
    inner.close()
