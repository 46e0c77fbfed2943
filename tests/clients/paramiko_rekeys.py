"""paramiko that wants new keys after every half MiB, both ways: usage: paramiko_rekeys.py PORT USER KEY_FILE

The server wants them after every MiB, so that both ask at the same time now and then. A transfer that stands still for twenty seconds
ends the script."""
import sys

import paramiko
from paramiko.packet import Packetizer

Packetizer.REKEY_BYTES = 1 << 19
exchanges = 0
begin = paramiko.Transport._send_kex_init


def counted(transport):
    global exchanges
    exchanges += 1
    return begin(transport)


paramiko.Transport._send_kex_init = counted
port, user, key = sys.argv[1:4]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", int(port), user, key_filename=key, allow_agent=False, look_for_keys=False, timeout=20, auth_timeout=20)
sftp = client.open_sftp()
sftp.get_channel().settimeout(20)
with open("grande.bin", "rb") as source:
    want = source.read()
for _ in range(4):
    sftp.put("grande.bin", "in/grande.part")
    sftp.get("in/grande.part", "indietro.bin")
    with open("indietro.bin", "rb") as back:
        assert back.read() == want
client.close()
assert exchanges > 50, exchanges
