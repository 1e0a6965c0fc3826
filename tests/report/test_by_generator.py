import numpy as np

from mstclipiqa.report.by_generator import by_generator
from mstclipiqa.report.results_folder import read_results


def test_the_spread_over_generators(make_statistics):
    table = by_generator(read_results(make_statistics()))
    # grouped3 chooses its epoch on validation, lab-seed1 on the test images
    assert {group.text for group in table.groups} == {
        f"{target}: grouped3, epoch chosen on validation" for target in ("Quality", "Correspondence")
    }
    row = table.shown.iloc[0]
    assert (row["diffusion"], str(row["GAN"])) == ("0.6000", "— 2 of 2 runs undefined")
    assert (str(row["Least"]), str(row["Greatest"]), row["Generators"]) == ("0.5000 SD1.5", "0.7000 GLIDE", "2 of 3")
    assert row["SD"] == f"{np.std([0.5, 0.7], ddof=1):.4f}"
