"""The .proto files: generated code is fresh, and the codec does what the comments promise."""

import filecmp
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorSet
from grpc_tools import protoc  # type: ignore[import-untyped]

from goalkick.common.codec.protobuf import KINDS
from goalkick.common.values.instruments import Instrument

ROOT = Path(__file__).parents[3]
PROTOS = ROOT / "protos"
GENERATED = ROOT / "libs" / "common" / "src" / "goalkick" / "proto"
FILES = sorted(PROTOS.rglob("*.proto"))


def _tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*.py*") if path.suffix != ".pyc"}


def test_generated_code_is_what_the_proto_files_give(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(PROTOS / "generate.py"), str(tmp_path)], check=True)
    fresh = tmp_path / "goalkick" / "proto"
    assert _tree(fresh) == _tree(GENERATED)
    _, differing, errors = filecmp.cmpfiles(fresh, GENERATED, _tree(fresh), shallow=False)
    assert (differing, errors) == ([], []), "run `make proto`"


def test_the_namespace_stays_open() -> None:
    assert not list(GENERATED.rglob("__init__.py"))
    assert not (GENERATED.parent / "__init__.py").exists()


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    """All files with their comments."""
    out = tmp_path_factory.mktemp("described") / "set.bin"
    arguments = ["protoc", f"-I{PROTOS}", "--include_source_info", f"--descriptor_set_out={out}"]
    assert protoc.main([*arguments, *map(str, FILES)]) == 0
    return FileDescriptorSet.FromString(out.read_bytes())


def _fields(described: FileDescriptorSet) -> Iterator[tuple[str, FieldDescriptorProto, str]]:
    """(message, field, the field's comment as one line)."""
    for file in described.file:
        comments = {tuple(at.path): at.leading_comments for at in file.source_code_info.location}
        for i, message in enumerate(file.message_type):
            for j, field in enumerate(message.field):
                yield message.name, field, " ".join(comments[4, i, 2, j].split())


def test_every_field_says_whether_it_may_be_absent(described: FileDescriptorSet) -> None:
    said = re.compile(r"Never absent|May be absent: .|None: .")
    repeated = FieldDescriptorProto.LABEL_REPEATED
    for message, field, comment in _fields(described):
        name = f"{message}.{field.name}"
        if message == "Decimal" and field.HasField("oneof_index"):
            continue  # the oneof says it for both
        assert said.search(comment), name
        assert (field.label == repeated) == ("None: " in comment), name


def test_a_comment_promises_what_the_codec_does(described: FileDescriptorSet) -> None:
    structs = {kind.__name__: kind for kind in KINDS.values()} | {"Instrument": Instrument}
    checked = 0
    for message, field, comment in _fields(described):
        if message not in structs or field.label == FieldDescriptorProto.LABEL_REPEATED:
            continue
        info = next(f for f in msgspec.structs.fields(structs[message]) if f.name == field.name)
        may_be_absent = info.default is not msgspec.NODEFAULT
        assert ("May be absent" in comment) == may_be_absent, f"{message}.{field.name}"
        checked += 1
    assert checked > 200


def test_every_time_is_fixed_and_says_utc(described: FileDescriptorSet) -> None:
    for message, field, comment in _fields(described):
        is_time = field.type == FieldDescriptorProto.TYPE_SFIXED64
        assert is_time == ("UTC ns" in comment), f"{message}.{field.name}"
        if is_time or re.search(r"\bns\b", comment):
            assert field.name.endswith("_ns"), f"{message}.{field.name}"
