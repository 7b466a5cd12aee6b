"""Read the environment that the zygote was started with, which a fork shows as its own."""

STOPPED_BY = "EACCES"
HARMS_WHEN_UNCONFINED = True


def attack():
    with open("/proc/self/environ", "rb") as file:
        return file.read()
