import { svc } from '../svc.mjs'

/** RBF with gamma "scale". */
export default {
  trainer: 'kernel-svm',
  params: { C: 1 },
  targets: { medium: 10, large: 12 },
  objective: (model) => model.facts.objective,
  reference: svc(
    'kernel="rbf", gamma="scale"',
    'k = lambda u, v: np.exp(-gamma * np.maximum(0, (u ** 2).sum(1)[:, None] + (v ** 2).sum(1) - 2 * u @ v.T))',
  ),
}
