export default {
  trainer: 'gradient-boosting',
  targets: { small: 5 },
  sizes: ['small'],
  reference: {
    title: 'HistGradientBoosting',
    model: `
from sklearn.ensemble import HistGradientBoostingClassifier
model = HistGradientBoostingClassifier(random_state=seed)`,
  },
}
