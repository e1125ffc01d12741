"""Sends large metadata beside calls of others on one channel, then an ID token.

Prints the code of each size, and how many calls of others failed.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import grpc

SERVICE = "/chatidentity.v1.ChatIdentityService/"
address, sizes, others, token_file = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
channel = grpc.insecure_channel(address)
grpc.channel_ready_future(channel).result(timeout=30)
verify, issue = channel.unary_unary(SERVICE + "VerifyToken"), channel.unary_unary(SERVICE + "IssueToken")


def code(call: grpc.Future) -> str:
    return call.code().name


sent = {size: [] for size in sizes}
beside = []
for n in range(others):
    beside.append(verify.future(b"\x0a\x01x", timeout=10))
    if n % 20 == 0:
        for size in sizes:
            sent[size].append(verify.future(b"\x0a\x01x", timeout=10, metadata=[("x-long", "x" * size)]))
    if n % 100 == 99:
        for call in beside[-100:]:
            code(call)
token = Path(token_file).read_text(encoding="ascii")
proven = issue.future(b"\x0a\x05\x0a\x03ada", timeout=10, metadata=[("x-user-id-token", token)])
print(json.dumps({
    "sizes": {str(size): dict(Counter(map(code, calls))) for size, calls in sent.items()},
    "others": dict(Counter(map(code, beside))),
    "proven": code(proven),
}))
