"""A real SMTP server (aiosmtpd) that does what a file of rules says; told everything on its command line.

    smtp_server.py PORT FOLDER plain|starttls|tls [USER PASSWORD]

FOLDER/rules.json is read at each command (see `rules`); FOLDER/cert.pem and key.pem are used for TLS. What is accepted is
appended to FOLDER/mails.jsonl, on the disk before the 250.

rules: {"rcpt": {"address": [[code, text], ...]}   answers one after the other, then the last for ever ("ok": accepted)
        "from": "550 no", "data": "451 later"      instead of accepting
        "stall": "connect|from|rcpt|data"          never an answer
        "drop": true                               the message is taken and the connection closed without an answer}
"""
import asyncio
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

port, folder, mode = int(sys.argv[1]), sys.argv[2], sys.argv[3]
login = tuple(word.encode() for word in sys.argv[4:6])
asked = {}


def rules():
    try:
        with open(os.path.join(folder, "rules.json")) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def keep(line):
    with open(os.path.join(folder, "mails.jsonl"), "a") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


async def stall(step):
    while rules().get("stall") == step:
        await asyncio.sleep(0.1)


class Handler:
    async def handle_MAIL(self, server, session, envelope, address, options):
        await stall("from")
        if "from" in rules():
            return rules()["from"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        await stall("rcpt")
        answers = rules().get("rcpt", {}).get(address)
        if answers:
            turn = asked[address] = asked.get(address, -1) + 1
            answer = answers[min(turn, len(answers) - 1)]
            if answer != "ok":
                return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        await stall("data")
        if "data" in rules():
            return rules()["data"]
        # Decided before anybody sees the message: who waits for it may change the rules at once.
        drop = rules().get("drop")
        text = envelope.content.decode("ascii")
        keep({"to": envelope.rcpt_tos, "from": envelope.mail_from, "message": text,
              "tls": server.transport.get_extra_info("sslcontext") is not None, "login": bool(session.authenticated)})
        if drop:
            server.transport.abort()
            return "250 nobody hears it"
        return "250 taken as 4711"


def authenticate(server, session, envelope, mechanism, data):
    good = getattr(data, "login", None) == login[0] and getattr(data, "password", None) == login[1]
    return AuthResult(success=good, handled=not good and False)


class Mute(asyncio.Protocol):
    pass


def make():
    if rules().get("stall") == "connect":
        return Mute()
    kwargs = dict(hostname="localhost", ident="prova", enable_SMTPUTF8=False)
    if mode == "starttls":
        kwargs.update(tls_context=context, require_starttls=True)
    if login:
        kwargs.update(authenticator=authenticate, auth_required=True, auth_require_tls=mode == "starttls")
    return SMTP(Handler(), **kwargs)


context = None
if mode != "plain":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem"))


async def main():
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", port, ssl=context if mode == "tls" else None)
    print("in ascolto", flush=True)
    await server.serve_forever()


asyncio.run(main())
