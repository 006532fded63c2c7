"""The protocol's messages as they are compiled here, against those that its public client brings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from whet.serve.grpc.messages import message

THEIRS = {
    name: found
    for module in (service_pb2, model_config_pb2)
    for name, found in module.DESCRIPTOR.message_types_by_name.items()
}
SHARED = sorted(
    set(THEIRS) & set(message("inference.ModelInferRequest").DESCRIPTOR.file.message_types_by_name)
)


def test_the_compiled_file_is_up_to_date(repo_root: Path) -> None:
    command = [sys.executable, "scripts/protocol.py", "--check"]
    assert subprocess.run(command, cwd=repo_root, check=False).returncode == 0


def test_most_of_the_protocol_is_there() -> None:
    assert len(SHARED) > 35


@pytest.mark.parametrize("name", SHARED)
def test_names_numbers_and_kinds_are_the_protocols(name: str) -> None:
    compare(message(f"inference.{name}").DESCRIPTOR, THEIRS[name])


def compare(ours: Any, theirs: Any) -> None:
    known = {field.name: field for field in theirs.fields}
    for field in ours.fields:
        if (ours.name, field.name) == ("ModelMetadataResponse", "properties"):
            continue  # the specification has it, the client doesn't know it
        other = known[field.name]
        assert (field.number, field.type) == (other.number, other.type), field.full_name
        assert field.is_repeated == other.is_repeated, field.full_name
        if field.message_type is not None:
            assert field.message_type.full_name == other.message_type.full_name
    for nested in ours.nested_types:
        if nested.name != "PropertiesEntry":
            compare(nested, theirs.nested_types_by_name[nested.name])


def test_values_of_enumerations_are_the_protocols() -> None:
    ours = message("inference.ModelConfig").DESCRIPTOR.file.enum_types_by_name["DataType"]
    theirs = model_config_pb2.DESCRIPTOR.enum_types_by_name["DataType"]
    known = {value.name: value.number for value in theirs.values}
    assert {value.name: known[value.name] for value in ours.values} == {
        value.name: value.number for value in ours.values
    }


def test_ours_and_theirs_live_side_by_side() -> None:
    """Both describe one package; only in a pool of their own don't they clash."""
    ours = message("inference.ModelInferRequest")(model_name="m", raw_input_contents=[b"1"])
    theirs = service_pb2.ModelInferRequest.FromString(ours.SerializeToString())
    assert (theirs.model_name, list(theirs.raw_input_contents)) == ("m", [b"1"])
