"""The whole workflow, on drawn images, with encoders that are no pair of CLIPs."""

import subprocess
import sys

import pandas as pd
import yaml
from checkout import Checkout, read_manifest
from encoder_families import write_model

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.files import read_table
from mstclipiqa.encoders.stores import load_features

BOTH = ["mst-clipiqa", "mst-clipiqa-star"]
STAR = ["star-no-prompt", "mst-clipiqa-star"]
STREAMS = ["streams-gate-no-prompt"]


def configure(
    checkout: Checkout, encoders: dict[str, str], text: str, variants: list[str], **more: object
) -> tuple[str, str]:
    """A configuration of one benchmark, whose encoders' weights are drawn; as options of snakemake."""
    config = read_yaml(checkout.folder / "config" / "reduced.yaml")
    config |= {"benchmarks": ["agiqa-1k"], "also": [], "protocols": ["lab-seed1"], "seeds": [0], "variants": variants}
    config["draw"] |= {"scale": 0.05}
    config |= {"text_encoder": text, "encoders": {}, **more}
    for number, (role, model) in enumerate(encoders.items()):
        weights = "embedded" if model.startswith("mst-small") else f"random:{number}"
        config["encoders"][role] = {"model": model, "weights": weights}
    path = checkout.folder / "config" / "mine.yaml"
    path.write_text(yaml.safe_dump(config))
    return "--configfile", "config/mine.yaml"


def test_a_siglip_pair_from_folders_is_trained_and_evaluated(checkout: Checkout):
    """What follows the metrics knows no encoder; the other test runs it."""
    write_model(checkout.folder / "models" / "siglip", "siglip")
    pair = dict.fromkeys(("coarse", "fine"), "local-dir:models/siglip")
    done = checkout.snakemake("results/reduced/metrics.parquet", *configure(checkout, pair, "coarse", BOTH))
    assert done.returncode == 0, done.stdout + done.stderr
    features = checkout.folder / "results" / "reduced" / "agiqa-1k" / "features"
    assert {load_features(features / f"{name}.safetensors").metadata["encoder"]["model"] for name in pair} == {
        "local-dir:siglip"
    }
    assert set(read_metrics(checkout)["variant"]) == set(BOTH)


def test_backbones_and_a_third_stream_run_through_with_another_reader(checkout: Checkout):
    """The third stream has another size than the two."""
    encoders = {
        "coarse": "timm:test_vit3@96",
        "fine": "timm:test_resnet",
        "text": "mst-small-32",
        "third": "mst-small-16",
    }
    variants, named = [*STAR, *STREAMS], ["coarse", "fine", "third"]
    done = checkout.snakemake("reproduce", "packs", *configure(checkout, encoders, "text", variants, streams=named))
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = read_manifest(checkout)
    assert "text_width" not in manifest["encoders"]["coarse"] and manifest["encoders"]["text"]["text_width"]
    assert_scored(checkout, variants)
    costs = read_table(checkout.folder / "results" / "reduced" / "efficiency.parquet")[0].set_index("variant")
    assert costs["encoders"][STREAMS].tolist() == ["coarse+fine+third"] and costs["encoders"][STAR[0]] == "coarse+fine"
    runs = checkout.folder / "results" / "reduced" / "agiqa-1k" / "runs" / "quality" / "released_code"
    said = read_table(runs / f"{STREAMS[0]}.parquet")[1]
    assert {role: identity["dim"] for role, identity in said["encoders"].items()} == {
        "coarse": 96, "fine": 96, "further-3": 256,
    }  # fmt: skip
    sources = set(read_table(checkout.folder / "results" / "reduced" / "agiqa-1k" / "baselines.parquet")[0]["source"])
    assert "CLIPScore" in sources, "by the text encoder"
    assert "ridge on all streams" in sources


def read_metrics(checkout: Checkout) -> pd.DataFrame:
    return read_table(checkout.folder / "results" / "reduced" / "metrics.parquet")[0]


def assert_scored(checkout: Checkout, variants: list[str]) -> None:
    assert set(read_metrics(checkout)["variant"]) >= set(variants)
    page = (checkout.folder / "reports" / "reduced" / "index.html").read_text()
    assert "random weights" in page
    verify = [sys.executable, "-m", "mstclipiqa", "verify", "results/reduced"]
    done = subprocess.run(
        verify, cwd=checkout.folder, env=checkout.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_backbone_rules_out_heads_that_read_level_texts(checkout: Checkout):
    encoders = {"coarse": "timm:test_vit3", "fine": "timm:test_resnet", "text": "mst-small-32"}
    refused = {"both.yaml": BOTH, "mlp.yaml": ["mlp"]}
    calls: list[tuple[None, list[str]]] = []
    for file, variants in refused.items():
        configure(checkout, encoders, "text", variants)
        (checkout.folder / "config" / "mine.yaml").rename(checkout.folder / file)
        calls.append((None, ["--dry-run", "--cores", "1", "--configfile", file]))
    for variants, (code, said) in zip(refused.values(), checkout.calls(calls), strict=True):
        assert code == 1
        assert f"variants: {variants[0]}: the head compares with level texts" in said
    assert not (checkout.folder / "results").exists()
