"""Tables in files: what is read, and what is refused with the line or the column."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from small_tables import as_csv, people, write

from fnn.cli.table import read_table


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n1,2,3\n4,5\n", "every line must have 3 values, .*; got 2 in line 3"),
        ("a,b,c\n1,2,3\n4,5,6,7\n8,9,1\n", "every line must have 3 values, .*; got 4 in line 3"),
        ('a,b\n1,"two\nlines"\n\n3,4,5\n', "every line must have 2 values, .*; got 3 in line 5"),
        ("a,b\n", "must have rows; got only their names"),
        ("", "Empty CSV file"),
        ("a,b,a\n1,2,3\n", "columns must have different names; got two 'a'"),
        (b"a,b\n1,\xff\n", "column 'b' must hold text in UTF-8"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_the_line_or_the_column(text, message, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=f"^{path}: .*{message}"):
        read_table(path)


def test_what_is_no_file_of_a_known_kind_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match=r"must be a file that ends in \.csv, .*; got \.xlsx"):
        read_table(write(tmp_path, "a,b\n1,2\n", "data.xlsx"))
    with pytest.raises(ValueError, match="must be a Parquet file"):
        read_table(write(tmp_path, "a,b\n1,2\n", "data.parquet"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_is_found_and_missing_values_are_missing(delimiter, tmp_path):
    text = as_csv(people(12), delimiter, "?")
    table = read_table(write(tmp_path, "\ufeff" + text))
    assert table.column_names == list(people(1)[0])
    assert [table[name].null_count for name in ("age", "home", "nothing")] == [1, 1, 12]
    assert pa.types.is_integer(table.schema.field("age").type)
    assert pa.types.is_boolean(table.schema.field("smokes").type)


def test_a_delimiter_within_a_quoted_name_is_none(tmp_path):
    table = read_table(write(tmp_path, '"weight, kg";"height, in ""feet""";x\n1;2;3\n'))
    assert table.column_names == ["weight, kg", 'height, in "feet"', "x"]


def test_texts_that_look_like_numbers_stay_texts_where_they_are_to_be(tmp_path):
    path = write(tmp_path, "code,size\n007,1\n10,2\n")
    assert read_table(path)["code"].to_pylist() == [7, 10]
    assert read_table(path, ["code", "not there"])["code"].to_pylist() == ["007", "10"]


def test_a_late_value_decides_what_a_long_column_holds(tmp_path):
    lines = "1\n" * 700_000  # more than a block of PyArrow's
    table = read_table(write(tmp_path, f"a\n{lines}x\n"))
    assert pa.types.is_string(table.schema.field("a").type)


def test_parquet_is_read_as_it_is(tmp_path):
    path = tmp_path / "data.parquet"
    table = pa.table({"a": np.arange(3), "b": pa.array(["x", "y", "x"]).dictionary_encode()})
    pyarrow.parquet.write_table(table, path)
    assert read_table(path).equals(table)
