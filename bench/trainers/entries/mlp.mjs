// Equal settings: 10 epochs of batches of 64 rows, one hidden layer of 256, Adam at 0.001, no early stopping.
export default {
  trainer: 'mlp',
  params: {
    hidden_layer_sizes: '256',
    dropout: 0,
    learning_rate_init: 0.001,
    weight_decay: 0,
    batch_size: 64,
    max_iter: 10,
    validation_fraction: 0,
  },
  targets: { medium: 2, large: 3 },
  reference: {
    title: 'MLPClassifier',
    model: `
import warnings
from sklearn.neural_network import MLPClassifier
warnings.simplefilter("ignore")
model = MLPClassifier((256,), random_state=seed, batch_size=64, max_iter=10, n_iter_no_change=10, alpha=0)`,
  },
}
