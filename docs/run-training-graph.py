"""Runs a training graph that `fc7 finetune --export-only` wrote: python run-training-graph.py <folder> <pixels.npz> [steps]"""
import json, sys
from pathlib import Path
import numpy as np
import onnxruntime as ort

folder, pixels, steps = Path(sys.argv[1]), np.load(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 20
manifest = json.loads((folder / "manifest.json").read_text())
blob = (folder / "initial.safetensors").read_bytes()
head = int.from_bytes(blob[:8], "little")
entries = json.loads(blob[8 : 8 + head])
state = {}
for variable in manifest["loopState"]:
    start, end = entries[variable["name"]]["data_offsets"]
    values = np.frombuffer(blob[8 + head + start : 8 + head + end], np.float32)
    state[variable["input"]] = values.reshape(variable["dims"])
session = ort.InferenceSession(folder / "training.onnx", providers=["CPUExecutionProvider"])
outputs = [output.name for output in session.get_outputs()]
data, labels, batch = pixels["data"], pixels["labels"].astype(np.int64), manifest["batchSize"]
random = np.random.default_rng(0)
for step in range(steps):
    feeds = {
        "data": data, "labels": labels, "weights": np.ones(len(labels), np.float32),
        "index": random.choice(len(labels), (1, batch), replace=False),
        "lr": np.float32([manifest["lr"]]), "step": np.array(step, np.int64), **state,
    }
    for mask in manifest["masks"]:  # dropout: 1 keeps a value
        feeds[mask["name"]] = (random.random([1, *mask["shape"]]) >= mask["rate"]).astype(np.uint8)
    if alpha := manifest["mixup"]:  # each row is blended with another of its batch
        feeds["partner"] = random.permutation(feeds["index"][0])[None]
        feeds["share"] = random.beta(alpha, alpha, (1, batch)).astype(np.float32)
    result = dict(zip(outputs, session.run(outputs, feeds)))
    state = {variable["input"]: result[variable["output"]] for variable in manifest["loopState"]}
    print(f"step {step + 1}: loss {result['loss'][0]:.6f}, {result['correct'][0]:.0f} of {batch} right")
