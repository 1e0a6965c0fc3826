"""What models cost: operations and parameters against counts by hand, times as sums of parts."""

from dataclasses import replace

import pandas as pd
import torch
from small_benchmark import RECIPE

from mstclipiqa.analyses.efficiency import (
    BATCHES,
    Part,
    count_efficiency,
    count_flops,
    head_part,
    hollow_encoder,
    image_part,
    measure_efficiency,
    text_part,
    time_parts,
)
from mstclipiqa.encoders.adaptation import count_adapted
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.model.build import build_model
from mstclipiqa.study.jobs import Job

DIM, WIDTH = 8, 6
RELEASED = replace(RECIPE, gate_hidden=4, attention_heads=2)


def model_of(variant):
    levels = torch.randn(5, DIM, generator=torch.Generator().manual_seed(0))
    return build_model(variant, RELEASED, DIM, WIDTH, levels, 0, levels).eval()


def test_operations_are_those_counted_by_hand():
    """GFF and template head on one image: W_h (2D x 4), W_g (4 x D), phi_c, phi_f (D x D), five levels and scores."""
    by_hand = 2 * (2 * DIM * 4 + 4 * DIM + 2 * DIM * DIM + 5 * DIM)
    counted = count_flops(head_part(model_of("mst-clipiqa"), WIDTH, torch.device("cpu")))
    assert counted - by_hand in (0, 2 * 5)  # the expectation over the levels may be counted as a product


def test_operations_of_three_streams_are_those_counted_by_hand():
    """W_h of all side by side, W_g (4 x 2 D), a projection of each to D, and five levels."""
    sizes, levels = (DIM, 13, 3), torch.ones(5, DIM)
    model = build_model("streams-gate", RELEASED, DIM, WIDTH, levels, 0, sizes=sizes).eval()
    by_hand = 2 * (sum(sizes) * 4 + 4 * 2 * DIM + sum(sizes) * DIM + 5 * DIM)
    counted = count_flops(head_part(model, WIDTH, torch.device("cpu")))
    assert counted - by_hand in (0, 2 * 5)


def test_operations_of_an_encoder_are_those_counted_by_hand():
    """A vision transformer of width w on T tokens: per layer 4 w^2 T for attention's maps, 2 w T^2 for the attention
    itself, 2 w m T for the MLP; before them the patches, after them the projection. In the last layer keys and values
    alone are of all tokens, the rest of the class token. A multiply-add is two."""
    encoder = load_encoder("mst-small-32", "random:0", torch.device("cpu"))
    vision = encoder.identity["architecture"]["vision_cfg"]
    w, layers, side = vision["width"], vision["layers"], 224 // vision["patch_size"]
    m, tokens = round(w * vision["mlp_ratio"]), side**2 + 1
    layer = 4 * w * w * tokens + 2 * w * tokens**2 + 2 * w * m * tokens
    last = 2 * w * w * tokens + 2 * w * w + 2 * w * tokens + 2 * w * m
    by_hand = 2 * (3 * 32 * 32 * w * side**2 + (layers - 1) * layer + last + w * encoder.identity["dim"])
    assert count_flops(image_part(encoder)) == by_hand


def test_an_encoder_that_holds_no_weights_counts_as_one_that_does():
    full, hollow = load_encoder("mst-small-32", "random:0", torch.device("cpu")), hollow_encoder("mst-small-32")
    for part in (image_part, text_part):
        assert part(hollow).parameters == part(full).parameters
        assert count_flops(part(hollow)) == count_flops(part(full))
    adaptation = {"blocks": 2, "rank": 4, "learning_rate": 1e-4}
    assert count_adapted(hollow, adaptation) == count_adapted(full, adaptation)
    held = [parameter.untyped_storage().nbytes() for parameter in hollow.model.parameters()]
    assert held == [4] * len(held)


def test_times_are_per_image_and_part():
    seen = []
    parts = {name: Part(lambda size, name=name: seen.append((name, size)), 0) for name in ("a", ("b", "c"))}
    found = time_parts(parts, torch.device("cpu"))
    assert list(found.columns) == list(parts) and (found.to_numpy() >= 0).all()
    assert set(found.index.get_level_values("images")) == set(BATCHES)
    rounds = [seen[i : i + 4] for i in range(0, len(seen), 4)]
    assert all(r == [("a", 1), (("b", "c"), 1), ("a", 32), (("b", "c"), 32)] for r in rounds), "parts take turns"


class Study:
    """As much of a study as costs depend on."""

    config = {"text_encoder": "coarse"}
    recipes = {"released_code": RELEASED}
    jobs = [Job("b", "quality", "released_code", variant) for variant in ("mst-clipiqa", "coarse-only-star")]

    def streams(self, recipe, variant):
        return "coarse", "fine"


def test_trained_encoders_count_among_what_is_trained_and_cost_the_same():
    """By hand: two layer norms, attention and MLP of a block; the layer norm and the projection after it."""
    encoder = load_encoder("mst-small-32", "random:0", torch.device("cpu"))
    tuned = replace(RELEASED, adaptation={"blocks": 1, "rank": None, "learning_rate": 1e-4})
    study = Study()
    study.recipes = {"released_code": RELEASED, "tuned": tuned}
    study.jobs = [Job("b", "quality", recipe, "mst-clipiqa") for recipe in study.recipes]
    plain, own = count_efficiency(study, {"coarse": encoder, "fine": encoder}).to_dict("records")
    w, m, dim = 192, 384, 256
    block = 2 * 2 * w + 3 * w * w + 3 * w + w * w + w + w * m + m + m * w + w
    assert own["trained"] - plain["trained"] == 2 * (block + 2 * w + w * dim)
    assert (own["total"], own["gflops"]) == (plain["total"], plain["gflops"])


def test_a_model_costs_what_its_parts_do(monkeypatch):
    encoders = {
        name: load_encoder(model, "random:0", torch.device("cpu"))
        for name, model in (("coarse", "mst-small-32"), ("fine", "mst-small-16"))
    }
    times = pd.DataFrame(
        [[1.0, 10.0, 100.0, 1000.0, 2000.0]] * 2,
        index=pd.MultiIndex.from_tuples([(1, 0), (32, 0)], names=["images", "round"]),
    )
    monkeypatch.setattr(
        "mstclipiqa.analyses.efficiency.time_parts",
        lambda parts, _: times.set_axis(pd.Index(list(parts), tupleize_cols=False), axis=1),
    )
    counted, timed, metadata = measure_efficiency(Study(), encoders)
    a, star = counted.to_dict("records")
    assert (a["encoders"], a["prompt"]) == ("coarse+fine", False)
    assert (star["encoders"], star["prompt"]) == ("coarse", True)
    assert timed["ms_1"].tolist() == timed["ms_32"].tolist() == [1011.0, 2101.0]

    def count(module):
        return sum(p.numel() for p in module.parameters())

    visual = {name: count(encoder.model.visual) for name, encoder in encoders.items()}
    dim, hidden = encoders["coarse"].identity["dim"], RELEASED.gate_hidden
    trained = 2 * (dim * dim + dim) + 2 * dim * hidden + hidden + hidden * dim + dim + 1
    assert a["trained"] == trained and a["total"] == visual["coarse"] + visual["fine"] + trained + 5 * dim
    assert star["total"] > count(encoders["coarse"].model), "the prompt needs the text tower"
    assert metadata["device"] == "cpu" and set(metadata["encoders"]) == {"coarse", "fine"}
