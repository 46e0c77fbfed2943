"""paramiko `put` and `get` of one big file: usage: paramiko_prefetch.py PORT USER KEY_FILE"""
import sys

import paramiko

port, user, key = sys.argv[1:4]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", int(port), user, key_filename=key, allow_agent=False, look_for_keys=False, timeout=20)
sftp = client.open_sftp()
sftp.get_channel().settimeout(60)
sftp.put("grande.bin", "in/grande.part")
sftp.get("in/grande.part", "indietro.bin")
client.close()
