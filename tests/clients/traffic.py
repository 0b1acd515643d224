"""Holds what was said and told against an AsyncAPI document: traffic.py DOCUMENT < LINES. Each line is JSON, with what it
is (`message`, or `ack` of an operation) and its `payload`. Tells what is not as described, and which messages never came.
"""

import json
import sys

from jsonschema import Draft202012Validator, FormatChecker

document = json.load(open(sys.argv[1]))
components = document["components"]
faults, unseen = [], set(components["messages"])


def told(name):
    return any(
        operation["action"] == "send" and operation["messages"][0]["$ref"].endswith("/" + name)
        for operation in document["operations"].values()
    )


def schema(kind, name):
    if kind == "ack":
        return document["operations"][name]["x-ack"]
    return components["messages"][name]["payload"]


for line in map(json.loads, sys.stdin):
    kind = "ack" if "ack" in line else "message"
    name = line[kind]
    if kind == "message":
        unseen.discard(name)
    try:
        wanted = schema(kind, name)
    except KeyError:
        faults.append(f"{kind} {name} is not described")
        continue
    # What the server tells has no fields that are not described.
    if kind == "ack" or told(name):
        wanted = {**wanted, "unevaluatedProperties": False}
    validator = Draft202012Validator({**wanted, "components": components}, format_checker=FormatChecker())
    for fault in validator.iter_errors(line["payload"]):
        faults.append(f"{kind} {name}: {fault.json_path}: {fault.message[:300]}")

faults += [f"message {name} never came" for name in sorted(unseen)]
print("\n".join(faults))
sys.exit(bool(faults))
