"""Memory: predicted before a run, and never more than there is."""

import subprocess
import sys
from pathlib import Path

import pytest

from babyseg_py.errors import UnusableData
from babyseg_py.models.groupnet import GroupNetConfig
from babyseg_py.models.memory import _cgroup_bytes, available_bytes, plan_run, predicted_bytes

PUBLISHED = GroupNetConfig()
OURS = GroupNetConfig(22, (16, 32, 64, 96), (96, 96, 64, 24), (16,), norm=True, shared=True)
NORMALISING = {"encoder": [16, 32], "decoder": [32, 24], "head": [16], "norm": True, "shared": True}
GB = 10**9

MEASURE = """
import torch
from babyseg_py.models.fastnet import prepare, run
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.memory import predicted_bytes

def resident(key):
    line = next(line for line in open("/proc/self/status") if line.startswith(key))
    return 1024 * int(line.split()[1])

torch.set_num_threads(1)
config = GroupNetConfig.from_dict({config})
network, images = GroupNet(config), torch.rand({scans}, *{grid})
before = resident("VmRSS")
run(prepare(network, torch.bfloat16), images, rows={rows}, keep_skips={keep})
measured = resident("VmHWM") - before
print(predicted_bytes(config, {grid}, {scans}, 2, rows={rows}, keep_skips={keep}) / measured)
"""


def predicted(config=PUBLISHED, grid=(192, 192, 192), *, scans=1, itemsize=4, rows=8, keep_skips=True) -> int:
    return predicted_bytes(config, grid, scans, itemsize, rows=rows, keep_skips=keep_skips)


@pytest.mark.parametrize("config", [PUBLISHED, OURS])
def test_prediction_grows_with_all_that_costs_memory(config: GroupNetConfig) -> None:
    """More voxels, more scans and wider values never take less."""
    base = predicted(config, (128, 128, 128), itemsize=2)
    assert predicted(config, (128, 128, 192), itemsize=2) > base
    assert base <= predicted(config, (128, 128, 128), scans=2, itemsize=2)
    assert base < predicted(config, (128, 128, 128), scans=4, itemsize=2)
    assert predicted(config, (128, 128, 128), itemsize=4) > base


def test_slabs_and_computing_twice_save_memory() -> None:
    """Each way of a plan takes less than the one before it."""
    thick, thin = predicted(rows=8, scans=3), predicted(rows=2, scans=3)
    assert predicted(rows=2, scans=3, keep_skips=False) < thin < thick


def test_the_fastest_way_that_fits_is_taken() -> None:
    """With less memory the slabs get thinner, then skips are computed twice."""
    free, tight = (predicted(rows=r, scans=1, keep_skips=k) for r, k in ((8, True), (2, False)))
    assert plan_run(PUBLISHED, (192, 192, 192), 1, 4, limit_bytes=free).rows == 8
    plan = plan_run(PUBLISHED, (192, 192, 192), 1, 4, limit_bytes=tight)
    assert (plan.rows, plan.keep_skips) == (2, False)
    assert plan.predicted_bytes <= tight


def test_a_network_that_normalises_takes_its_scans_one_after_the_other_if_it_must() -> None:
    """Less memory than all scans' maps at full resolution need is no reason to refuse twelve scans."""
    grid = (112, 128, 112)
    kept, lean = (predicted(OURS, grid, scans=12, keep_skips=keep) for keep in (True, False))
    assert lean < 0.75 * kept
    assert plan_run(OURS, grid, 12, 4, limit_bytes=kept).keep_skips
    assert not plan_run(OURS, grid, 12, 4, limit_bytes=lean).keep_skips


def test_more_than_the_pipeline_asks_for_is_not_taken_needlessly() -> None:
    """Twelve large scans in float32 are run the lean way, however much memory there is."""
    plan = plan_run(PUBLISHED, (192, 192, 256), 12, 4, limit_bytes=100 * GB)
    assert not plan.keep_skips
    assert plan.predicted_bytes < 4.5 * GB < predicted(grid=(192, 192, 256), scans=12, rows=2)


def test_what_does_not_fit_says_how_much_it_needs() -> None:
    """Too little memory is an error in words before the run, not a kill during it."""
    with pytest.raises(UnusableData, match=r"12 scans .* 192×192×256 .* needs \d\.\d GB .* may use 0\.5 GB"):
        plan_run(PUBLISHED, (192, 192, 256), 12, 4, limit_bytes=GB // 2)


@pytest.mark.parametrize("itemsize", [2, 4])
def test_twelve_scans_fit_the_pipeline(itemsize: int) -> None:
    """A visit of twelve scans fits the 6 GB of the process label, the program's own 1 GB left out."""
    assert plan_run(PUBLISHED, (192, 192, 256), 12, itemsize, limit_bytes=5 * GB)
    assert plan_run(OURS, (96, 128, 96), 12, itemsize, limit_bytes=5 * GB)


def test_smallest_limit_of_all_control_groups_counts(tmp_path: Path) -> None:
    """A group's limit less what it uses, cached files not counted; a parent's limit may be the smaller."""
    (tmp_path / "cgroup").write_text("0::/job/step\n")
    for folder, limit, used in (("job", 5 * GB, 2 * GB), ("job/step", "max", GB)):
        group = tmp_path / "fs" / folder
        group.mkdir(parents=True)
        (group / "memory.max").write_text(f"{limit}\n")
        (group / "memory.current").write_text(f"{used}\n")
        (group / "memory.stat").write_text(f"anon 1\ninactive_file {GB // 2}\n")
    assert list(_cgroup_bytes(tmp_path / "cgroup", tmp_path / "fs")) == [3 * GB + GB // 2]


def test_some_memory_is_available() -> None:
    """The machine that runs this has some memory, and not all of it is free."""
    assert available_bytes() > 10**7


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures by Linux's /proc")
@pytest.mark.parametrize(
    ("config", "grid", "scans", "rows", "keep"),
    [
        ({"encoder": [1, 32, 32], "decoder": [32, 32, 32]}, (128, 128, 128), 2, 4, True),
        (NORMALISING, (96, 128, 128), 1, 8, True),
        (NORMALISING, (96, 128, 128), 4, 8, True),
        (NORMALISING, (96, 128, 128), 4, 8, False),
    ],
)
def test_prediction_is_what_is_measured(
    config: dict, grid: tuple[int, ...], scans: int, rows: int, keep: bool
) -> None:
    """Within 20 % of what a fresh process takes."""
    code = MEASURE.format(config=config, grid=grid, scans=scans, rows=rows, keep=keep)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.8 <= float(done.stdout) <= 1.25
