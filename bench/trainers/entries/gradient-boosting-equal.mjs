// The same columns, bins, leaves and iterations on both sides; few iterations, because scikit-learn needs minutes for a
// hundred.
export default {
  trainer: 'gradient-boosting',
  params: {
    max_iter: '5',
    max_bins: '255',
    max_features: '1',
    max_leaf_nodes: '31',
    min_samples_leaf: '20',
    early_stopping: 'false',
  },
  targets: { small: 5 },
  sizes: ['small'],
  reference: {
    title: 'HistGradientBoosting, 5 iterations',
    model: `
from sklearn.ensemble import HistGradientBoostingClassifier
model = HistGradientBoostingClassifier(max_iter=5, max_bins=255, max_leaf_nodes=31, min_samples_leaf=20,
                                       early_stopping=False, random_state=seed)`,
  },
}
