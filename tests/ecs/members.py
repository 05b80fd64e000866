"""Holds src/api/ecs/members.txt, which says what parameters ECS knows and which it requires, against the model that
botocore carries; and calls every operation that is carried out without what its model requires.

With NEARGATE_BLESS the file is written anew.
"""

import json
import os
import pathlib
import re
import urllib.error
import urllib.request

import boto3

PATH = pathlib.Path(__file__).parents[2] / "src/api/ecs/members.txt"
model = boto3.client("ecs", endpoint_url="http://127.0.0.1:1").meta.service_model


def inner(shape):
    """The structure that stands in a member, alone or in lists."""
    while shape.type_name == "list":
        shape = shape.member
    return shape if shape.type_name == "structure" else None


def rows():
    found, waiting = {}, []
    for operation in model.operation_names:
        found[operation] = model.operation_model(operation).input_shape
        waiting.append(operation)
    while waiting:
        name = waiting.pop()
        for member in (found[name].members if found[name] else {}).values():
            structure = inner(member)
            if structure is not None and structure.name not in found:
                found[structure.name] = structure
                waiting.append(structure.name)
    for name, shape in sorted(found.items()):
        members = []
        for member, value in sorted((shape.members if shape else {}).items()):
            structure = inner(value)
            needed = "!" if member in shape.required_members else ""
            members.append(f"{member}{needed}:{structure.name}" if structure is not None else f"{member}{needed}")
        yield " ".join([name, *members])


text = "\n".join(rows()) + "\n"
if os.environ.get("NEARGATE_BLESS"):
    PATH.write_text(text)
assert PATH.read_text() == text, f"{PATH} is stale: NEARGATE_BLESS=1 python tests/ecs/members.py"


def refusal(target, body):
    """The code and the message that a call is refused with."""
    asked = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], data=json.dumps(body).encode(), headers={
        "X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"})
    try:
        with urllib.request.urlopen(asked) as answer:
            raise AssertionError(f"{target} was accepted without what it requires: {answer.read()}")
    except urllib.error.HTTPError as error:
        said = json.loads(error.read())
        assert error.code == 400, (target, error.code, said)
        return said["__type"], said["message"]


PLAIN = {"string": "x", "boolean": True, "integer": 1, "long": 1, "double": 1.0, "structure": {}, "list": ["x"], "map": {}}
page = (PATH.parents[3] / "docs/ecs-api.md").read_text()
ecs_rows, logs_rows, scaling_rows = re.split(r"^## ", page, flags=re.M)
count = 0
for service, rows_of, code in [("ecs", re.findall(r"^\| `(\w+)` \| yes", ecs_rows, re.M), "InvalidParameterException"),
                               ("logs", re.findall(r"^\| `(\w+)` \|", logs_rows, re.M), "InvalidParameterException"),
                               ("application-autoscaling", re.findall(r"^\| `(\w+)` \|", scaling_rows, re.M),
                                "ValidationException")]:
    known = boto3.client(service, endpoint_url="http://127.0.0.1:1").meta.service_model
    for operation in rows_of:
        shape = known.operation_model(operation).input_shape
        required = shape.required_members if shape else []
        # Each of them alone is left out; what the others say is looked at later.
        whole = {name: PLAIN[shape.members[name].type_name] for name in required}
        for name in required:
            sent = {other: value for other, value in whole.items() if other != name}
            said = refusal(f"{known.metadata['targetPrefix']}.{operation}", sent)
            assert said[0] == code and name.lower() in said[1].lower(), (operation, name, said)
            count += 1
assert count > 70, count
print(f"members are those of the model, and {count} of them are missed")
