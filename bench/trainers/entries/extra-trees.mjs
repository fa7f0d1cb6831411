export default {
  trainer: 'extra-trees',
  targets: { medium: 2, large: 5 },
  reference: {
    title: 'ExtraTrees',
    model: `
from sklearn.ensemble import ExtraTreesClassifier
model = ExtraTreesClassifier(n_estimators=100, n_jobs=n_jobs, random_state=seed)`,
  },
}
