"""State of a GPU as its driver reports it, and whether a time taken between two readings was disturbed."""

import msgspec


class Vitals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reading of a device; what the driver does not tell is None.

    Attributes:
        sm_clock_mhz: Clock of the multiprocessors.
        memory_clock_mhz: Clock of the memory.
        temperature_c: Temperature of the chip, in degrees Celsius.
        power_w: Power drawn.
        throttles: Why clocks are held back, such as `power cap` or `hot`; idling is no reason.
        other_processes: Process ids of others that compute on the device.
    """

    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    throttles: tuple[str, ...] = ()
    other_processes: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return one line, such as `SM 1980 MHz, memory 3201 MHz, 41 C, 310 W`."""
        parts = [
            f"SM {self.sm_clock_mhz} MHz" if self.sm_clock_mhz is not None else "",
            f"memory {self.memory_clock_mhz} MHz" if self.memory_clock_mhz is not None else "",
            f"{self.temperature_c} C" if self.temperature_c is not None else "",
            f"{self.power_w:.0f} W" if self.power_w is not None else "",
            f"held back by {', '.join(self.throttles)}" if self.throttles else "",
        ]
        return ", ".join(part for part in parts if part) or "the driver reports nothing"


# A power cap is how a chip runs products for long; both sides of a pair meet it alike.
POWER_CAP = "power cap"
# Bits of the driver's clock event reasons; those for idling and for clocks that a user set are no reason to worry.
_THROTTLES = {
    0x04: POWER_CAP,
    0x08: "hardware slowdown",
    0x20: "hot",
    0x40: "too hot",
    0x80: "power brake",
}
_CLOCK_SHARE = 0.9


def disturbance(before: Vitals, after: Vitals) -> str | None:
    """Return what happened to the device between two readings that a time must not carry, or None.

    A power cap is no disturbance, see `POWER_CAP`; nor are processes that were there before, which may idle.
    """
    held = [one for one in after.throttles if one != POWER_CAP]
    if held:
        return f"the device is held back: {', '.join(held)}"
    new = set(after.other_processes) - set(before.other_processes)
    if new:
        return f"{len(new)} other process(es) came to the device"
    is_capped = POWER_CAP in (*before.throttles, *after.throttles)
    clock_mhz, now_mhz = before.sm_clock_mhz or 0, after.sm_clock_mhz
    if now_mhz is not None and now_mhz < _CLOCK_SHARE * clock_mhz and not is_capped:
        return f"the clock fell from {clock_mhz} to {now_mhz} MHz"
    return None


def was_disturbed(before: Vitals, after: Vitals) -> bool:
    """Whether something happened to the device between two readings that a time must not carry."""
    return disturbance(before, after) is not None


def to_throttles(bits: int) -> tuple[str, ...]:
    """Name the reasons among the driver's bits for which clocks are held back."""
    return tuple(name for bit, name in _THROTTLES.items() if bits & bit)
