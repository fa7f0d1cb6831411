// The same columns, bins, leaves and iterations on both sides; few iterations, because scikit-learn needs minutes for a
// hundred.
export default {
  trainer: 'gradient-boosting',
  params: { rounds: '5', bins: '255', features: '1', leaves: '31', leaf: '20', stopping: 'no' },
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
