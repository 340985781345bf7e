"""The quick reader of GGUF files reads what the library's own reads, and tables of names are made once."""

import gguf
import numpy as np
import pytest
from gguf.gguf_reader import GGUFReader

from bench.toolkit.quick_gguf import PlainReader


@pytest.fixture
def file(tmp_path):
    """A file with a vocabulary, numbers and a tensor."""
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_token_list([f"token {number}" for number in range(5)] + ["é"])
    writer.add_token_types([1, 2, 3, 1, 1, 1])
    writer.add_context_length(2048)
    writer.add_tensor("output.weight", np.arange(12, dtype=np.float32).reshape(3, 4))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "model.gguf"


def test_it_reads_the_same_in_plain_arrays(file):
    assert gguf.GGUFReader is PlainReader
    quick, own = PlainReader(file), GGUFReader(file)
    assert list(quick.fields) == list(own.fields)
    for name, field in quick.fields.items():
        other = own.fields[name]
        assert (field.offset, field.data, field.types) == (other.offset, other.data, other.types)
        assert [part.tolist() for part in field.parts] == [part.tolist() for part in other.parts]
        assert {type(part) for part in field.parts} == {np.ndarray}
    (tensor,), (expected,) = quick.tensors, own.tensors
    assert (tensor.name, tensor.tensor_type, tensor.data_offset) == (
        expected.name, expected.tensor_type, expected.data_offset,
    )  # fmt: skip
    np.testing.assert_array_equal(tensor.data, expected.data)
    assert type(tensor.data) is np.ndarray


def test_the_table_of_names_is_made_once():
    first, second = (gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2) for _ in range(2))
    assert first is second
    assert first.get_name("model.layers.1.mlp.up_proj") == "blk.1.ffn_up"
