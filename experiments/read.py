"""Redraws the main plot of an experiment from its table: python3 read.py FOLDER PICTURE (needs pandas and matplotlib)."""
import sys

import matplotlib
import pandas

matplotlib.use("Agg")
matplotlib.rcParams["axes.prop_cycle"] = matplotlib.cycler(color=matplotlib.colormaps["tab20"].colors)
rows = pandas.read_csv(f"{sys.argv[1]}/results.csv", low_memory=False).fillna({"study": ""})
for (study, arm), runs in rows[(rows.kind == "run") & (rows.phase == "final")].groupby(["study", "arm"]):
    axes = runs.groupby("data").test_loss.mean().plot(logx=True, marker="o", label=f"{study} {arm}".strip(), figsize=(11, 7))
axes.set(xlabel="unique training tokens, and those of the test that are learned from", ylabel="test loss (nats per token)")
axes.legend()
axes.figure.savefig(sys.argv[2], bbox_inches="tight")
