"""The functions that quantile scalers need, as source text: searches in tables.

They do what `fnn._core.quantiles` does, but for the normal distribution, which is a formula.
"""

from fnn._core.quantiles import LEAST
from fnn.export.source import Language
from fnn.export.steps import FromShare, Step, ToShare

__all__ = ["c_functions", "numpy_functions"]


def numpy_functions(steps: list[Step]) -> str:
    """Those of NumPy that these steps need: `_by_feature(function, a, values, references)`."""
    return _used(steps, _NUMPY_BY_FEATURE, _NUMPY_TO_SHARE, _NUMPY_FROM_SHARE)


def c_functions(steps: list[Step], language: Language, real: str) -> str:
    """Those of C that these steps need: `to_share(x, values, references, count)` and its like."""
    numbers = {"least": LEAST, "zero": 0.0, "one": 1.0, "two": 2.0}
    return _used(steps, _C_PIECE, _C_TO_SHARE, _C_FROM_SHARE).format(
        prefix=language.prefix,
        suffix=language.suffix,
        real=real,
        **{name: language.number(number) for name, number in numbers.items()},
    )


def _used(steps: list[Step], common: str, to_share: str, from_share: str) -> str:
    kinds = {type(step) for step in steps}
    texts = [text for kind, text in ((ToShare, to_share), (FromShare, from_share)) if kind in kinds]
    return "".join([common, *texts] if texts else [])


_NUMPY_BY_FEATURE = """

def _by_feature(function, a, values, references):
    columns = [function(a[..., i], values[i], references) for i in range(len(values))]
    return np.stack(columns, axis=-1).astype(a.dtype)
"""
_NUMPY_TO_SHARE = f"""

def _to_share(x, values, references):
    inside = np.clip(x, values[0], values[-1])
    below = above = 0.0
    for side in ("right", "left"):  # of equal values, the mean of the highest and the lowest
        after = np.clip(np.searchsorted(values, inside, side), 1, len(values) - 1)
        width = values[after] - values[after - 1]
        part = (inside - values[after - 1]) / np.where(width > 0, width, 1)
        share = references[after] - references[after - 1]
        below = below + (references[after - 1] + part * share) / 2
        above = above + (1 - references[after] + (1 - part) * share) / 2
    share = np.where(below <= above, np.maximum(below, {LEAST}), -np.maximum(above, {LEAST}))
    share = np.where(x >= values[-1], -{LEAST}, share)
    return np.where(x <= values[0], {LEAST}, share)
"""
_NUMPY_FROM_SHARE = f"""

def _from_share(share, values, references):
    low, tail = share > 0, np.abs(share)
    after = np.searchsorted(references, np.where(low, tail, 1 - tail), "right")
    after = np.clip(after, 1, len(references) - 1)
    width = references[after] - references[after - 1]
    width = np.where(width > 0, width, 1)
    part = (tail - np.where(low, references[after - 1], 1 - references[after])) / width
    part = np.where(low, part, 1 - part)
    x = values[after - 1] + part * (values[after] - values[after - 1])
    return np.where(tail < {LEAST}, np.where(low, values[0], values[-1]), x)
"""
_C_PIECE = """\
static inline int {prefix}piece({real} x, const {real} *sorted, int count, int above)
{{
    int low = 1, high = count - 1;
    while (low < high) {{
        int middle = (low + high) / 2;
        if (sorted[middle] < x || (above && sorted[middle] == x)) {{
            low = middle + 1;
        }} else {{
            high = middle;
        }}
    }}
    return low;
}}

"""
_C_TO_SHARE = """\
static inline {real} {prefix}to_share(
    {real} x, const {real} *values, const {real} *references, int count)
{{
    {real} below = {zero}, above = {zero};
    if (x <= values[0] || x >= values[count - 1]) {{
        return x <= values[0] ? {least} : -{least};
    }}
    for (int side = 0; side < 2; ++side) {{ /* of equal values, the lowest and the highest */
        int i = {prefix}piece(x, values, count, side);
        {real} width = values[i] - values[i - 1], share = references[i] - references[i - 1];
        {real} part = (x - values[i - 1]) / (width > {zero} ? width : {one});
        below += (references[i - 1] + part * share) / {two};
        above += ({one} - references[i] + ({one} - part) * share) / {two};
    }}
    if (below <= above) {{
        return below < {least} ? {least} : below;
    }}
    return above < {least} ? -{least} : -above;
}}

"""
_C_FROM_SHARE = """\
static inline {real} {prefix}from_share(
    {real} share, const {real} *values, const {real} *references, int count)
{{
    int low = share > {zero};
    {real} tail = fabs{suffix}(share);
    int i = {prefix}piece(low ? tail : {one} - tail, references, count, 1);
    {real} start = low ? references[i - 1] : {one} - references[i];
    {real} width = references[i] - references[i - 1];
    {real} part = (tail - start) / (width > {zero} ? width : {one});
    if (tail < {least}) {{
        return values[low ? 0 : count - 1];
    }}
    return values[i - 1] + (low ? part : {one} - part) * (values[i] - values[i - 1]);
}}

"""
