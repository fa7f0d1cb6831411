export default {
  trainer: 'random-forest',
  targets: { medium: 2, large: 5 },
  reference: {
    title: 'RandomForest',
    model: `
from sklearn.ensemble import RandomForestClassifier
model = RandomForestClassifier(n_estimators=100, n_jobs=n_jobs, random_state=seed)`,
  },
}
