"""Holds src/api/ecs/members.txt, which says what parameters ECS knows, against the model that botocore carries.

With NEARGATE_BLESS it is written anew.
"""

import os
import pathlib

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
            members.append(f"{member}:{structure.name}" if structure is not None else member)
        yield " ".join([name, *members])


text = "\n".join(rows()) + "\n"
if os.environ.get("NEARGATE_BLESS"):
    PATH.write_text(text)
assert PATH.read_text() == text, f"{PATH} is stale: NEARGATE_BLESS=1 python tests/ecs/members.py"
print("members are those of the model")
