"""The whole tour, as a newcomer makes it who has read the description of the interface and nothing else.

Needs BERTH_URL, BERTH_USERNAME and BERTH_PASSWORD of an administrator, and STRANGER_TOKEN of somebody else. Says each step;
the first surprise ends it with a traceback.
"""

import json
import os
import subprocess
import tempfile
import time

import requests
import websocket

URL = os.environ["BERTH_URL"]
# How long anything may take that takes seconds on an idle machine.
LONG = 180


class Client:
    def __init__(self, token=None):
        self.token = token
        self.http = requests.Session()
        if token:
            self.http.headers["Authorization"] = f"Bearer {token}"

    def call(self, method, path, body=None, expect=200, headers=None):
        answer = self.http.request(method, URL + path, json=body, headers=headers, timeout=LONG)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        assert answer.headers["X-Request-Id"]
        if expect >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json"
            problem = answer.json()
            assert problem["status"] == expect and problem["detail"] == problem["error"] and problem["code"], problem
        return answer

    def get(self, path, expect=200):
        return self.call("GET", path, expect=expect).json()

    def post(self, path, body=None, expect=200, headers=None):
        return self.call("POST", path, body, expect, headers).json()

    def put(self, path, body, expect=200):
        return self.call("PUT", path, body, expect).json()

    def delete(self, path, expect=200):
        return self.call("DELETE", path, expect=expect).json()

    def socket(self, path):
        address = URL.replace("http", "ws", 1) + path
        return websocket.create_connection(address, header=[f"Authorization: Bearer {self.token}"], timeout=LONG)

    def run(self, container, command):
        """What a command prints in a terminal of its own."""
        socket = self.socket(f"/compute/containers/{container}/terminal?command={requests.utils.quote(command)}")
        printed = b""
        while True:
            opcode, data = socket.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return printed.decode(), data[2:].decode()
            printed += data

    def wait(self, container, state):
        answer = self.get(f"/compute/containers/{container}/wait?for={state}&timeout={LONG}")
        assert answer["reached"], answer
        return answer


def step(words):
    print(f"· {words}", flush=True)


def log_in():
    step("log in")
    anonymous = Client()
    assert anonymous.get("/healthz") == {"status": "ok"} and anonymous.get("/readyz") == {"status": "ok"}
    assert anonymous.get("/auth/methods")["password"] is True
    assert anonymous.get("/compute/containers", expect=401)["code"] == "unauthenticated"
    login = {"username": os.environ["BERTH_USERNAME"], "password": "not this"}
    anonymous.post("/auth/login", login, expect=401)
    login["password"] = os.environ["BERTH_PASSWORD"]
    me = Client(anonymous.post("/auth/login", login)["token"])
    assert me.get("/auth/me")["username"] == login["username"]
    return me


def look_around(me):
    step("see what there is to choose from")
    types = me.get("/compute/instance-types")["instance_types"]
    assert any(row["available"] for row in types), types
    images = me.get("/compute/images")
    assert images[0]["source"] == "builtin" and images[0]["image"], images
    assert me.get("/compute/quota")["containers"]["used"] == 0
    assert me.get("/compute/containers") == {"containers": []}


def add_key(me):
    step("add an SSH key")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/key"], check=True)
        with open(f"{folder}/key.pub") as file:
            line = file.read().strip()
    key = me.post("/compute/ssh-keys", {"name": "laptop", "public_key": line}, expect=201)
    assert me.post("/compute/ssh-keys", {"name": "again", "public_key": line}, expect=409)["field"] == "public_key"
    me.post("/compute/ssh-keys", {"name": "bad", "public_key": "ssh-rsa nonsense"}, expect=422)
    assert [row["id"] for row in me.get("/compute/ssh-keys")["ssh_keys"]] == [key["id"]]
    return key


def create(me):
    step("create a container and watch it come up")
    watch = me.socket("/compute/ws")
    assert json.loads(watch.recv()) == {"type": "containers", "data": []}
    body = {"name": "tour", "memory_mb": 128, "storage_gb": 1}
    for wrong, field in [({"memory_mb": -1}, "memory_mb"), ({"image": "docker.io/library/debian"}, "image"),
                         ({"colour": "red"}, "colour"), ({"instance_type": "huge"}, "instance_type")]:
        assert me.post("/compute/containers", {**body, **wrong}, expect=422)["field"] == field
    headers = {"Idempotency-Key": "tour-1"}
    created = me.call("POST", "/compute/containers", body, 201, headers)
    container = created.json()["id"]
    assert created.headers["Location"] == f"/compute/containers/{container}"
    assert me.post("/compute/containers", body, 201, headers)["id"] == container
    assert me.post("/compute/containers", {**body, "memory_mb": 256}, 409, headers)["field"] == "Idempotency-Key"
    assert me.post("/compute/containers", body, expect=409)["field"] == "name"
    seen = []
    while "running" not in seen:
        frame = json.loads(watch.recv())
        if frame["type"] == "container_status" and frame["data"]["container_id"] == container:
            seen.append(frame["data"]["status"])
    watch.close()
    shown = me.get(f"/compute/containers/{container}")
    assert shown["hostname"].startswith(f"{container}.compute.") and shown["ssh_command"].endswith(shown["hostname"])
    assert me.wait(container, "running")["status"] == "running"
    kinds = [event["type"] for event in me.get(f"/compute/containers/{container}/events")["events"]]
    assert kinds, "the timeline tells how it came up"
    return container


