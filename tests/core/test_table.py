"""Tables: as text and in a notebook."""

import numpy as np

import fnn


def table_of(rows):
    table = fnn.Table({"net.<a>": np.arange(rows), "b": np.linspace(0, 1, rows)})
    table.note = "a & b"
    return table


def test_a_short_table_is_shown_in_full():
    text = "net.<a>    b\n      0    0\n      1  0.5\n      2    1\na & b"
    assert str(table_of(3)) == repr(table_of(3)) == text


def test_of_a_long_table_that_is_not_printed_the_first_rows_are_shown():
    lines = repr(table_of(30)).splitlines()
    assert lines[:-2] == str(table_of(30)).splitlines()[:21]
    assert lines[-2:] == ["... and 10 more rows", "a & b"]
    assert len(str(table_of(30)).splitlines()) == 32
    assert table_of(30)._repr_html_().count("<tr>") == 21
    assert "<p>... and 10 more rows</p>" in table_of(30)._repr_html_()


def test_in_a_notebook_names_are_escaped_and_nothing_has_a_colour():
    html = table_of(2)._repr_html_()
    assert html == (
        "<table>\n<tr><th>net.&lt;a&gt;</th><th>b</th></tr>\n<tr><td>0</td><td>0</td></tr>\n"
        "<tr><td>1</td><td>1</td></tr>\n</table>\n<p>a &amp; b</p>"
    )
    assert "style" not in html


def test_a_table_without_columns_can_be_shown():
    assert repr(fnn.Table()) == str(fnn.Table()) == ""
    assert "<table>" in fnn.Table()._repr_html_()
