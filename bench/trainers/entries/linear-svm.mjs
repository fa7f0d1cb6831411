import { oneVersusRest } from '../objectives.mjs'

/** Squared hinge, LinearSVC's default. */
export default {
  trainer: 'linear-svm',
  params: { C: 1 },
  targets: { medium: 2, large: 6 },
  objective: (model, set) => oneVersusRest(model, set, 1, true),
  reference: {
    title: 'LinearSVC',
    model: 'from sklearn.svm import LinearSVC\nmodel = LinearSVC(C=1.0, tol=1e-4, max_iter=10000, random_state=seed)',
    objective: `
z = x.astype(np.float64) @ model.coef_.T + model.intercept_
room = np.maximum(0, 1 - np.where(y[:, None] == np.arange(classes), 1, -1) * z)
objective = 0.5 * ((model.coef_ ** 2).sum() + (model.intercept_ ** 2).sum()) + (room ** 2).sum()`,
  },
}