def keep_to_oneself(container):
    step("nobody else sees it")
    stranger = Client(os.environ["STRANGER_TOKEN"])
    for path in ["", "/ssh", "/ingress", "/mounts", "/events", "/logs"]:
        stranger.get(f"/compute/containers/{container}{path}", expect=404)
    stranger.delete(f"/compute/containers/{container}", expect=404)
    stranger.get("/compute/admin/containers", expect=403)


def work(me, container):
    step("work in a terminal, and read the log")
    terminal = me.socket(f"/compute/containers/{container}/terminal")
    terminal.send(json.dumps({"type": "resize", "cols": 132, "rows": 40}))
    terminal.send_binary(b"stty size; echo by hand > /root/letter; echo to the log > /proc/1/fd/1; exit\n")
    printed, opcode = b"", None
    while opcode != websocket.ABNF.OPCODE_CLOSE:
        opcode, data = terminal.recv_data()
        printed += data
    assert b"40 132" in printed, printed
    assert me.run(container, "cat /root/letter")[0] == "by hand\r\n"
    lines = me.call("GET", f"/compute/containers/{container}/logs?tail=5").text.splitlines()
    assert lines[-1].endswith("Z to the log") and lines[-1][4] == "-", lines
    follow = me.socket(f"/compute/containers/{container}/logs?tail=1")
    assert follow.recv() == lines[-1]
    me.run(container, "sh -c 'echo and more > /proc/1/fd/1'")
    assert follow.recv().endswith(" and more")
    follow.close()


def expose(me, container, key):
    step("let others in: ports and SSH")
    path = f"/compute/containers/{container}/ingress"
    rule = me.post(path, {"port": 8080, "target_port": 3000}, expect=201)
    assert me.post(path, {"port": 8080}, expect=409)["field"] == "port"
    assert me.post(path, {"port": 22}, expect=422)["field"] == "port"
    assert me.post(path, {"port": 443, "target_port": 3000}, expect=201)["target_port"] == 3000
    assert me.get(f"/compute/containers/{container}")["https_enabled"] is True
    assert me.get(path)["rules"][1] == rule and isinstance(rule["created_at"], int)
    assert me.delete(f"{path}/443") == {"status": "ok"}
    assert me.get(f"/compute/containers/{container}")["https_enabled"] is False
    assert me.put(f"/compute/containers/{container}/ssh", {"ssh_enabled": True})["ssh_key_ids"] == [key["id"]]
    assert me.get(f"/compute/containers/{container}/ssh")["ssh_enabled"] is True


def change(me, container):
    step("change its folders and its pull policy")
    path = f"/compute/containers/{container}/mounts"
    assert me.put(path, {"mount_paths": ["/etc"]}, expect=422)["field"].startswith("mount_paths")
    changed = me.put(path, {"mount_paths": ["/root", "/srv/data"]})
    assert changed == {"mount_paths": ["/root", "/srv/data"], "restarted": True}
    me.wait(container, "running")
    assert me.run(container, "cat /root/letter")[0] == "by hand\r\n", "a restart keeps the disk"
    answer = me.put(f"/compute/containers/{container}/pull-policy", {"pull_policy": "Always"})
    assert answer == {"pull_policy": "Always"}


def stop_and_start(me, container):
    step("stop it, start it, and find everything as it was")
    assert me.post(f"/compute/containers/{container}/stop")["status"] == "stopped"
    assert me.wait(container, "stopped")["container"]["stopped_at"]
    try:
        me.socket(f"/compute/containers/{container}/terminal")
        raise AssertionError("a stopped container has no terminal")
    except websocket.WebSocketBadStatusException as refused:
        assert refused.status_code == 409, refused
    assert me.get(f"/compute/containers/{container}/events")["events"], "the timeline outlives the pod"
    assert me.post(f"/compute/containers/{container}/start")["status"] == "pending"
    me.wait(container, "running")
    assert me.run(container, "cat /root/letter")[0] == "by hand\r\n"


def lend(me, container):
    step("lend a token that may only look")
    user = me.get("/auth/me")["user_id"]
    scopes = {f"compute.{user}.containers.{container}": ["read"]}
    token = me.post("/auth/tokens", {"name": "looker", "scopes": scopes}, expect=201)
    looker = Client(token["secret"])
    assert looker.get(f"/compute/containers/{container}")["id"] == container
    looker.post(f"/compute/containers/{container}/stop", expect=403)
    assert me.delete(f"/auth/tokens/{token['id']}") == {"status": "ok"}
    looker.get(f"/compute/containers/{container}", expect=401)


def administer(me, container):
    step("look at everybody's as an administrator")
    row = next(row for row in me.get("/compute/admin/containers") if row["id"] == container)
    assert isinstance(row["created_at"], int) and row["owner"] == os.environ["BERTH_USERNAME"]
    actions = {entry["action"] for entry in me.get("/compute/admin/audit?limit=200")["entries"]}
    assert {"container.create", "container.stop", "terminal.open"} <= actions, actions


def leave(me, container, key):
    step("leave nothing behind")
    assert me.delete(f"/compute/ssh-keys/{key['id']}") == {"status": "ok"}
    assert me.delete(f"/compute/containers/{container}") == {"status": "ok"}
    assert me.get("/compute/containers") == {"containers": []}
    me.delete(f"/compute/containers/{container}", expect=404)
    me.wait(container, "deleted")
    me.post("/auth/logout")
    me.get("/auth/me", expect=401)


def main():
    began = time.monotonic()
    me = log_in()
    look_around(me)
    key = add_key(me)
    container = create(me)
    keep_to_oneself(container)
    work(me, container)
    expose(me, container, key)
    change(me, container)
    stop_and_start(me, container)
    lend(me, container)
    administer(me, container)
    leave(me, container, key)
    print(f"the whole tour: {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
