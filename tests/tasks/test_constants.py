import pytest

from tilewright.tasks.constants import find_constants, override
from tilewright.tasks.errors import TaskError
from tilewright.tasks.spec import Size


def constants(source: str) -> dict[str, int]:
    return {size.name: size.value for size in find_constants(source)}


def run(source: str, **sizes: int) -> dict[str, object]:
    members: dict[str, object] = {}
    tree = override(source, tuple(Size(name=name, value=value) for name, value in sizes.items()))
    exec(compile(tree, "test", "exec"), members)
    return members


def test_integer_assignments_of_the_top_level_are_constants() -> None:
    source = "a = 5\nb = 8 * 1024\nc: int = 2**4\nd, e = 6, 7\nf = g = 9\n"
    assert constants(source) == {"a": 5, "b": 8192, "c": 16, "d": 6, "e": 7, "f": 9}


def test_numbers_in_tuples_and_lists_are_constants_with_an_index() -> None:
    assert constants("shape = (32, 64)\nlayers = [1024] * 16\n") == {"shape[0]": 32, "shape[1]": 64, "layers[0]": 1024}


def test_what_is_not_a_positive_integer_is_no_constant() -> None:
    assert constants("a = 0\nb = -1\nc = True\nd = 2.0\ne = 'x'\nf = len('ab')\n") == {}


def test_a_name_assigned_twice_is_no_constant() -> None:
    assert constants("a = 4\nb = 5\na = 6\n") == {"b": 5}


def test_large_literals_inside_get_inputs_are_constants_by_their_order() -> None:
    source = "n = 8\ndef get_inputs():\n    m = 512\n    return [torch.rand(n, 3, 224, 224, m)[..., 100]]\n"
    assert constants(source) == {"n": 8, "get_inputs.0": 512, "get_inputs.1": 224, "get_inputs.2": 224}


def test_constants_computed_from_an_overridden_one_follow() -> None:
    source = "a = 8 * 4\nb = a * 2\nshape = (a, 5)\nf = g = 7\n"
    members = run(source, a=3, f=2)
    assert (members["a"], members["b"], members["shape"], members["g"]) == (3, 6, (3, 5), 2)


def test_one_element_of_a_tuple_can_be_overridden() -> None:
    assert run("shape = (32, 64)\n", **{"shape[1]": 3})["shape"] == (32, 3)


def test_a_size_that_names_no_constant_is_refused_with_those_that_exist() -> None:
    with pytest.raises(TaskError, match="expected sizes among rows, cols; got 'row'"):
        override("rows = 4\ncols = 5\n", (Size(name="row", value=1),))


def test_a_syntax_error_names_its_line() -> None:
    with pytest.raises(TaskError, match="syntax error in line 2"):
        find_constants("a = 1\nb = = 2\n")
