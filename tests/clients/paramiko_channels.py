"""A pool of sftp channels over one connection: usage: paramiko_channels.py PORT USER KEY_FILE UNUSED"""
import sys
import time

import paramiko

port, user, key, _ = sys.argv[1:]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", int(port), user, key_filename=key, allow_agent=False, look_for_keys=False, timeout=20, auth_timeout=20)
transport = client.get_transport()


def opened(number):
    try:
        channel = transport.open_session(timeout=20)
    except paramiko.SSHException as error:
        raise SystemExit(f"channel {number}: {error}")
    channel.settimeout(20)
    channel.invoke_subsystem("sftp")
    return channel


def closed(channel, number):
    until = time.monotonic() + 20
    while not channel.closed:
        if time.monotonic() > until:
            raise SystemExit(f"channel {number}: the door does not close it")
        time.sleep(0.001)


# One after the other, closed by the client: EOF and CLOSE together.
for number in range(12):
    sftp = paramiko.SFTPClient(opened(number))
    assert "in" in sftp.listdir("."), number
    sftp.close()
# With one place left. First the client closes, then the door: to EOF alone it answers with the status, EOF and CLOSE.
held = [paramiko.SFTPClient(opened(number)) for number in range(3)]
for number in range(100, 112):
    sftp = paramiko.SFTPClient(opened(number))
    sftp.listdir(".")
    sftp.close()
    channel = opened(number)
    channel.shutdown_write()
    assert channel.recv_exit_status() == 0, number
    closed(channel, number)
    channel = opened(number)
    channel.shutdown_write()
    assert channel.recv_exit_status() == 0, number
    # Its place is free before the client is told.
last = paramiko.SFTPClient(opened("last"))
# As many as the configuration of the door says, and no more.
try:
    transport.open_session(timeout=20)
    raise SystemExit("a fifth at one time")
except paramiko.ChannelException as error:
    assert error.code == 4, error
for sftp in [*held, last]:
    assert "in" in sftp.listdir("."), "those that stayed open work"
client.close()
