import pytest

from tilewright.evaluator.gpu.vitals import POWER_CAP, Vitals, disturbance, to_throttles, was_disturbed

CALM = Vitals(sm_clock_mhz=1980, memory_clock_mhz=3201, temperature_c=40, power_w=300.4)


def test_a_steady_device_is_undisturbed() -> None:
    assert disturbance(CALM, Vitals(sm_clock_mhz=1950, memory_clock_mhz=3201)) is None
    assert not was_disturbed(CALM, CALM)


def test_a_device_that_is_held_back_by_heat_is_disturbed() -> None:
    found = disturbance(CALM, Vitals(sm_clock_mhz=1980, throttles=("hot",)))
    assert found is not None
    assert "hot" in found


def test_a_power_cap_is_no_disturbance_though_the_clock_falls() -> None:
    assert disturbance(CALM, Vitals(sm_clock_mhz=1400, throttles=(POWER_CAP,))) is None


def test_a_clock_that_falls_by_more_than_a_tenth_is_a_disturbance() -> None:
    assert disturbance(CALM, Vitals(sm_clock_mhz=1783)) is None
    assert disturbance(CALM, Vitals(sm_clock_mhz=1781)) == "the clock fell from 1980 to 1781 MHz"


def test_a_process_that_comes_is_a_disturbance_and_one_that_was_there_is_not() -> None:
    shared = Vitals(sm_clock_mhz=1980, other_processes=(41,))
    assert disturbance(shared, shared) is None
    assert disturbance(shared, Vitals(sm_clock_mhz=1980)) is None
    assert disturbance(CALM, shared) == "1 other process(es) came to the device"


def test_what_the_driver_does_not_tell_disturbs_nothing() -> None:
    assert disturbance(Vitals(), Vitals()) is None
    assert str(Vitals()) == "the driver reports nothing"


def test_a_reading_is_one_line() -> None:
    assert str(CALM) == "SM 1980 MHz, memory 3201 MHz, 40 C, 300 W"


@pytest.mark.parametrize(
    ("bits", "names"),
    [(0x0, ()), (0x3, ()), (0x4, ("power cap",)), (0x48, ("hardware slowdown", "too hot")), (0x80, ("power brake",))],
)
def test_bits_of_the_driver_become_reasons(bits: int, names: tuple[str, ...]) -> None:
    assert to_throttles(bits) == names
