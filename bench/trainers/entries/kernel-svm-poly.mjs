import { svc } from '../svc.mjs'

export default {
  trainer: 'kernel-svm',
  params: { C: 1, kernel: 'poly', degree: 3, coef0: 1 },
  sizes: ['small', 'medium'],
  objective: (model) => model.facts.objective,
  reference: svc('kernel="poly", degree=3, coef0=1.0', 'k = lambda u, v: (gamma * (u @ v.T) + 1.0) ** 3'),
}
