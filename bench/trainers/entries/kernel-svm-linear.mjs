import { svc } from '../svc.mjs'

export default {
  trainer: 'kernel-svm',
  params: { C: 1, kernel: 'linear' },
  sizes: ['small', 'medium'],
  objective: (model) => model.facts.objective,
  reference: svc('kernel="linear"', 'k = lambda u, v: u @ v.T'),
}
