import platform

import pytest
import torch

from leukoscope.fitting.machine import choose_device, choose_precision, describe
from leukoscope.foundation.errors import UsageError


@pytest.mark.parametrize("name", ["gpu", "", "meta", "cuda:99", "fpga", "hpu", "cuda:-1"])
def test_a_device_that_cannot_compute_here_is_refused(name):
    """Unknown words, devices that are not there, and one that holds no numbers."""
    with pytest.raises(UsageError, match="There is no device"):
        choose_device(name)


def test_a_processor_is_always_there():
    """``cpu`` is taken as it is, and ``auto`` finds something that computes."""
    assert choose_device("cpu") == torch.device("cpu")
    device = choose_device("auto")
    assert float(torch.ones(3, device=device).sum()) == 3


@pytest.mark.skipif(platform.system() != "Linux", reason="reads what Linux says of the processor")
def test_bfloat16_only_where_the_processor_has_it():
    """The choice agrees with the flags the system reports."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
        flags = set(file.read().split())
    has_it = bool({"amx_bf16", "avx512_bf16"} & flags)
    expected = "bfloat16" if has_it else "float32"
    assert choose_precision(torch.device("cpu")) == expected


def test_the_environment_says_what_a_result_depends_on():
    """Threads and versions as they are."""
    seen = describe(torch.device("cpu"), "float32")
    assert seen["threads"] == torch.get_num_threads()
    assert seen["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert (seen["device"], seen["precision"]) == ("cpu", "float32")
    assert seen["python"] == platform.python_version()
