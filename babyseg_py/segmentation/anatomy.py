"""How large the structures of a brain are: figures that quality control compares with."""

import math

from babyseg_py.labels import LEFT_RIGHT_PAIRS, STRUCTURES

CEREBELLUM_AND_STEM = (8, 47, 16)
CEREBRUM = tuple(s.id for s in STRUCTURES[1:] if s.id not in CEREBELLUM_AND_STEM)
# Natural logarithm of each structure's volume over that of the cerebrum, both sides together: mean and
# standard deviation over 31 label maps, of 11 infants of 1 to 38 months (DCAN-Labs/BIBSnet, Apache-2.0) and
# 20 adults (BBillot/SynthSeg, Apache-2.0). Keys are the labels of the left side, or of what has no sides.
LOG_SHARES = {
    2: (-0.95, 0.22),
    3: (-0.67, 0.17),
    4: (-3.82, 0.85),
    8: (-2.06, 0.16),
    10: (-4.13, 0.2),
    11: (-4.87, 0.15),
    16: (-3.96, 0.25),
    17: (-4.93, 0.2),
    18: (-5.92, 0.25),
    28: (-4.96, 0.31),
    169: (-4.24, 0.11),
}
# The mean for every label: of a structure with sides, half of both.
USUAL_LOG_SHARES = {label: mean for label, (mean, _) in LOG_SHARES.items()} | {
    label: LOG_SHARES[pair[0]][0] - math.log(2) for pair in LEFT_RIGHT_PAIRS for label in pair
}
