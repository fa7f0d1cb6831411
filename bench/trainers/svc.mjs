// scikit-learn's SVC for the kernel-svm entries, with libsvm's summed dual objective recomputed from its dual
// coefficients.

/** @param make the constructor's arguments; @param kernel Python: kernel of float64 rows u and v, given gamma */
export const svc = (make, kernel) => ({
  title: `SVC ${make.split(',')[0]}`,
  model: `from sklearn.svm import SVC\nmodel = SVC(C=1.0, tol=1e-3, random_state=seed, ${make})`,
  objective: `
gamma = getattr(model, "_gamma", None)
${kernel}
ends = np.concatenate([[0], np.cumsum(model.n_support_)])
part = [slice(ends[c], ends[c + 1]) for c in range(classes)]
sv = x[model.support_].astype(np.float64)
own = [k(sv[p], sv[p]) for p in part]
objective = 0.0
for a in range(classes):
    strip = k(sv[part[a]], sv[ends[a + 1]:]) if a + 1 < classes else None
    for b in range(a + 1, classes):
        u, v = model.dual_coef_[b - 1, part[a]], model.dual_coef_[a, part[b]]
        across = strip[:, ends[b] - ends[a + 1]:ends[b + 1] - ends[a + 1]]
        objective += 0.5 * (u @ own[a] @ u + v @ own[b] @ v) + u @ across @ v - np.abs(u).sum() - np.abs(v).sum()`,
})
