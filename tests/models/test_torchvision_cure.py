import subprocess
import sys

CURE = "from leukoscope.models.torchvision_cure import make_importable; make_importable(); "


def test_timm_can_be_imported_beside_this_torch():
    """Cured twice, as two callers would, timm loads and torchvision's operators are declared."""
    use = "import timm, torch; make_importable(); print(torch.ops.torchvision.nms, timm.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", CURE + use], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "torchvision.nms timm\n"
