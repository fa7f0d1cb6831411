"""Child process: one fit of scikit-learn's counterpart. Prints one line of JSON.

python reference.py <data folder> <seed> <threads> < {"model": "...", "objective": "..."} on standard input
python reference.py --about: versions and threadpool_info()
"""
import json, os, resource, sys, time
import numpy as np
import sklearn
import sklearn.utils
import threadpoolctl

if sys.argv[1] == "--about":
    import scipy.linalg  # its own BLAS counts too

    pools = [{k: v for k, v in pool.items() if k != "filepath"} for pool in threadpoolctl.threadpool_info()]
    print(json.dumps({"python": sys.version.split()[0], "sklearn": sklearn.__version__, "numpy": np.__version__, "pools": pools}))
    sys.exit()

folder, seed, n_jobs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
spec = json.load(sys.stdin)
meta = json.load(open(os.path.join(folder, "meta.json")))
read = lambda part, rows: (
    np.fromfile(os.path.join(folder, part + ".x.f32"), np.float32).reshape(rows, meta["cols"]),
    np.fromfile(os.path.join(folder, part + ".y.i32"), np.int32),
)
x, y = read("train", meta["rows"])
xt, yt = read("held", meta["held"])
scope = {"np": np, "x": x, "y": y, "seed": seed, "n_jobs": n_jobs, "classes": meta["classes"]}
exec(spec["model"], scope)
model = scope["model"]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
started = time.perf_counter()
model.fit(x, y)
fitted = time.perf_counter()
predicted = model.predict(xt)
ended = time.perf_counter()
memory = {"dataMb": before, "peakMb": peak()}
objective = None
if spec.get("objective"):
    exec(spec["objective"], scope)
    objective = float(scope["objective"])
print(json.dumps({"fitSeconds": fitted - started, "predictSeconds": ended - fitted, **memory,
                  "accuracy": float((predicted == yt).mean()), "objective": objective}))
